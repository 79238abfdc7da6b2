//! Where a secret comes from: never from the configuration itself.

use std::path::PathBuf;

use crate::config::complaint::Complaint;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::value::Value;

/// `{ file = "secrets/wildcard" }` or `{ env = "WILDCARD_PASSPHRASE" }`; read when it is needed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Secret {
    /// The name of an environment variable that holds it.
    Env(String),
    /// A file that holds it; a line feed at its end does not count.
    File(PathBuf),
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::absent("file", "\"secrets/shop\"", "a file that holds the secret"),
    Key::absent("env", "\"SHOP_PASSPHRASE\"", "the environment variable that holds the secret"),
];

impl Secret {
    /// Reads the table. What is written in place of it is never shown again.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            value.place().hide();
            value.wrong_type_help(
                "a table that says where the secret is",
                Some(format!("never write the secret itself here: {WANTED}")),
            );
            return None;
        }
        let table = Table::open(value, value.name(), "", &[KEYS])?;
        let file = table.value("file");
        let env = table.value("env");
        match (file, env) {
            (Some(file), None) => file.path().map(Self::File),
            (None, Some(env)) => env.word().and_then(|name| {
                if name.contains(['=', '\0', '$']) {
                    let help = "write the bare name, such as \"SHOP_PASSPHRASE\"".to_owned();
                    env.complain("`env` is not the name of a variable", "", Some(help));
                    return None;
                }
                Some(Self::Env(name.into_owned()))
            }),
            (Some(_), Some(env)) => {
                let complaint =
                    Complaint::error(env.place(), "`file` and `env` exclude each other");
                table.document().complain(complaint.help("name one place for the secret"));
                None
            }
            (None, None) => {
                let message = format!("{} names no place of the secret", value.name());
                value.complain(message, "", Some(WANTED.to_owned()));
                None
            }
        }
    }
}

const WANTED: &str = "write `{ file = \"secrets/shop\" }` or `{ env = \"SHOP_PASSPHRASE\" }`";
