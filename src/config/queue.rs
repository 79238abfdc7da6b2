//! `limit = { .. }` of a pool: how much one endpoint gets at once, and who waits.

use std::time::Duration;

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
