//! `client_certificate = { .. }` of a TLS profile.

use crate::config::complaint::Complaint;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::tls_profile::ClientCertificate;
use crate::config::value::Value;

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::needed(
        "mode",
        "\"require\"",
        "\"none\"; \"request\": a client may come without one, but one that is sent must verify; \"require\"",
    ),
    Key::absent(
        "ca",
        "\"certs/clients-ca.pem\"",
        "PEM file with the CAs that issue client certificates",
    ),
    Key::absent("crl", "\"certs/clients.crl\"", "PEM file with their revocation lists"),
];

#[derive(Clone, Copy, Eq, PartialEq)]
enum Mode {
    None,
    Request,
    Require,
}

impl ClientCertificate {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            value.wrong_type_help("a table", Some(WANTED.to_owned()));
            return None;
        }
        let title = "`client_certificate`".to_owned();
        let table = Table::open(value, title, "client_certificate", &[KEYS])?;
        let mode = table.needed(&KEYS[0], |value| value.choice(MODES));
        let ca = table.field("ca", Value::path);
        let crl = table.field("crl", Value::path);
        let mode = mode.good()?.value;
        if mode == Mode::None {
            if let Some(place) = ca.place().or(crl.place()) {
                let message = "clients are not asked for a certificate, so this has no effect";
                let complaint = Complaint::warning(place.clone(), message);
                table
                    .document()
                    .complain(complaint.help("write `mode = \"request\"` or \"require\""));
            }
            return Some(Self::None);
        }
        let crl = crl.good().map(|crl| crl.value.clone());
        let ca = match ca {
            Field::Good(ca) => ca.value,
            Field::Bad(_) => return None,
            Field::Absent => {
                let message = "client certificates cannot be verified without `ca`";
                value.complain(message, "", Some(WANTED.to_owned()));
                return None;
            }
        };
        Some(match mode {
            Mode::Request | Mode::None => Self::Request { ca, crl },
            Mode::Require => Self::Require { ca, crl },
        })
    }
}

const WANTED: &str =
    "write `client_certificate = { mode = \"require\", ca = \"certs/clients-ca.pem\" }`";

const MODES: &[(&str, Mode)] =
    &[("none", Mode::None), ("request", Mode::Request), ("require", Mode::Require)];
