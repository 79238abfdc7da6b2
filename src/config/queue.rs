//! `limit = { .. }` of a pool: how much one endpoint gets at once, and who waits.

use std::time::Duration;

use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::timeouts::WAITS;
use crate::config::value::Value;

/// A limit of what is in flight, and a bounded queue before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    /// Requests, or streams, that one endpoint has under way at once, of all workers.
    pub in_flight: usize,
    /// How many may wait for the pool; more are answered with 503 at once. Default 100.
    pub queue: usize,
    /// How long one may wait. Default 5s.
    pub queue_timeout: Duration,
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::needed(
        "in_flight",
        "100",
        "requests, or streams, that one endpoint has under way at once",
    ),
    Key::default(
        "queue",
        "100",
        "how many may wait for the pool; more are answered with 503 at once",
    ),
    Key::default("queue_timeout", "\"5s\"", "how long one may wait"),
];

impl Limit {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            let help = value.is_integer().then(|| "write `limit = { in_flight = 100 }`".to_owned());
            value.wrong_type_help("a table", help);
            return None;
        }
        let table = Table::open(value, "`limit`".to_owned(), "limit", &[KEYS])?;
        let in_flight = table.needed(&KEYS[0], |value| value.integer(1..=MOST));
        let queue = table.or("queue", 100, |value| value.integer(0..=MOST));
        let queue_timeout = table.or("queue_timeout", WAIT, |value| value.duration(WAITS));
        Some(Self {
            in_flight: in_flight.good()?.value as usize,
            queue: queue as usize,
            queue_timeout,
        })
    }
}

/// More than one host can hold.
const MOST: u64 = 1_000_000;

const WAIT: Duration = Duration::from_secs(5);
