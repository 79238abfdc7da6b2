//! `[limits]`: bounds on what clients can make the proxy hold.

use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::value::Value;

/// The checked table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Client connections of the whole process. Default 0: as many as the file descriptor limit
    /// carries, with descriptors kept back for upstream connections.
    pub connections: usize,
    /// Handshakes that are under way at once in the whole process, from the server name to the end.
    /// Default 0: 4,000 for each worker.
    pub handshakes: usize,
    /// Handshakes that may begin within a second in the whole process. Default 0: no limit.
    pub handshakes_per_second: usize,
    /// Bytes of a request head (request line and fields). Default 32 KiB.
    pub request_head: usize,
    /// Bytes of a request line. Default 16 KiB.
    pub request_line: usize,
    /// Fields of a request head. Default 100.
    pub request_fields: usize,
    /// Bytes per second that the body of a request must bring on average, after ten seconds. Default
    /// 240; 0: it may be as slow as it likes.
    pub request_body_rate: usize,
    /// Concurrent streams of an HTTP/2 connection. Default 100.
    pub http2_streams: u32,
    /// Frames beyond what a decent client needs, after which an HTTP/2 connection is cut. Default 1000.
    pub http2_glitches: u32,
    /// Bytes of a response head from an endpoint. Default 64 KiB.
    pub response_head: usize,
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::default(
        "connections",
        "0",
        "Client connections of the whole process. 0: as many as the limit of file descriptors carries.",
    ),
    Key::default(
        "handshakes",
        "0",
        "TLS handshakes under way at once in the whole process. 0: 4,000 for each worker.",
    ),
    Key::default(
        "handshakes_per_second",
        "0",
        "TLS handshakes that may begin within a second in the whole process. 0: no limit; one service's crowd waits \
         behind the other services' handshakes all the same.",
    ),
    Key::default(
        "request_head",
        "\"32KiB\"",
        "Size of a request head: request line and fields. From 8KiB to 1MiB.",
    ),
    Key::default("request_line", "\"16KiB\"", "Size of a request line alone. From 1KiB to 1MiB."),
    Key::default("request_fields", "100", "Number of fields in a request head. From 1 to 1000."),
    Key::default(
        "request_body_rate",
        "240",
        "Bytes per second that the body of a request must bring on average, after its first ten seconds. 0: it may \
         be as slow as it likes.",
    ),
    Key::default(
        "http2_streams",
        "100",
        "Concurrent streams of an HTTP/2 connection. From 1 to 10000.",
    ),
    Key::default(
        "http2_glitches",
        "1000",
        "Frames beyond what a decent client needs (resets, pings, settings, empty or unknown frames), after which \
         an HTTP/2 connection is cut. From 100 to 1000000.",
    ),
    Key::default(
        "response_head",
        "\"64KiB\"",
        "Size of a response head from an endpoint. From 8KiB to 1MiB.",
    ),
];

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 0,
            handshakes: 0,
            handshakes_per_second: 0,
            request_head: 32 << 10,
            request_line: 16 << 10,
            request_fields: 100,
            request_body_rate: 240,
            http2_streams: 100,
            http2_glitches: 1000,
            response_head: 64 << 10,
        }
    }
}

impl Limits {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let table = Table::open(value, "[limits]".to_owned(), "limits", &[KEYS])?;
        let default = Self::default();
        let count = |most: u64, least: u64| move |value: &Value<'_>| value.integer(least..=most);
        let head = |value: &Value<'_>| value.size(LEAST_HEAD..=MOST_HEAD);
        Some(Self {
            connections: table.field("connections", count(MOST_CONNECTIONS, 0)).or(0) as usize,
            handshakes: table.field("handshakes", count(MOST_CONNECTIONS, 0)).or(0) as usize,
            handshakes_per_second: table
                .field("handshakes_per_second", count(MOST_CONNECTIONS, 0))
                .or(0) as usize,
            request_head: table.or("request_head", default.request_head, head),
            request_line: table
                .or("request_line", default.request_line, |value| value.size(1 << 10..=MOST_HEAD)),
            request_fields: table.field("request_fields", count(1000, 1)).or(100) as usize,
            request_body_rate: table.or("request_body_rate", default.request_body_rate, |value| {
                value.size(0..=MOST_RATE)
            }),
            http2_streams: table.field("http2_streams", count(10_000, 1)).or(100) as u32,
            http2_glitches: table.field("http2_glitches", count(1_000_000, 100)).or(1000) as u32,
            response_head: table.or("response_head", default.response_head, head),
        })
    }
}

/// The HTTP/1.1 parser reads into a buffer of at least this size.
const LEAST_HEAD: u64 = 8 << 10;

/// More is not a head but an attack.
const MOST_HEAD: u64 = 1 << 20;

/// Nobody's upload is refused for being slower than a gibibyte a second.
const MOST_RATE: u64 = 1 << 30;

/// More than a process can have file descriptors for.
const MOST_CONNECTIONS: u64 = 1 << 24;
