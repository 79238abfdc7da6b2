//! `[pool.NAME]`: endpoints, how one is chosen, and how it is spoken to.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::balance;
use crate::config::balance::Balance;
use crate::config::balance::HashKey;
use crate::config::balance::Sticky;
use crate::config::complaint::Complaint;
use crate::config::endpoints;
use crate::config::health;
use crate::config::health::Ejection;
use crate::config::health::HealthCheck;
use crate::config::health::Probe;
use crate::config::pool_tls;
use crate::config::pool_tls::RawPoolTls;
use crate::config::queue;
use crate::config::queue::Limit;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::source::Located;
use crate::config::source::Place;
use crate::config::timeouts::WAITS;
use crate::config::value::Value;
use crate::names::CertificateName;
use crate::names::EndpointAddr;
use crate::names::PoolName;

/// The checked table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pool {
    /// The name of the pool.
    pub name: PoolName,
    /// At least one; no address twice.
    pub endpoints: Vec<Endpoint>,
    /// Default round robin.
    pub balance: Balance,
    /// Default `auto`: HTTP/1.1 in plain text; by ALPN over TLS.
    pub protocol: PoolProtocol,
    /// None: plain text.
    pub tls: Option<PoolTls>,
    /// Time limit of a TCP connect, and of the TLS handshake after it. Default 5s.
    pub connect_timeout: Duration,
    /// From the request sent to the head of the response. Default 30s.
    pub first_byte_timeout: Duration,
    /// How long an endpoint may be silent in the middle of a response, and a gRPC client between two
    /// of its messages. Default 5m: events that are pushed now and then are no failure.
    pub body_timeout: Duration,
    /// How long an unused connection is kept. Default 55s (below the 60s that many origins use).
    pub idle_timeout: Duration,
    /// Unused connections kept for each endpoint and worker. Default 64.
    pub idle_connections: usize,
    /// Attempts on another connection or endpoint after a failure that sent nothing, or where the
    /// method is safe. Default 1.
    pub retries: u32,
    /// Retries for each 1,000 requests, beyond a few that are always allowed: a pool in trouble is
    /// not asked twice for everything. Default 200.
    pub retry_permille: u16,
    /// None: a client may be served by another endpoint each time.
    pub sticky: Option<Sticky>,
    /// None: an endpoint is down when it cannot be connected to, and not before.
    pub health: Option<HealthCheck>,
    /// Passive: by the answers of requests.
    pub ejection: Ejection,
    /// An endpoint that comes up gets its share by and by, over this time. Default 0s: at once.
    pub slow_start: Duration,
    /// None: no limit.
    pub limit: Option<Limit>,
    /// `proxy_protocol = true`: each connection begins with a PROXY protocol v2 header, and so serves
    /// one client's request or stream only.
    pub proxy_protocol: bool,
}

impl Pool {
    /// A pool in which all but the endpoints is as it is without a word about it.
    pub fn new(name: PoolName, endpoints: Vec<Endpoint>) -> Self {
        Self {
            name,
            endpoints,
            balance: Balance::RoundRobin,
            protocol: PoolProtocol::Auto,
            tls: None,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(55),
            idle_connections: 64,
            retries: 1,
            retry_permille: 200,
            sticky: None,
            health: None,
            ejection: Ejection::default(),
            slow_start: Duration::ZERO,
            limit: None,
            proxy_protocol: false,
        }
    }
}

/// One address of a pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: EndpointAddr,
    /// Its share, from 0 to 1000; default 1. 0 drains it: what is under way ends, sticky clients
    /// still reach it, nobody else does.
    pub weight: u32,
}

/// What is spoken to the endpoints.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PoolProtocol {
    /// HTTP/1.1 in plain text; by ALPN over TLS.
    Auto,
    /// HTTP/1.1 alone.
    Http1,
    /// Over TLS by ALPN, in plain text with prior knowledge.
    Http2,
}

/// TLS to the endpoints (SPEC VS-10).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PoolTls {
    /// What is sent as server name and verified; None: the endpoint's own host.
    pub server_name: Option<String>,
    /// PEM with the CAs to trust; None: the system's.
    pub ca: Option<PathBuf>,
    /// A certificate slot to present to the endpoint.
    pub certificate: Option<CertificateName>,
    /// `verify = false` turns verification off, with a warning at every start.
    pub verify: bool,
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::needed(
        "endpoints",
        "[\"10.0.0.1:8080\", { address = \"10.0.0.2:8080\", weight = 2 }]",
        "Addresses and ports; \"app.internal:8080\": all addresses of a name, resolved again when its time to live \
         is over; \"unix:/run/app.sock\": a socket in the file system. Or tables with",
    )
    .with(endpoints::KEYS),
    Key::default(
        "balance",
        "\"round_robin\"",
        "How an endpoint is chosen: \"round_robin\", \"least_requests\", \"two_choices\" (the less busy one of two) \
         or \"consistent_hash\" (always the same one for the same `hash`).",
    ),
    Key::absent(
        "hash",
        "{ header = \"x-user\" }",
        "With balance = \"consistent_hash\": \"client_address\" (the default), or a table with",
    )
    .with(balance::HASH_KEYS),
    Key::absent(
        "sticky",
        "{ cookie = \"route\", max_age = \"1h\" }",
        "A client stays with the endpoint that answered it first; a table with",
    )
    .with(balance::STICKY_KEYS),
    Key::default(
        "protocol",
        "\"auto\"",
        "\"http1\", \"http2\" (by ALPN over TLS, with prior knowledge in plain text), or \"auto\": HTTP/1.1 in \
         plain text, by ALPN over TLS.",
    ),
    Key::absent(
        "tls",
        "{ server_name = \"shop.internal\", ca = \"certs/internal-ca.pem\" }",
        "TLS to the endpoints, verified; `{}` is enough. Default: plain text.",
    )
    .with(pool_tls::KEYS),
    Key::default(
        "connect_timeout",
        "\"5s\"",
        "Time limit of a TCP connect, and of the TLS handshake after it.",
    ),
    Key::default(
        "first_byte_timeout",
        "\"30s\"",
        "From the request sent to the head of the response.",
    ),
    Key::default(
        "body_timeout",
        "\"5m\"",
        "How long an endpoint may be silent in the middle of a response, and a gRPC client between two messages.",
    ),
    Key::default(
        "idle_timeout",
        "\"55s\"",
        "How long an unused connection is kept. Keep it below what the endpoints allow.",
    ),
    Key::default(
        "idle_connections",
        "64",
        "Unused connections kept for each endpoint and worker. From 0 to 10000.",
    ),
    Key::default(
        "retries",
        "1",
        "Further attempts after a failure that sent nothing, or where the method is safe. From 0 to 10.",
    ),
    Key::default(
        "retry_budget",
        "0.2",
        "Retries for each request, beyond a few that are always allowed, 0.0 to 1.0: a pool in trouble is not \
         asked twice for everything.",
    ),
    Key::default(
        "slow_start",
        "\"0s\"",
        "An endpoint that comes up gets its share by and by, over this time.",
    ),
    Key::absent(
        "limit",
        "{ in_flight = 100, queue = 100, queue_timeout = \"5s\" }",
        "How much each endpoint gets at once, of all workers. Default: no limit. A table with",
    )
    .with(queue::KEYS),
    Key::absent(
        "health",
        "{ path = \"/healthz\", status = [\"200-299\", \"404\"], interval = \"5s\" }",
        "Active checks. Default: none; an endpoint is down while it cannot be connected to. A table with",
    )
    .with(health::KEYS),
    Key::absent(
        "ejection",
        "{ failures = 5, duration = \"10s\" }",
        "An endpoint whose answers fail is left out for a while. This is the default; a table with",
    )
    .with(health::EJECTION_KEYS),
    Key::default(
        "proxy_protocol",
        "false",
        "true: connections begin with a PROXY protocol header (version 2) that tells the endpoint about the client. \
         Each then serves one request or stream.",
    ),
];

/// A pool before its references are resolved.
#[derive(Debug)]
pub struct RawPool {
    /// All but `tls`.
    pub pool: Pool,
    /// `tls`.
    pub tls: Field<RawPoolTls>,
    /// Where `hash` stands.
    hash: Option<Place>,
    /// `sticky`.
    sticky: Field<Sticky>,
    /// `health`.
    health: Field<HealthCheck>,
}

impl RawPool {
    /// Reads the table.
    pub fn read(name: &Located<PoolName>, value: &Value<'_>) -> Option<Self> {
        let title = format!("[pool.{}]", name.value);
        let table = Table::open(value, title, "pool", &[KEYS])?.placed(name.place.clone());
        let wait = |value: &Value<'_>| value.duration(WAITS);
        let count = |most: u64| move |value: &Value<'_>| value.integer(0..=most);
        let default = Pool::new(name.value.clone(), Vec::new());
        let budget = table.or("retry_budget", 0.2, |value| value.number(0.0..=1.0));
        let sticky = table.field("sticky", Sticky::read);
        let health = table.field("health", HealthCheck::read);
        let proxy_protocol = table.field("proxy_protocol", proxy_protocol);
        let pool = Pool {
            endpoints: table.needed(&KEYS[0], endpoints::endpoints).or(Vec::new()),
            balance: Balance::read(&table),
            protocol: table.or("protocol", default.protocol, |value| value.choice(PROTOCOLS)),
            connect_timeout: table.or("connect_timeout", default.connect_timeout, wait),
            first_byte_timeout: table.or("first_byte_timeout", default.first_byte_timeout, wait),
            body_timeout: table.or("body_timeout", default.body_timeout, wait),
            idle_timeout: table.or("idle_timeout", default.idle_timeout, wait),
            idle_connections: table.field("idle_connections", count(10_000)).or(64) as usize,
            retries: table.field("retries", count(10)).or(1) as u32,
            retry_permille: (budget * 1000.0).round() as u16,
            sticky: sticky.good().map(|sticky| sticky.value.clone()),
            health: health.good().map(|health| health.value.clone()),
            ejection: table.or("ejection", default.ejection, Ejection::read),
            slow_start: table.or("slow_start", default.slow_start, |value| value.duration(STARTS)),
            limit: table.or("limit", None, |value| Limit::read(value).map(Some)),
            proxy_protocol: proxy_protocol.good().is_some_and(|proxy| proxy.value),
            name: default.name,
            tls: None,
        };
        let tls = table.field("tls", RawPoolTls::read);
        let raw =
            Self { pool, tls, hash: table.value("hash").map(|hash| hash.place()), sticky, health };
        raw.check_probe(&table);
        raw.check_proxy_protocol(&table);
        Some(raw)
    }

    /// Where the pool says that it needs a request to choose an endpoint.
    pub fn needs_requests(&self) -> Option<&Place> {
        let by_request = match &self.pool.balance {
            Balance::ConsistentHash(HashKey::Cookie(_) | HashKey::Header(_)) => self.hash.as_ref(),
            _ => None,
        };
        self.sticky.place().or(by_request)
    }

    /// A handshake cannot be tried where none is made.
    fn check_probe(&self, table: &Table<'_>) {
        let Some(health) = self.health.good() else { return };
        if health.value.probe == Probe::Tls && self.tls.is_absent() {
            let message = "`probe = \"tls\"` needs the pool's own `tls`";
            let complaint = Complaint::error(health.place.clone(), message);
            let help = "add `tls = {}` to the pool, or write `probe = \"tcp\"`";
            table.document().complain(complaint.help(help));
        }
        let has_address = |endpoint: &Endpoint| !matches!(endpoint.address, EndpointAddr::Unix(_));
        let is_local =
            !self.pool.endpoints.is_empty() && !self.pool.endpoints.iter().any(has_address);
        if is_local && health.value.port.is_some() {
            let message = "sockets in the file system have no port to check";
            let complaint = Complaint::warning(health.place.clone(), message);
            table.document().complain(complaint.help("remove `port` from `health`"));
        }
    }

    /// A connection that is one client's is not kept and not shared.
    fn check_proxy_protocol(&self, table: &Table<'_>) {
        if !self.pool.proxy_protocol {
            return;
        }
        let http2 = table.value("protocol").filter(|_| self.pool.protocol == PoolProtocol::Http2);
        let unused =
            ["idle_timeout", "idle_connections"].into_iter().filter_map(|key| table.value(key));
        for value in http2.into_iter().chain(unused) {
            let message = format!("{} has no effect with `proxy_protocol = true`", value.name());
            let message = match value.word_of_table() {
                "protocol" => "HTTP/2 saves no connections with `proxy_protocol = true`".to_owned(),
                _ => message,
            };
            let complaint = Complaint::warning(value.place(), message)
                .note("each connection tells of one client, serves one request, and is closed")
                .help(format!("remove {}", value.name()));
            table.document().complain(complaint);
        }
    }
}

fn proxy_protocol(value: &Value<'_>) -> Option<bool> {
    if value.is_text() {
        let help = "write `proxy_protocol = true`: version 2 is sent".to_owned();
        value.wrong_type_help("true or false", Some(help));
        return None;
    }
    value.flag()
}

const PROTOCOLS: &[(&str, PoolProtocol)] =
    &[("auto", PoolProtocol::Auto), ("http1", PoolProtocol::Http1), ("http2", PoolProtocol::Http2)];

/// Longer than an hour, and an endpoint hardly counts on the day it comes up.
const STARTS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);
