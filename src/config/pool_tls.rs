//! `tls = { .. }` of a pool: how the endpoints are verified, and what is shown to them.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::config::complaint::Complaint;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::source::Located;
use crate::config::value::Value;
use crate::names::CertificateName;
use crate::names::ServerName;

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::absent(
        "server_name",
        "\"shop.internal\"",
        "what is sent as server name and verified; default: the host of the endpoint",
    ),
    Key::absent(
        "ca",
        "\"certs/internal-ca.pem\"",
        "PEM file with the CAs to trust; default: those of the system",
    ),
    Key::absent("certificate", "\"shop_ec\"", "a [certificate.NAME] to show to the endpoints"),
    Key::default("verify", "true", "false takes any certificate, with a warning at every start"),
];

/// The table before its reference is resolved.
#[derive(Clone, Debug)]
pub struct RawPoolTls {
    /// Sent and verified.
    pub server_name: Option<String>,
    /// CAs to trust.
    pub ca: Option<PathBuf>,
    /// The certificate to show, not yet known to exist.
    pub certificate: Option<Located<CertificateName>>,
    /// Whether anything is verified at all.
    pub verify: bool,
}

impl RawPoolTls {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            let help = "write `tls = {}` for verified TLS with the CAs of the system, or leave `tls` out \
                        for plain text";
            value.wrong_type_help("a table", Some(help.to_owned()));
            return None;
        }
        let table = Table::open(value, "`tls` of a pool".to_owned(), "pool_tls", &[KEYS])?;
        let verify = table.field("verify", Value::flag);
        if let Some(Located { value: false, place }) = verify.good() {
            let message = "the endpoints of this pool are not verified";
            let complaint = Complaint::warning(place.clone(), message)
                .note("anyone between the proxy and the endpoint can read and change everything")
                .help("name the CA of the endpoints instead: `ca = \"certs/internal-ca.pem\"`");
            table.document().complain(complaint);
        }
        let certificate = table.field("certificate", |value| value.parse("a name", |_| None));
        Some(Self {
            server_name: table.or("server_name", None, |value| server_name(value).map(Some)),
            ca: table.or("ca", None, |value| value.path().map(Some)),
            certificate: certificate.good().cloned(),
            verify: verify.or(true),
        })
    }
}

/// A name, or the address that the certificates of the endpoints are made out to.
fn server_name(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.parse::<IpAddr>().is_ok() {
        return Some(text.into_owned());
    }
    let name: ServerName = value.parse("a server name", |text| {
        let host = text.rsplit("://").next()?.split([':', '/']).next()?;
        (host != text).then(|| format!("write only the name: \"{host}\""))
    })?;
    Some(name.as_str().to_owned())
}
