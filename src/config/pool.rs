//! `[pool.NAME]`: endpoints, how one is chosen, and how it is spoken to.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::balance::Balance;
use crate::config::balance::Sticky;
use crate::config::complaint::Complaint;
use crate::config::health::Ejection;
use crate::config::health::HealthCheck;
use crate::config::pool_tls;
use crate::config::pool_tls::RawPoolTls;
use crate::config::queue::Limit;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::source::Located;
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
        "[\"10.0.0.1:8080\", { address = \"app.internal:8080\" }]",
        "Addresses and ports; names are resolved whenever a connection is made.",
    )
    .with(ENDPOINT_KEYS),
    Key::default(
        "balance",
        "\"round_robin\"",
        "How an endpoint is chosen: \"round_robin\" or \"least_requests\".",
    ),
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
];

const ENDPOINT_KEYS: &[Key] =
    &[Key::needed("address", "\"10.0.0.1:8080\"", "address or name, and port")];

/// A pool before its references are resolved.
#[derive(Debug)]
pub struct RawPool {
    /// All but `tls`.
    pub pool: Pool,
    /// `tls`.
    pub tls: Field<RawPoolTls>,
}

impl RawPool {
    /// Reads the table.
    pub fn read(name: &Located<PoolName>, value: &Value<'_>) -> Option<Self> {
        let title = format!("[pool.{}]", name.value);
        let table = Table::open(value, title, "pool", &[KEYS])?.placed(name.place.clone());
        let wait = |value: &Value<'_>| value.duration(WAITS);
        let count = |most: u64| move |value: &Value<'_>| value.integer(0..=most);
        let default = Pool::new(name.value.clone(), Vec::new());
        let pool = Pool {
            endpoints: table.needed(&KEYS[0], endpoints).or(Vec::new()),
            balance: table.or("balance", default.balance.clone(), balance),
            protocol: table.or("protocol", default.protocol, |value| value.choice(PROTOCOLS)),
            connect_timeout: table.or("connect_timeout", default.connect_timeout, wait),
            first_byte_timeout: table.or("first_byte_timeout", default.first_byte_timeout, wait),
            idle_timeout: table.or("idle_timeout", default.idle_timeout, wait),
            idle_connections: table.field("idle_connections", count(10_000)).or(64) as usize,
            retries: table.field("retries", count(10)).or(1) as u32,
            ..default
        };
        Some(Self { pool, tls: table.field("tls", RawPoolTls::read) })
    }
}

fn endpoints(value: &Value<'_>) -> Option<Vec<Endpoint>> {
    let endpoints = value.located_list(endpoint)?;
    if endpoints.is_empty() {
        let help = "name at least one, such as [\"10.0.0.1:8080\"]".to_owned();
        value.complain("a pool needs at least one endpoint", "nothing here", Some(help));
        return None;
    }
    let mut seen = HashMap::with_capacity(endpoints.len());
    for Located { value: endpoint, place } in &endpoints {
        if let Some(first) = seen.insert(endpoint.address.clone(), place) {
            let message = format!("the endpoint `{}` is named twice", endpoint.address);
            let complaint = Complaint::error(place.clone(), message).label("again");
            value
                .document()
                .complain(complaint.see(first.clone(), "first here").help("remove one"));
        }
    }
    Some(endpoints.into_iter().map(|endpoint| endpoint.value).collect())
}

fn endpoint(value: &Value<'_>) -> Option<Endpoint> {
    if value.entries().is_none() {
        return address(value).map(|address| Endpoint { address, weight: 1 });
    }
    let table = Table::open(value, "an endpoint".to_owned(), "endpoint", &[ENDPOINT_KEYS])?;
    match table.needed(&ENDPOINT_KEYS[0], address) {
        Field::Good(address) => Some(Endpoint { address: address.value, weight: 1 }),
        Field::Absent | Field::Bad(_) => None,
    }
}

fn address(value: &Value<'_>) -> Option<EndpointAddr> {
    value.parse("an endpoint", |text| {
        if let Some((scheme, rest)) = text.split_once("://") {
            let bare = rest.split('/').next().unwrap_or(rest);
            let tls = if scheme == "https" { "; for TLS add `tls = {}` to the pool" } else { "" };
            return Some(format!("write only the address and the port: \"{bare}\"{tls}"));
        }
        let has_port = text.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty());
        (!has_port).then(|| format!("add the port: \"{}:8080\"", text.trim_end_matches(':')))
    })
}

fn balance(value: &Value<'_>) -> Option<Balance> {
    Some(match value.choice(&[("round_robin", 0), ("least_requests", 1), ("two_choices", 2)])? {
        0 => Balance::RoundRobin,
        1 => Balance::LeastRequests,
        _ => Balance::TwoChoices,
    })
}

const PROTOCOLS: &[(&str, PoolProtocol)] =
    &[("auto", PoolProtocol::Auto), ("http1", PoolProtocol::Http1), ("http2", PoolProtocol::Http2)];
