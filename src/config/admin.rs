//! `[admin]`: where `/metrics`, `/healthz`, `/readyz`, status and reload are answered.

use std::fmt;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::value::Value;

/// The checked table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Admin {
    /// Default: `127.0.0.1:9901`.
    pub listen: AdminListen,
}

/// `"127.0.0.1:9901"` or `"unix:admin.sock"` (relative to the file that names it).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AdminListen {
    /// A TCP address; only loopback is accepted for now, because there is no login yet.
    Tcp(SocketAddr),
    /// A Unix socket, made with mode 0600.
    Unix(PathBuf),
}

/// The keys of the table.
pub const KEYS: &[Key] = &[Key::default(
    "listen",
    "\"127.0.0.1:9901\"",
    "A loopback address and port, or \"unix:PATH\". Other addresses are refused: there is no login.",
)];

impl fmt::Display for AdminListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: AdminListen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT))) }
    }
}

impl Admin {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let table = Table::open(value, "[admin]".to_owned(), "admin", &[KEYS])?;
        let default = Self::default();
        Some(Self { listen: table.or("listen", default.listen, AdminListen::read) })
    }
}

impl AdminListen {
    /// Parses an address of the command line, as [`fmt::Display`] prints it; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some("") => None,
            Some(path) => Some(Self::Unix(PathBuf::from(path))),
            None => text.parse().ok().map(Self::Tcp),
        }
    }

    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.word()?;
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() || path.contains('\0') {
                let help = "write \"unix:admin.sock\" or \"unix:/run/portcullis/admin.sock\"";
                value.complain("the path of the socket is missing", "", Some(help.to_owned()));
                return None;
            }
            return Some(Self::Unix(value.document().directory.join(path)));
        }
        let Ok(address) = text.parse::<SocketAddr>() else {
            let message = format!("`{text}` is not an address for the admin listener");
            let help = "write an address and a port, \"127.0.0.1:9901\", or \"unix:admin.sock\"";
            value.complain(message, "", Some(help.to_owned()));
            return None;
        };
        if !address.ip().is_loopback() {
            let help = format!(
                "write \"127.0.0.1:{port}\" or \"unix:admin.sock\"; to reach it from elsewhere, use an \
                 SSH tunnel",
                port = address.port()
            );
            let message = format!("the admin listener would be open to others on {address}");
            value.complain(message, "not a loopback address; there is no login", Some(help));
            return None;
        }
        Some(Self::Tcp(address))
    }
}

/// What comparable proxies use, so that dashboards find it.
const DEFAULT_PORT: u16 = 9901;
