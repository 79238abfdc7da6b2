//! `[dns]`: how the names of endpoints are resolved.

use std::net::SocketAddr;
use std::time::Duration;

/// The checked table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dns {
    /// Servers to ask; empty: those of the system (`/etc/resolv.conf`), after `/etc/hosts`.
    pub servers: Vec<SocketAddr>,
    /// A shorter time to live counts as this. Default 1s.
    pub min_ttl: Duration,
    /// A longer one counts as this. Default 5m.
    pub max_ttl: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(300),
        }
    }
}
