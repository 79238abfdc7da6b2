//! `[certificate.NAME]`: a named slot and where its chain and its key come from.

use std::path::PathBuf;

use crate::config::complaint::Complaint;
use crate::config::pkcs11_uri::KeySelector;
use crate::config::pkcs11_uri::UriError;
use crate::config::process::WorldReadableKeys;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::secret;
use crate::config::secret::Secret;
use crate::config::source::Located;
use crate::config::value::Value;
use crate::names::CertificateName;
use crate::names::HsmName;

/// The checked table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// The name of the slot.
    pub name: CertificateName,
    /// PEM: the certificate first, then its intermediates. May also hold the key.
    pub chain: PathBuf,
    /// Where its private key is.
    pub key: KeySource,
    /// What is done when everybody can read the key; `[process] world_readable_keys`. It is here so that a
    /// reload which changes it judges every key again.
    pub world_readable: WorldReadableKeys,
}

/// Where a private key lives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeySource {
    /// PEM: PKCS#8 (plain or encrypted), PKCS#1 or SEC1. `key = { file = "..", passphrase = {..} }`.
    File {
        /// The PEM file.
        path: PathBuf,
        /// What an encrypted key is opened with.
        passphrase: Option<Secret>,
    },
    /// It stays in a token. `key = { hsm = "..", label = "..", id = ".." }` or `key = { pkcs11 = ".." }`.
    Token {
        /// The group whose members hold it.
        hsm: HsmName,
        /// Which key. Where it names a token, only the members that are this token sign.
        key: Box<KeySelector>,
    },
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::needed(
        "chain",
        "\"certs/shop-ec.pem\"",
        "PEM file: the certificate, then its intermediates. It may hold the private key too.",
    ),
    Key::absent(
        "key",
        "{ file = \"certs/shop-ec.key\", passphrase = { file = \"secrets/shop\" } }",
        "The private key: PKCS#8, PKCS#1 or SEC1. Default: it is in the file of the chain.",
    )
    .with(FILE_KEYS),
];

/// The keys of the table, where the private key is in a token.
pub const KEYS_WITH_TOKEN: &[Key] = &[
    Key::needed(
        "chain",
        "\"certs/shop-rsa.pem\"",
        "PEM file: the certificate, then its intermediates.",
    ),
    Key::needed(
        "key",
        "{ hsm = \"prod\", label = \"shop-rsa\" }",
        "The private key, which stays in a token. A table with",
    )
    .with(TOKEN_KEYS),
];

const FILE_KEYS: &[Key] = &[
    Key::absent(
        "file",
        "\"certs/shop-ec.key\"",
        "PEM file with the key; default: the file of the chain",
    ),
    Key::absent("passphrase", "{ file = \"secrets/shop\" }", "of an encrypted key")
        .with(secret::KEYS),
];

const TOKEN_KEYS: &[Key] = &[
    Key::absent(
        "hsm",
        "\"prod\"",
        "the [hsm.NAME] that has it; default: the one with the token of the URI, or the only one there is",
    ),
    Key::absent("label", "\"shop-rsa\"", "label of the key; this, `id` or both"),
    Key::absent(
        "id",
        "\"10\"",
        "id of the key in hexadecimal digits, as `pkcs11-tool --list-objects` prints it",
    ),
    Key::absent(
        "pkcs11",
        "\"pkcs11:object=shop-rsa;type=private\"",
        "in place of `label` and `id`: a URI as `p11tool --list-privkeys` prints it; one that names a token means \
         that token alone",
    ),
];

/// A certificate before its key is looked for among the tokens.
#[derive(Debug)]
pub struct RawCertificate {
    /// As [`Certificate::name`].
    pub name: CertificateName,
    /// As [`Certificate::chain`].
    pub chain: PathBuf,
    /// Where its private key is.
    pub key: RawKeySource,
}

/// Where a private key is said to be.
#[derive(Clone, Debug)]
pub enum RawKeySource {
    /// As [`KeySource::File`].
    File {
        /// The PEM file.
        path: PathBuf,
        /// What an encrypted key is opened with.
        passphrase: Option<Secret>,
    },
    /// In a token of a group that is not yet known to exist.
    Token(TokenKey),
}

/// A key in a token, as it is written.
#[derive(Clone, Debug)]
pub struct TokenKey {
    /// `hsm`, if it is there.
    pub hsm: Option<Located<HsmName>>,
    /// Which key; the place is that of the URI, or of all that is said.
    pub key: Located<KeySelector>,
}

impl RawCertificate {
    /// Reads the table.
    pub fn read(name: &Located<CertificateName>, value: &Value<'_>) -> Option<Self> {
        let title = format!("[certificate.{}]", name.value);
        let table = Table::open(value, title, "certificate", &[KEYS])?.placed(name.place.clone());
        let chain = match table.needed(&KEYS[0], Value::path) {
            Field::Good(chain) => Some(chain.value),
            Field::Absent | Field::Bad(_) => None,
        };
        let key = table.field("key", |value| RawKeySource::read(value, chain.as_ref()));
        let chain = chain?;
        let key = key.or(RawKeySource::File { path: chain.clone(), passphrase: None });
        Some(Self { name: name.value.clone(), chain, key })
    }

    /// The key, if it is in a token.
    pub fn token_key(&self) -> Option<&TokenKey> {
        match &self.key {
            RawKeySource::File { .. } => None,
            RawKeySource::Token(key) => Some(key),
        }
    }
}

impl RawKeySource {
    fn read(value: &Value<'_>, chain: Option<&PathBuf>) -> Option<Self> {
        if value.is_text() {
            refuse_text(value);
            return None;
        }
        let title = "`key` of a certificate".to_owned();
        let table = Table::open(value, title, "key", &[FILE_KEYS, TOKEN_KEYS])?;
        let first = |keys: &[Key]| keys.iter().find_map(|key| table.value(key.name));
        match (first(FILE_KEYS), first(TOKEN_KEYS)) {
            (Some(file), Some(token)) => {
                let message = "a key is in a file or in a token, not in both";
                let complaint = Complaint::error(token.key_place(), message)
                    .label("in a token")
                    .see(file.key_place(), "in a file")
                    .help(format!("remove {} or {}", file.name(), token.name()));
                table.document().complain(complaint);
                None
            }
            (None, Some(_)) => TokenKey::read(value, &table).map(Self::Token),
            (_, None) => Self::read_file(&table, chain),
        }
    }

    fn read_file(table: &Table<'_>, chain: Option<&PathBuf>) -> Option<Self> {
        let path = table.field("file", Value::path);
        let passphrase = table.field("passphrase", Secret::read);
        let path = match path {
            Field::Absent => chain?.clone(),
            Field::Bad(_) => return None,
            Field::Good(path) => path.value,
        };
        Some(Self::File { path, passphrase: passphrase.good().map(|secret| secret.value.clone()) })
    }
}

impl TokenKey {
    fn read(value: &Value<'_>, table: &Table<'_>) -> Option<Self> {
        let hsm = table.field("hsm", |value| value.parse("a name", |_| None));
        let label = table.field("label", |value| value.word().map(String::from));
        let id = table.field("id", id);
        let uri = table.field("pkcs11", uri);
        let hsm = match hsm {
            Field::Absent => None,
            Field::Bad(_) => return None,
            Field::Good(hsm) => Some(hsm),
        };
        let key = match (uri, label.place().or(id.place())) {
            (Field::Absent, None) => {
                let message = "`key` does not say which key of the token";
                let help = "add `label = \"NAME\"` or `id = \"10\"`, as `pkcs11-tool --list-objects` prints them";
                value.complain(message, "", Some(help.to_owned()));
                return None;
            }
            (Field::Absent, Some(_)) => {
                let (label, id) = (label.unless_bad()?, id.unless_bad()?);
                value.located(KeySelector { id, label, ..KeySelector::default() })
            }
            (Field::Good(uri), None) => uri,
            (Field::Bad(_), None) => return None,
            (Field::Bad(place) | Field::Good(Located { place, .. }), Some(other)) => {
                let message = "`pkcs11` excludes `label` and `id`";
                let complaint = Complaint::error(other.clone(), message)
                    .see(place, "this says which key")
                    .help("remove one of them: `object` and `id` of the URI are the same");
                table.document().complain(complaint);
                return None;
            }
        };
        Some(Self { hsm, key })
    }
}

/// A path, a URI, or the key itself, which nobody should find in a log.
fn refuse_text(value: &Value<'_>) {
    let written = value.place().source().text().get(value.place().span()).map(str::to_owned);
    let written = written.filter(|text| !text.contains('\n') && !text.contains("-----"));
    let is_uri = written.as_ref().is_some_and(|text| text.contains("pkcs11:"));
    let has_pin = |text: &String| is_uri && text.to_ascii_lowercase().contains("pin");
    let written = written.filter(|text| !has_pin(text));
    if written.is_none() {
        value.place().hide();
    }
    let (key, example) = match is_uri {
        true => ("pkcs11", "\"pkcs11:object=shop-ec\""),
        false => ("file", "\"certs/shop.key\""),
    };
    let written = written.unwrap_or_else(|| example.to_owned());
    let help = format!("write `key = {{ {key} = {written} }}`");
    value.wrong_type_help("a table that says where the key is", Some(help));
}

/// What a PIN in it says is never shown.
fn uri(value: &Value<'_>) -> Option<KeySelector> {
    match value.text()?.parse() {
        Ok(key) => Some(key),
        Err(error) => {
            if error == UriError::PinValue {
                value.place().hide();
            }
            value.complain(format!("this PKCS#11 URI cannot be used: {error}"), "", None);
            None
        }
    }
}

fn id(value: &Value<'_>) -> Option<Vec<u8>> {
    let text = value.word()?;
    let id = bytes_of(&text);
    if id.is_none() {
        let bare = text.trim_start_matches("0x").replace(['%', ':', ' '], "");
        let help = match bytes_of(&bare) {
            Some(_) => format!("write \"{bare}\""),
            None => "write its bytes with two hexadecimal digits each, such as \"10\"".to_owned(),
        };
        value.complain(format!("`{text}` is not the id of a key"), "", Some(help));
    }
    id
}

/// The bytes that are written with two hexadecimal digits each; at least one.
pub fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !digits.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read::testing::reads;
    use crate::config::read::testing::refuses;

    #[test]
    fn an_id_is_bytes_in_hexadecimal_digits() {
        assert_eq!(reads("'00aF10'", id), [0, 0xaf, 0x10]);
        for (wrong, told) in [
            ("'%10'", "write \"10\""),
            ("'0x10'", "write \"10\""),
            ("'a1:b2'", "write \"a1b2\""),
            ("'1'", "two hexadecimal digits"),
            ("'+1'", "two hexadecimal digits"),
            ("'ü1'", "two hexadecimal digits"),
            ("10", "write it in quotes"),
        ] {
            let complaints = refuses(wrong, id);
            assert!(complaints.contains(told), "{wrong}: {complaints}");
        }
    }

    #[test]
    fn a_key_in_a_token_is_named_by_label_and_id_or_by_a_uri() {
        let read = |value: &Value<'_>| RawKeySource::read(value, None);
        let label_and_id = reads("{ hsm = 'prod', label = 'a', id = '10' }", read);
        let RawKeySource::Token(label_and_id) = label_and_id else { panic!("in a token") };
        let uri = reads("{ pkcs11 = 'pkcs11:object=a;id=%10' }", read);
        let RawKeySource::Token(uri) = uri else { panic!("in a token") };
        assert_eq!(label_and_id.key.value, uri.key.value);
        assert_eq!(label_and_id.hsm.map(|hsm| hsm.value), "prod".parse().ok());
        assert!(uri.hsm.is_none());
        for wrong in [
            "{ hsm = 'prod' }",
            "{ hsm = '' , label = 'a' }",
            "{ label = '' }",
            "{ file = 'a', label = 'a' }",
            "{ passphrase = { env = 'A' }, hsm = 'prod', label = 'a' }",
            "{ pkcs11 = 'pkcs11:object=a', label = 'a' }",
            "{ pkcs11 = 'pkcs11:', id = '10' }",
            "'pkcs11:object=a'",
        ] {
            refuses(wrong, read);
        }
    }
}
