//! `health = { .. }` and `ejection = { .. }` of a pool: how it is noticed that an endpoint is down.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::complaint::Complaint;
use crate::config::http_words;
use crate::config::http_words::status_range;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::timeouts::WAITS;
use crate::config::value::Value;
use crate::names::ServerName;

/// Active checks (SPEC PX-2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HealthCheck {
    /// What is tried.
    pub probe: Probe,
    /// From the end of one check to the beginning of the next. Default 5s.
    pub interval: Duration,
    /// By how much of itself the interval is made longer or shorter at random. Default 0.1.
    pub jitter_permille: u16,
    /// For one check. Default 2s.
    pub timeout: Duration,
    /// Good checks in a row after which a down endpoint is up. Default 2.
    pub rise: u32,
    /// Bad checks in a row after which an up endpoint is down. Default 3.
    pub fall: u32,
    /// Another port than that of the traffic.
    pub port: Option<u16>,
}

/// What a check does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Probe {
    /// GET over the pool's own protocol and TLS.
    Http {
        /// Begins with a slash; may have a query.
        path: String,
        /// The Host to ask for; None: the pool's server name, or the endpoint's own host.
        host: Option<String>,
        /// First and last of each range of good statuses. Default 200 to 399.
        status: Vec<(u16, u16)>,
    },
    /// A TCP connection can be opened.
    Tcp,
    /// A TLS handshake succeeds, with the pool's own settings.
    Tls,
}

/// Passive: an endpoint whose answers fail is left out for a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ejection {
    /// Failures in a row (connecting, no answer, or a broken one) after which it is left out; 0:
    /// never. Default 5.
    pub failures: u32,
    /// For how long. Default 10s.
    pub duration: Duration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { failures: 5, duration: Duration::from_secs(10) }
    }
}

/// The keys of `health`.
pub const KEYS: &[Key] = &[
    Key::absent(
        "path",
        "\"/healthz\"",
        "HTTP: GET of this, over the pool's own protocol and TLS; a query is welcome",
    ),
    Key::absent(
        "status",
        "[\"200-299\", \"404\"]",
        "HTTP: statuses and ranges that are good; default [\"200-399\"]",
    ),
    Key::absent(
        "host",
        "\"shop.internal\"",
        "HTTP: the Host to ask for; default: the pool's server name, or the host of the endpoint",
    ),
    Key::absent(
        "probe",
        "\"tcp\"",
        "instead of `path`: \"tcp\" (a connection can be opened) or \"tls\" (and a handshake succeeds)",
    ),
    Key::default("interval", "\"5s\"", "from the end of one check to the beginning of the next"),
    Key::default("jitter", "0.1", "by how much of itself it varies at random, 0.0 to 1.0"),
    Key::default("timeout", "\"2s\"", "for one check"),
    Key::default("rise", "2", "good checks in a row after which a down endpoint is up"),
    Key::default("fall", "3", "bad checks in a row after which an up endpoint is down"),
    Key::absent("port", "9000", "another port than that of the traffic"),
];

/// The keys of `ejection`.
pub const EJECTION_KEYS: &[Key] = &[
    Key::default(
        "failures",
        "5",
        "failures in a row (connecting, no answer or a broken one) after which it is left out; 0: never",
    ),
    Key::default("duration", "\"10s\"", "for how long"),
];

impl HealthCheck {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            value.wrong_type_help("a table", Some(WANTED.to_owned()));
            return None;
        }
        let table = Table::open(value, "`health`".to_owned(), "health", &[KEYS])?;
        let count = |value: &Value<'_>| value.integer(1..=1000).map(|count| count as u32);
        let port = table.field("port", |value| value.integer(1..=65535));
        let jitter = table.or("jitter", 0.1, |value| value.number(0.0..=1.0));
        let interval = table.or("interval", INTERVAL, |value| value.duration(INTERVALS));
        let timeout = table.or("timeout", TIMEOUT, |value| value.duration(WAITS));
        let (rise, fall) = (table.or("rise", 2, count), table.or("fall", 3, count));
        Some(Self {
            probe: Probe::read(value, &table)?,
            interval,
            jitter_permille: (jitter * 1000.0).round() as u16,
            timeout,
            rise,
            fall,
            port: port.good().map(|port| port.value as u16),
        })
    }
}

impl Probe {
    fn read(value: &Value<'_>, table: &Table<'_>) -> Option<Self> {
        let path = table.field("path", path);
        let host = table.field("host", host);
        let status = table.field("status", statuses);
        let probe = table.field("probe", probe);
        let http_only = [("status", status.place()), ("host", host.place())];
        for (key, place) in http_only.into_iter().filter(|_| path.is_absent()) {
            let Some(place) = place else { continue };
            let message = format!("`{key}` is for HTTP checks, and this is none");
            let complaint = Complaint::error(place.clone(), message);
            table.document().complain(complaint.help("add `path = \"/healthz\"`, or remove it"));
        }
        match (path, probe) {
            (Field::Good(path), Field::Absent) => Some(Self::Http {
                path: path.value,
                host: host.good().map(|host| host.value.clone()),
                status: status.or(vec![(200, 399)]),
            }),
            (Field::Absent, Field::Good(probe)) => Some(probe.value),
            (Field::Absent, Field::Absent) => {
                let message = "`health` does not say what is checked";
                value.complain(message, "", Some(WANTED.to_owned()));
                None
            }
            (Field::Good(path), Field::Good(probe)) => {
                let complaint =
                    Complaint::error(probe.place, "`path` and `probe` exclude each other")
                        .see(path.place, "this makes it an HTTP check")
                        .help("remove one of them");
                table.document().complain(complaint);
                None
            }
            (Field::Bad(_), _) | (_, Field::Bad(_)) => None,
        }
    }
}

impl Ejection {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            let help = "write `ejection = { failures = 5, duration = \"10s\" }`; 0 failures: never";
            value.wrong_type_help("a table", Some(help.to_owned()));
            return None;
        }
        let table = Table::open(value, "`ejection`".to_owned(), "ejection", &[EJECTION_KEYS])?;
        let default = Self::default();
        let failures = table.field("failures", |value| value.integer(0..=1000));
        let duration = table.field("duration", |value| value.duration(INTERVALS));
        if let (Some(0), Some(place)) =
            (failures.good().map(|failures| failures.value), duration.place())
        {
            let message = "`failures = 0` leaves no endpoint out, so `duration` has no effect";
            let complaint = Complaint::warning(place.clone(), message);
            table.document().complain(complaint.help("remove `duration`"));
        }
        Some(Self {
            failures: failures.or(u64::from(default.failures)) as u32,
            duration: duration.or(default.duration),
        })
    }
}

fn probe(value: &Value<'_>) -> Option<Probe> {
    if value.is_text() && value.text()?.starts_with("http") {
        let help = "write `path = \"/healthz\"`: with a path it is an HTTP check".to_owned();
        value.complain("an HTTP check needs a path", "", Some(help));
        return None;
    }
    Some(match value.choice(&[("tcp", false), ("tls", true)])? {
        false => Probe::Tcp,
        true => Probe::Tls,
    })
}

/// As [`http_words::path`], with a query if one is wanted.
fn path(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if !text.starts_with('/') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return http_words::path(value);
    }
    if let Some((before, _)) = text.split_once('#') {
        value.complain("a fragment is not sent", "", Some(format!("write \"{before}\"")));
        return None;
    }
    Some(text.into_owned())
}

fn host(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') => (name, Some(port)),
        _ => (&*text, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let is_address =
        name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    if !is_port || !(is_address || name.parse::<ServerName>().is_ok()) {
        let help = "write a name, with or without a port: \"shop.internal\"".to_owned();
        value.complain(format!("`{text}` is not a host"), "", Some(help));
        return None;
    }
    Some(text.into_owned())
}

fn statuses(value: &Value<'_>) -> Option<Vec<(u16, u16)>> {
    let statuses = value.list(status_range)?;
    if statuses.is_empty() {
        let help = "name at least one, such as [\"200-399\"]".to_owned();
        value.complain("no status would be good", "", Some(help));
        return None;
    }
    Some(statuses)
}

const WANTED: &str =
    "write `health = { path = \"/healthz\" }`, `{ probe = \"tcp\" }` or `{ probe = \"tls\" }`";

const INTERVAL: Duration = Duration::from_secs(5);

const TIMEOUT: Duration = Duration::from_secs(2);

/// Shorter is an attack on the endpoint, longer is as good as never.
const INTERVALS: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read::testing::reads;
    use crate::config::read::testing::refuses;

    #[test]
    fn a_path_makes_an_http_check() {
        let check = reads("{ path = '/healthz?full=1' }", HealthCheck::read);
        let status = vec![(200, 399)];
        assert_eq!(
            check.probe,
            Probe::Http { path: "/healthz?full=1".to_owned(), host: None, status }
        );
        assert_eq!((check.interval, check.timeout), (INTERVAL, TIMEOUT));
        assert_eq!((check.rise, check.fall, check.jitter_permille), (2, 3, 100));
        assert_eq!(reads("{ probe = 'tls' }", HealthCheck::read).probe, Probe::Tls);
    }

    #[test]
    fn a_check_that_checks_nothing_or_two_things_is_refused() {
        for wrong in [
            "{}",
            "'/healthz'",
            "{ probe = 'http' }",
            "{ probe = 'icmp' }",
            "{ probe = 'tcp', path = '/' }",
            "{ probe = 'tcp', status = [200] }",
            "{ path = 'healthz' }",
            "{ path = '/', status = [] }",
            "{ path = '/', host = 'a b' }",
            "{ path = '/', port = 0 }",
            "{ path = '/', rise = 0 }",
            "{ path = '/', jitter = 2 }",
        ] {
            refuses(wrong, HealthCheck::read);
        }
    }

    #[test]
    fn no_failures_means_that_nothing_is_left_out() {
        let never = reads("{ failures = 0 }", Ejection::read);
        assert_eq!(never, Ejection { failures: 0, ..Ejection::default() });
        assert_eq!(reads("{}", Ejection::read), Ejection::default());
    }
}
