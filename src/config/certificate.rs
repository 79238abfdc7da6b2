//! `[certificate.NAME]`: a named slot and where its chain and its key come from.

use std::path::PathBuf;

use crate::config::process::WorldReadableKeys;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::secret;
use crate::config::secret::Secret;
use crate::config::source::Located;
use crate::config::value::Value;
use crate::names::CertificateName;

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
    .with(SOURCE_KEYS),
];

const SOURCE_KEYS: &[Key] = &[
    Key::absent(
        "file",
        "\"certs/shop-ec.key\"",
        "PEM file with the key; default: the file of the chain",
    ),
    Key::absent("passphrase", "{ file = \"secrets/shop\" }", "of an encrypted key")
        .with(secret::KEYS),
];

impl Certificate {
    /// Reads the table.
    pub fn read(name: &Located<CertificateName>, value: &Value<'_>) -> Option<Self> {
        let title = format!("[certificate.{}]", name.value);
        let table = Table::open(value, title, "certificate", &[KEYS])?.placed(name.place.clone());
        let chain = match table.needed(&KEYS[0], Value::path) {
            Field::Good(chain) => Some(chain.value),
            Field::Absent | Field::Bad(_) => None,
        };
        let key = table.field("key", |value| KeySource::read(value, chain.as_ref()));
        let chain = chain?;
        let key = key.or(KeySource::File { path: chain.clone(), passphrase: None });
        let world_readable = WorldReadableKeys::default();
        Some(Self { name: name.value.clone(), chain, key, world_readable })
    }
}

impl KeySource {
    fn read(value: &Value<'_>, chain: Option<&PathBuf>) -> Option<Self> {
        if value.is_text() {
            let written =
                value.place().source().text().get(value.place().span()).map(str::to_owned);
            let written = written.filter(|text| !text.contains('\n') && !text.contains("-----"));
            if written.is_none() {
                value.place().hide();
            }
            let written = written.unwrap_or_else(|| "\"certs/shop.key\"".to_owned());
            let help = format!("write `key = {{ file = {written} }}`");
            value.wrong_type_help("a table that says where the key is", Some(help));
            return None;
        }
        let title = "`key` of a certificate".to_owned();
        let table = Table::open(value, title, "key", &[SOURCE_KEYS])?;
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
