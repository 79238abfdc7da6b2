//! `[process]`: as whom the process runs, and how strict it is about the files of keys.

use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::value::Value;

/// The checked table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Process {
    /// The user that a process which was started as root becomes before it reads any key. Default: it
    /// stays who it is.
    pub user: Option<String>,
    /// Its group. Default: the user's own.
    pub group: Option<String>,
    /// What is done about a private key that everybody can read. Default refuse.
    pub world_readable_keys: WorldReadableKeys,
}

/// What is done about a private key that everybody on the machine can read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WorldReadableKeys {
    /// It is used, with a warning.
    Allow,
    /// Its certificate is not used.
    #[default]
    Refuse,
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::absent(
        "user",
        "\"portcullis\"",
        "Started as root, the process becomes this user before it reads keys or listens; of root's powers it keeps \
         that of binding ports below 1024. Default: it stays who it is.",
    ),
    Key::absent("group", "\"portcullis\"", "The group to become. Default: that of the user."),
    Key::default(
        "world_readable_keys",
        "\"refuse\"",
        "A file with a private key that everybody can read: \"refuse\" does not use it, \"allow\" does and warns.",
    ),
];

impl Process {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let table = Table::open(value, "[process]".to_owned(), "process", &[KEYS])?;
        Some(Self {
            user: table.field("user", name).good().map(|user| user.value.clone()),
            group: table.field("group", name).good().map(|group| group.value.clone()),
            world_readable_keys: table.or(
                "world_readable_keys",
                WorldReadableKeys::Refuse,
                |value| value.choice(WORLD_READABLE_KEYS),
            ),
        })
    }
}

fn name(value: &Value<'_>) -> Option<String> {
    value.word().map(|name| name.into_owned())
}

const WORLD_READABLE_KEYS: &[(&str, WorldReadableKeys)] =
    &[("allow", WorldReadableKeys::Allow), ("refuse", WorldReadableKeys::Refuse)];
