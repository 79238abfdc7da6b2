//! `[tls_profile.NAME]`: what a virtual service speaks, as words; compiled in `tls::profile`.

use std::path::PathBuf;

use crate::config::cipher_suite;
use crate::config::client_certificate;
use crate::config::complaint::Complaint;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::source::Located;
use crate::config::value::Value;
use crate::names::TlsProfileName;

/// The checked table. `modern` (1.3 only) and `intermediate` (1.2 and 1.3) are built in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsProfile {
    /// The name of the profile.
    pub name: TlsProfileName,
    /// At least one, no duplicates.
    pub versions: Vec<TlsVersion>,
    /// In order of preference; at least one for each version.
    pub cipher_suites: Vec<CipherSuite>,
    /// What may be used; of those that both sides have, the client's first one is.
    pub groups: Vec<Group>,
    /// Protocol names in order of preference: `h2`, `http/1.1`. Default both.
    pub alpn: Vec<Alpn>,
    /// Which key type goes first.
    pub prefer: Preference,
    /// Whether clients are asked for a certificate.
    pub client_certificate: ClientCertificate,
    /// TLS 1.3 tickets sent after a full handshake; 0 turns resumption off, TLS 1.2's too. Default 1.
    pub tickets: u8,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// The suites that exist here: forward secret and authenticated, nothing else.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum CipherSuite {
    /// TLS_AES_128_GCM_SHA256
    Tls13Aes128GcmSha256,
    /// TLS_AES_256_GCM_SHA384
    Tls13Aes256GcmSha384,
    /// TLS_CHACHA20_POLY1305_SHA256
    Tls13Chacha20Poly1305Sha256,
    /// TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    EcdheEcdsaAes128GcmSha256,
    /// TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
    EcdheEcdsaAes256GcmSha384,
    /// TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
    EcdheEcdsaChacha20Poly1305,
    /// TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    EcdheRsaAes128GcmSha256,
    /// TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    EcdheRsaAes256GcmSha384,
    /// TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    EcdheRsaChacha20Poly1305,
}

/// A group for the key exchange.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Group {
    /// X25519 and ML-KEM-768 together: holds against quantum computers. TLS 1.3 only.
    X25519MlKem768,
    /// Curve25519.
    X25519,
    /// P-256.
    Secp256r1,
    /// P-384.
    Secp384r1,
}

/// A protocol inside TLS.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Alpn {
    /// `http/1.1`
    Http1,
    /// `h2`
    Http2,
}

/// Which key type goes first where a client can use both.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Preference {
    /// Less work for the server.
    Ec,
    /// Less work for some clients.
    Rsa,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum ClientCertificate {
    /// No.
    None,
    /// Asked for; a client may come without one, but one that is sent must verify.
    Request {
        /// PEM with the CAs that issue client certificates.
        ca: PathBuf,
        /// PEM with their revocation lists.
        crl: Option<PathBuf>,
    },
    /// A client without one that verifies is refused.
    Require {
        /// PEM with the CAs that issue client certificates.
        ca: PathBuf,
        /// PEM with their revocation lists.
        crl: Option<PathBuf>,
    },
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::default("versions", "[\"1.2\", \"1.3\"]", "Versions of TLS: \"1.2\", \"1.3\"."),
    Key::default(
        "cipher_suites",
        "[\n    \"TLS_AES_128_GCM_SHA256\", \"TLS_AES_256_GCM_SHA384\", \"TLS_CHACHA20_POLY1305_SHA256\",\
         \n    \"ECDHE-ECDSA-AES128-GCM-SHA256\", \"ECDHE-RSA-AES128-GCM-SHA256\",\
         \n    \"ECDHE-ECDSA-AES256-GCM-SHA384\", \"ECDHE-RSA-AES256-GCM-SHA384\",\
         \n    \"ECDHE-ECDSA-CHACHA20-POLY1305\", \"ECDHE-RSA-CHACHA20-POLY1305\",\n]",
        "Cipher suites in order of preference, by their IANA or OpenSSL names; at least one for each version. \
         Default: all of them that the versions allow.",
    ),
    Key::default(
        "groups",
        "[\"X25519MLKEM768\", \"X25519\", \"P-256\", \"P-384\"]",
        "Groups for the key exchange; of those that both sides have, the client's favourite is used. \
         X25519MLKEM768 holds against quantum computers.",
    ),
    Key::default(
        "alpn",
        "[\"h2\", \"http/1.1\"]",
        "Protocols in order of preference: \"h2\", \"http/1.1\".",
    ),
    Key::default(
        "prefer",
        "\"ec\"",
        "The certificate for clients that can use both: \"ec\" or \"rsa\".",
    ),
    Key::default(
        "client_certificate",
        "{ mode = \"none\" }",
        "Whether clients are asked for a certificate; a table with",
    )
    .with(client_certificate::KEYS),
    Key::default(
        "tickets",
        "1",
        "TLS 1.3 session tickets sent after a full handshake, 0 to 8. 0 turns resumption off, in TLS 1.2 too.",
    ),
];

impl TlsProfile {
    /// `modern`: TLS 1.3 alone.
    pub fn modern() -> Self {
        Self::built_in(MODERN, vec![TlsVersion::Tls13])
    }

    /// `intermediate`: TLS 1.2 and 1.3.
    pub fn intermediate() -> Self {
        Self::built_in(INTERMEDIATE, vec![TlsVersion::Tls12, TlsVersion::Tls13])
    }

    /// The built-in profile of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            MODERN => Some(Self::modern()),
            INTERMEDIATE => Some(Self::intermediate()),
            _ => None,
        }
    }

    fn built_in(name: &str, versions: Vec<TlsVersion>) -> Self {
        Self {
            name: name.parse().expect("the names of built-in profiles are names"),
            cipher_suites: suites_of(&versions),
            versions,
            groups: vec![Group::X25519MlKem768, Group::X25519, Group::Secp256r1, Group::Secp384r1],
            alpn: vec![Alpn::Http2, Alpn::Http1],
            prefer: Preference::Ec,
            client_certificate: ClientCertificate::None,
            tickets: 1,
        }
    }

    /// Reads the table.
    pub fn read(name: &Located<TlsProfileName>, value: &Value<'_>) -> Option<Self> {
        let title = format!("[tls_profile.{}]", name.value);
        let table = Table::open(value, title, "tls_profile", &[KEYS])?;
        let default = Self::intermediate();
        let versions = table.field("versions", |value| distinct(value, TlsVersion::read));
        let suites = table.field("cipher_suites", |value| distinct(value, suite));
        let groups = table.field("groups", |value| distinct(value, Group::read));
        check_suites(&table, &versions, &suites);
        check_groups(&table, &versions, &groups);
        let mut versions = plain(versions).unwrap_or(default.versions);
        versions.sort_unstable();
        Some(Self {
            name: name.value.clone(),
            cipher_suites: plain(suites).unwrap_or_else(|| suites_of(&versions)),
            versions,
            groups: plain(groups).unwrap_or(default.groups),
            alpn: plain(table.field("alpn", |value| distinct(value, Alpn::read)))
                .unwrap_or(default.alpn),
            prefer: table.or("prefer", default.prefer, |value| value.choice(PREFERENCES)),
            client_certificate: table.or(
                "client_certificate",
                default.client_certificate,
                ClientCertificate::read,
            ),
            tickets: table.field("tickets", |value| value.integer(0..=MOST_TICKETS)).or(1) as u8,
        })
    }
}

fn suites_of(versions: &[TlsVersion]) -> Vec<CipherSuite> {
    CipherSuite::ALL.iter().copied().filter(|suite| versions.contains(&suite.version())).collect()
}

fn plain<T>(list: Field<Vec<Located<T>>>) -> Option<Vec<T>> {
    match list {
        Field::Good(list) => Some(list.value.into_iter().map(|entry| entry.value).collect()),
        Field::Absent | Field::Bad(_) => None,
    }
}

/// A list that is not empty and names nothing twice.
fn distinct<T: Eq>(
    value: &Value<'_>,
    read: impl FnMut(&Value<'_>) -> Option<T>,
) -> Option<Vec<Located<T>>> {
    let entries = value.located_list(read)?;
    if entries.is_empty() {
        let help = "name at least one, or remove the key for the default".to_owned();
        value.complain(format!("{} is empty", value.name()), "", Some(help));
        return None;
    }
    for (index, entry) in entries.iter().enumerate() {
        if let Some(first) = entries[..index].iter().find(|other| other.value == entry.value) {
            let message = format!("{} names the same thing twice", value.name());
            let complaint = Complaint::error(entry.place.clone(), message).label("again");
            let complaint = complaint.see(first.place.clone(), "first here").help("remove one");
            value.document().complain(complaint);
            return None;
        }
    }
    Some(entries)
}

fn suite(value: &Value<'_>) -> Option<CipherSuite> {
    let text = value.text()?;
    let suite = CipherSuite::named(&text);
    if suite.is_none() {
        let (why, help) = cipher_suite::refusal(&text);
        let message = format!("`{text}` is not a cipher suite that can be used");
        let complaint = Complaint::error(value.place(), message).maybe_help(help);
        let complaint = match why {
            Some(why) => complaint.note(why),
            None => complaint,
        };
        value.document().complain(complaint);
    }
    suite
}

fn check_suites(
    table: &Table<'_>,
    versions: &Field<Vec<Located<TlsVersion>>>,
    suites: &Field<Vec<Located<CipherSuite>>>,
) {
    let (Some(suites), false) = (suites.good(), matches!(versions, Field::Bad(_))) else { return };
    let enabled = enabled(versions);
    for suite in &suites.value {
        let version = suite.value.version();
        if !enabled.contains(&version) {
            let message = format!(
                "`{}` is a suite of TLS {}, which this profile does not speak",
                suite.value.as_str(),
                version.as_str()
            );
            let help = format!("remove it, or add \"{}\" to `versions`", version.as_str());
            table.document().complain(Complaint::error(suite.place.clone(), message).help(help));
        }
    }
    for version in enabled {
        if !suites.value.iter().any(|suite| suite.value.version() == version) {
            let message = format!("`cipher_suites` has no suite for TLS {}", version.as_str());
            let complaint = Complaint::error(suites.place.clone(), message)
                .help(format!("add one, such as \"{}\"", suites_of(&[version])[0].as_str()))
                .help(format!("or take \"{}\" out of `versions`", version.as_str()));
            table.document().complain(complaint);
        }
    }
}

fn check_groups(
    table: &Table<'_>,
    versions: &Field<Vec<Located<TlsVersion>>>,
    groups: &Field<Vec<Located<Group>>>,
) {
    let (Some(groups), false) = (groups.good(), matches!(versions, Field::Bad(_))) else { return };
    let hybrid_only = groups.value.iter().all(|group| group.value == Group::X25519MlKem768);
    if hybrid_only && enabled(versions).contains(&TlsVersion::Tls12) {
        let message = "`groups` has no group for TLS 1.2";
        let complaint = Complaint::error(groups.place.clone(), message)
            .label("X25519MLKEM768 is for TLS 1.3 only")
            .help("add \"X25519\" and \"P-256\", or write `versions = [\"1.3\"]`");
        table.document().complain(complaint);
    }
}

fn enabled(versions: &Field<Vec<Located<TlsVersion>>>) -> Vec<TlsVersion> {
    match versions.good() {
        Some(versions) => versions.value.iter().map(|version| version.value).collect(),
        None => vec![TlsVersion::Tls12, TlsVersion::Tls13],
    }
}

/// The name of the profile with TLS 1.3 alone.
pub const MODERN: &str = "modern";

/// The name of the profile that holds where none is named.
pub const INTERMEDIATE: &str = "intermediate";

/// The built-in profiles.
pub const BUILT_IN: &[&str] = &[MODERN, INTERMEDIATE];

const PREFERENCES: &[(&str, Preference)] = &[("ec", Preference::Ec), ("rsa", Preference::Rsa)];

/// Each ticket costs the handshake bytes and time; browsers use one or two.
const MOST_TICKETS: u64 = 8;
