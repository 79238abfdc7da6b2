//! `[log]`: where the application log and the operational messages go.

use std::path::Path;
use std::sync::Arc;

use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::value::Value;
use crate::names::VirtualServiceName;

/// The checked table.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Default: stdout. A virtual service may name its own (`log = { application = ".." }`).
    pub application: LogTarget,
    /// Fraction of lines of successful exchanges that are written, 0.0 to 1.0; errors always are.
    /// Default 1.0. A virtual service may name its own.
    pub sample: f64,
    /// Operational messages on stderr: default `info`.
    pub level: LogLevel,
    /// Default `text` on a terminal and `json` elsewhere (`auto`).
    pub format: LogFormat,
}

/// Where application log lines go.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum LogTarget {
    /// A file, re-opened on SIGUSR1. `{virtual_service}` in it has been replaced where it is used
    /// (see [`LogTarget::for_service`]).
    File(Arc<Path>),
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
}

/// Verbosity of operational messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// And what will probably fail.
    Warn,
    /// And what changed.
    Info,
    /// And what helps to find a mistake in the proxy.
    Debug,
}

/// Shape of operational messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object for each line.
    Json,
    /// For people.
    Text,
}

/// The keys that a virtual service may have in its own `log` too ([`SERVICE_KEYS`]).
pub const SHARED_KEYS: &[Key] = &[
    Key::default(
        "application",
        "\"stdout\"",
        "\"stdout\", \"off\", or a file, which is opened again on SIGUSR1. {virtual_service} in its path makes \
         one file for each service.",
    ),
    Key::default(
        "sample",
        "1.0",
        "Fraction of the lines of successful exchanges that are written, 0.0 to 1.0. Lines of errors always are.",
    ),
];

/// The same, where what is left out is as in `[log]`.
pub const SERVICE_KEYS: &[Key] = &[
    Key::absent("application", "\"logs/shop.log\"", "\"stdout\", \"off\" or a file"),
    Key::absent("sample", "0.1", "fraction of the lines of successful exchanges"),
];

/// The keys of `[log]` alone.
pub const OWN_KEYS: &[Key] = &[
    Key::default(
        "level",
        "\"info\"",
        "Operational messages on stderr: \"error\", \"warn\", \"info\" or \"debug\".",
    ),
    Key::default(
        "format",
        "\"auto\"",
        "Shape of operational messages: \"text\", \"json\", or \"auto\": text on a terminal, JSON elsewhere.",
    ),
];

impl Default for Log {
    fn default() -> Self {
        Self {
            application: LogTarget::Stdout,
            sample: 1.0,
            level: LogLevel::Info,
            format: LogFormat::Auto,
        }
    }
}

impl Log {
    /// Reads `[log]`.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let table = Table::open(value, "[log]".to_owned(), "log", &[SHARED_KEYS, OWN_KEYS])?;
        let default = Self::default();
        let level = |value: &Value<'_>| value.choice(LEVELS);
        let format = |value: &Value<'_>| value.choice(FORMATS);
        Some(Self {
            application: table.or("application", default.application, LogTarget::read),
            sample: table.or("sample", default.sample, sample),
            level: table.or("level", default.level, level),
            format: table.or("format", default.format, format),
        })
    }
}

/// What a virtual service says about its log.
#[derive(Clone, Debug, Default)]
pub struct ServiceLog {
    /// Its own target, if it has one.
    pub application: Option<LogTarget>,
    /// Its own fraction, if it has one.
    pub sample: Option<f64>,
}

impl ServiceLog {
    /// Reads `log = { .. }` of a virtual service.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        if value.is_text() {
            let help = "write `log = { application = \"logs/shop.log\" }`".to_owned();
            value.wrong_type_help("a table", Some(help));
            return None;
        }
        let title = "`log` of a virtual service".to_owned();
        let table = Table::open(value, title, "service_log", &[SERVICE_KEYS])?;
        let good = |target: Field<LogTarget>| target.good().map(|located| located.value.clone());
        Some(Self {
            application: good(table.field("application", LogTarget::read)),
            sample: table.field("sample", sample).good().map(|located| located.value),
        })
    }
}

impl LogTarget {
    /// The target with `{virtual_service}` replaced.
    #[must_use]
    pub fn for_service(&self, service: &VirtualServiceName) -> Self {
        match self {
            Self::File(path) => match path.to_str() {
                Some(text) if text.contains(PLACEHOLDER) => {
                    Self::File(Path::new(&text.replace(PLACEHOLDER, service.as_str())).into())
                }
                _ => self.clone(),
            },
            Self::Off | Self::Stdout => self.clone(),
        }
    }

    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.word()?;
        match &*text {
            "off" => return Some(Self::Off),
            "stdout" | "-" => return Some(Self::Stdout),
            "stderr" => {
                let help = "write \"stdout\", \"off\" or the path of a file".to_owned();
                let message =
                    "the application log does not go to stderr, which has the operational messages";
                value.complain(message, "", Some(help));
                return None;
            }
            _ => {}
        }
        if text.replace(PLACEHOLDER, "").contains(['{', '}']) {
            let help = format!("the only placeholder is `{PLACEHOLDER}`");
            value.complain("unknown placeholder in the path of a log", "", Some(help));
            return None;
        }
        value.path().map(|path| Self::File(path.into()))
    }
}

fn sample(value: &Value<'_>) -> Option<f64> {
    value.number(0.0..=1.0)
}

/// One file for each virtual service.
const PLACEHOLDER: &str = "{virtual_service}";

const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
];

const FORMATS: &[(&str, LogFormat)] =
    &[("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_placeholder_makes_one_file_for_each_service() {
        let target = LogTarget::File(Path::new("logs/{virtual_service}.log").into());
        let service = "shop".parse().expect("a name");
        assert_eq!(
            target.for_service(&service),
            LogTarget::File(Path::new("logs/shop.log").into())
        );
        assert_eq!(LogTarget::Stdout.for_service(&service), LogTarget::Stdout);
    }
}
