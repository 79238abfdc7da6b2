//! Who waits for a place in flight, where endpoints have a limit: how many, and how that is counted.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::telemetry::pool_metrics::PoolMetrics;
use crate::telemetry::pool_metrics::Queued;

/// The queue of a pool, over all workers.
#[derive(Debug, Default)]
pub struct Queue(AtomicUsize);

/// A place in the queue, free again when this is dropped: also when the client has left.
#[derive(Debug)]
pub struct Waiting<'queue> {
    queue: &'queue Queue,
    /// Whether nobody was there before.
    pub is_first: bool,
    _counted: Queued,
}

impl Queue {
    /// Whether nobody waits, so that a request need not queue up behind anybody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// A place at the end, unless there are `most` already.
    pub fn enter(&self, most: usize, metrics: &PoolMetrics) -> Option<Waiting<'_>> {
        let more = |waiting: usize| (waiting < most).then_some(waiting + 1);
        let before = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Waiting { queue: self, is_first: before == 0, _counted: metrics.queued() })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.0.fetch_sub(1, Ordering::SeqCst);
    }
}
