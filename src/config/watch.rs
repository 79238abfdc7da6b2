//! `[watch]`: how changes of files are noticed.

use std::time::Duration;

use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::value::Value;

/// The checked table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Watch {
    /// `files = false`: only SIGHUP and the admin call reload. Default true.
    pub files: bool,
    /// The slow poll behind the notifications of the kernel. Default 60s.
    pub poll: Duration,
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::default(
        "files",
        "true",
        "Reload when a file changes: configuration, certificates, keys. false: only SIGHUP and the admin call.",
    ),
    Key::default(
        "poll",
        "\"60s\"",
        "How often files are looked at without a notification, for file systems that send none. From 1s to 1d.",
    ),
];

impl Default for Watch {
    fn default() -> Self {
        Self { files: true, poll: Duration::from_secs(60) }
    }
}

impl Watch {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let table = Table::open(value, "[watch]".to_owned(), "watch", &[KEYS])?;
        let default = Self::default();
        let poll = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
        Some(Self {
            files: table.or("files", default.files, Value::flag),
            poll: table.or("poll", default.poll, |value| value.duration(poll)),
        })
    }
}
