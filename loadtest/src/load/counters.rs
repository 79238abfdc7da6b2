//! What a load has done so far.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Shared by all connections of a load.
#[derive(Debug, Default)]
pub struct Counters {
    units: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    repeated: AtomicU64,
    // Only the thread of the generator uses it.
    first_failure: Mutex<Option<String>>,
}

/// The counters at one time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Requests with a complete answer 200, or handshakes.
    pub units: u64,
    /// Body bytes, in the direction that the load is about.
    pub bytes: u64,
    /// Requests without a complete answer 200, and connections that could not be made.
    pub failed: u64,
    /// Streams that the proxy refused as not processed (GOAWAY, REFUSED_STREAM; RFC 9113, section
    /// 8.7), and that were sent again on a new connection.
    pub repeated: u64,
}

impl Counters {
    pub fn add_unit(&self) {
        self.units.fetch_add(1, Ordering::Relaxed);
    }

    pub fn add_bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub fn add_repeated(&self, count: usize) {
        self.repeated.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts `count` failures that have one cause.
    pub fn add_failed(&self, count: usize, cause: &anyhow::Error) {
        self.failed.fetch_add(count as u64, Ordering::Relaxed);
        let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| format!("{cause:#}"));
    }

    pub fn totals(&self) -> Totals {
        Totals {
            units: self.units.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
        }
    }

    /// The cause of the first failure.
    pub fn first_failure(&self) -> Option<String> {
        self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
