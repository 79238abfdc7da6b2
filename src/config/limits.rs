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
    /// Bytes of a request head (request line and fields). Default 32 KiB.
    pub request_head: usize,
    /// Fields of a request head. Default 100.
    pub request_fields: usize,
    /// Concurrent streams of an HTTP/2 connection. Default 100.
    pub http2_streams: u32,
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
        "request_head",
        "\"32KiB\"",
        "Size of a request head: request line and fields. From 8KiB to 1MiB.",
    ),
    Key::default("request_fields", "100", "Number of fields in a request head. From 1 to 1000."),
    Key::default(
        "http2_streams",
        "100",
        "Concurrent streams of an HTTP/2 connection. From 1 to 10000.",
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
            request_head: 32 << 10,
            request_fields: 100,
            http2_streams: 100,
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
            request_head: table.or("request_head", default.request_head, head),
            request_fields: table.field("request_fields", count(1000, 1)).or(100) as usize,
            http2_streams: table.field("http2_streams", count(10_000, 1)).or(100) as u32,
            response_head: table.or("response_head", default.response_head, head),
        })
    }
}

/// The HTTP/1.1 parser reads into a buffer of at least this size.
const LEAST_HEAD: u64 = 8 << 10;

/// More is not a head but an attack.
const MOST_HEAD: u64 = 1 << 20;

/// More than a process can have file descriptors for.
const MOST_CONNECTIONS: u64 = 1 << 24;
