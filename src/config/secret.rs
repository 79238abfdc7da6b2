//! Where a secret comes from: never from the configuration itself.

use std::path::PathBuf;

use crate::config::complaint::Complaint;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::value::Value;

/// `{ file = "secrets/wildcard" }`, `{ env = "WILDCARD_PASSPHRASE" }` or `{ credential = "wildcard" }`; read
/// when it is needed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Secret {
    /// The name of a credential that systemd hands to the service: a file in its directory of credentials.
    Credential(String),
    /// The name of an environment variable that holds it.
    Env(String),
    /// A file that holds it; a line feed at its end does not count.
    File(PathBuf),
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::absent("file", "\"secrets/shop\"", "a file that holds the secret"),
    Key::absent("env", "\"SHOP_PASSPHRASE\"", "the environment variable that holds the secret"),
    Key::absent(
        "credential",
        "\"shop\"",
        "a credential of systemd (`LoadCredential=`) that holds the secret",
    ),
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
        let mut places = KEYS.iter().filter_map(|key| table.value(key.name));
        match (places.next(), places.next()) {
            (Some(place), None) => match place.word_of_table() {
                "file" => place.path().map(Self::File),
                "env" => variable(&place).map(Self::Env),
                _ => credential(&place).map(Self::Credential),
            },
            (Some(first), Some(second)) => {
                let message = format!("{} and {} exclude each other", first.name(), second.name());
                let complaint = Complaint::error(second.place(), message);
                table.document().complain(complaint.help("name one place for the secret"));
                None
            }
            (None, _) => {
                let message = format!("{} names no place of the secret", value.name());
                value.complain(message, "", Some(WANTED.to_owned()));
                None
            }
        }
    }
}

fn variable(value: &Value<'_>) -> Option<String> {
    let name = value.word()?;
    if name.contains(['=', '\0', '$']) {
        let help = "write the bare name, such as \"SHOP_PASSPHRASE\"".to_owned();
        value.complain("`env` is not the name of a variable", "", Some(help));
        return None;
    }
    Some(name.into_owned())
}

/// One file of a directory that systemd makes: it leads nowhere else.
fn credential(value: &Value<'_>) -> Option<String> {
    let name = value.word()?;
    if name.contains(['/', '\0']) || name == "." || name == ".." {
        let help =
            "write the name that stands in `LoadCredential=`, such as \"shop\"; a path is `file`";
        value.complain("`credential` is not the name of a credential", "", Some(help.to_owned()));
        return None;
    }
    Some(name.into_owned())
}

const WANTED: &str = "write `{ file = \"secrets/shop\" }`, `{ env = \"SHOP_PASSPHRASE\" }` or \
                      `{ credential = \"shop\" }`";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read::testing::reads;
    use crate::config::read::testing::refuses;

    #[test]
    fn a_secret_has_one_of_three_places() {
        let file = reads("{ file = 'secrets/pin' }", Secret::read);
        assert_eq!(file, Secret::File("etc/secrets/pin".into()));
        assert_eq!(reads("{ env = 'PIN' }", Secret::read), Secret::Env("PIN".to_owned()));
        let credential = reads("{ credential = 'hsm-pin' }", Secret::read);
        assert_eq!(credential, Secret::Credential("hsm-pin".to_owned()));
        for two in
            ["file = 'a', env = 'A'", "file = 'a', credential = 'a'", "env = 'A', credential = 'a'"]
        {
            let complaints = refuses(&format!("{{ {two} }}"), Secret::read);
            assert!(complaints.contains("exclude each other"), "{complaints}");
        }
    }

    #[test]
    fn a_credential_is_a_name_and_no_path() {
        for wrong in ["", ".", "..", "a/b", "/run/pin"] {
            refuses(&format!("{{ credential = '{wrong}' }}"), Secret::read);
        }
    }
}
