//! `[timeouts]`: how long the proxy waits for a client, and how long for itself when it stops.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::value::Value;

/// The checked table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// From the accepted connection to a whole ClientHello. Default 10s.
    pub client_hello: Duration,
    /// From the accepted connection to a finished handshake. Default 15s.
    pub handshake: Duration,
    /// From the first byte of a request to the end of its head; also the wait for the first
    /// request of a connection. Default 15s.
    pub request_head: Duration,
    /// Silence within the body of a request. Default 30s.
    pub request_body: Duration,
    /// For a client that takes nothing of what is written to it. Default 30s.
    pub response_write: Duration,
    /// Without a request on a kept-alive connection. Default 30s.
    pub keep_alive: Duration,
    /// Without a byte in either direction of a WebSocket, or of a stream that is relayed, where the
    /// service says nothing else. Default 30s.
    pub tunnel_idle: Duration,
    /// What SIGTERM leaves to connections before they are cut. Default 25s.
    pub drain: Duration,
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::default("client_hello", "\"10s\"", "From the accepted connection to a whole ClientHello."),
    Key::default("handshake", "\"15s\"", "From the accepted connection to a finished handshake."),
    Key::default(
        "request_head",
        "\"15s\"",
        "From the first byte of a request to the end of its head; also the wait for the first request.",
    ),
    Key::default(
        "request_body",
        "\"30s\"",
        "How long a client may be silent within the body of a request. See also `limits.request_body_rate`.",
    ),
    Key::default(
        "response_write",
        "\"30s\"",
        "How long a client may take nothing of what is written to it.",
    ),
    Key::default("keep_alive", "\"30s\"", "How long a connection without a request is kept."),
    Key::default(
        "tunnel_idle",
        "\"30s\"",
        "How long a WebSocket, or a stream that is relayed, may be silent in both directions; a virtual service may \
         say otherwise for itself.",
    ),
    Key::default(
        "drain",
        "\"25s\"",
        "What SIGTERM leaves to connections before they are cut. Below the 30s after which Kubernetes kills.",
    ),
];

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            client_hello: Duration::from_secs(10),
            handshake: Duration::from_secs(15),
            request_head: Duration::from_secs(15),
            request_body: Duration::from_secs(30),
            response_write: Duration::from_secs(30),
            keep_alive: Duration::from_secs(30),
            tunnel_idle: Duration::from_secs(30),
            drain: Duration::from_secs(25),
        }
    }
}

impl Timeouts {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let table = Table::open(value, "[timeouts]".to_owned(), "timeouts", &[KEYS])?;
        let default = Self::default();
        let wait = |value: &Value<'_>| value.duration(WAITS);
        Some(Self {
            client_hello: table.or("client_hello", default.client_hello, wait),
            handshake: table.or("handshake", default.handshake, wait),
            request_head: table.or("request_head", default.request_head, wait),
            request_body: table.or("request_body", default.request_body, wait),
            response_write: table.or("response_write", default.response_write, wait),
            keep_alive: table.or("keep_alive", default.keep_alive, wait),
            tunnel_idle: table.or("tunnel_idle", default.tunnel_idle, wait),
            drain: table
                .or("drain", default.drain, |value| value.duration(Duration::ZERO..=*WAITS.end())),
        })
    }
}

/// Zero would refuse everybody, and more than a day is as good as no limit.
pub const WAITS: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(24 * 3600);
