//! `[dns]`: how the names of endpoints are resolved.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::complaint::Complaint;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::units::DurationText;
use crate::config::value::Value;

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

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::default(
        "servers",
        "[]",
        "Addresses of servers to ask, such as [\"127.0.0.1:5353\"]; without a port, 53. Default: those of the \
         system (/etc/resolv.conf), after /etc/hosts.",
    ),
    Key::default("min_ttl", "\"1s\"", "A shorter time to live counts as this."),
    Key::default("max_ttl", "\"5m\"", "A longer time to live counts as this."),
];

impl Dns {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let table = Table::open(value, "[dns]".to_owned(), "dns", &[KEYS])?;
        let default = Self::default();
        let min_ttl = table.field("min_ttl", |value| value.duration(TTLS));
        let max_ttl = table.field("max_ttl", |value| value.duration(TTLS));
        let place = min_ttl.place().or(max_ttl.place()).cloned();
        let (min_ttl, max_ttl) = (min_ttl.or(default.min_ttl), max_ttl.or(default.max_ttl));
        if let (true, Some(place)) = (min_ttl > max_ttl, place) {
            let (min, max) = (DurationText(min_ttl), DurationText(max_ttl));
            let message = format!("`min_ttl` ({min}) is longer than `max_ttl` ({max})");
            let complaint = Complaint::error(place, message);
            table.document().complain(complaint.help("name both, the shorter one as `min_ttl`"));
        }
        let servers = table.or("servers", default.servers, |value| value.list(server));
        Some(Self { servers, min_ttl, max_ttl })
    }
}

fn server(value: &Value<'_>) -> Option<SocketAddr> {
    let text = value.text()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 53));
    }
    let server = text.parse::<SocketAddr>().ok().filter(|server| server.port() != 0);
    if server.is_none() {
        let help =
            "write an address, with a port if it is not 53: \"10.0.0.2\", \"127.0.0.1:5353\" \
                    or \"[::1]:5353\""
                .to_owned();
        value.complain(format!("`{text}` is not the address of a DNS server"), "", Some(help));
    }
    server
}

/// An hour or so is what operators wait for a change; a day is as good as never.
const TTLS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read::testing::reads;
    use crate::config::read::testing::refuses;

    #[test]
    fn a_server_without_a_port_listens_on_53() {
        let dns = reads("{ servers = ['10.0.0.2', '[::1]:5353', '::1'] }", Dns::read);
        let expected = ["10.0.0.2:53", "[::1]:5353", "[::1]:53"];
        assert_eq!(dns.servers, expected.map(|server| server.parse().unwrap()));
        assert_eq!(reads("{}", Dns::read), Dns::default());
    }

    #[test]
    fn the_shortest_time_is_not_longer_than_the_longest() {
        assert!(refuses("{ min_ttl = '10m' }", Dns::read).contains("`max_ttl` (5m)"));
        refuses("{ servers = ['dns.example.com'] }", Dns::read);
        refuses("{ servers = ['10.0.0.2:0'] }", Dns::read);
    }
}
