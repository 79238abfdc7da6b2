//! A value for each worker, so that the data plane shares nothing that it writes.

use std::cell::Cell;

/// One `T` for each worker of the process and one more for every other thread (control plane, tests).
///
/// `T` is usually a `Mutex` that only one thread ever takes; it is there for `Sync`, not for waiting.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[Padded<T>]>);

/// Two values never share a cache line (128 bytes: x86 fetches lines in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T> PerWorker<T> {
    /// Makes the values for `workers` workers.
    pub fn new(workers: usize, mut make: impl FnMut() -> T) -> Self {
        Self((0..=workers).map(|_| Padded(make())).collect())
    }

    /// This thread's value: a worker's own, or the one that all other threads share.
    pub fn mine(&self) -> &T {
        let last = self.0.len() - 1;
        let index = WORKER.get().map_or(last, |worker| worker.min(last));
        &self.0[index].0
    }

    /// All values, for sums and sweeps by the control plane.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }
}

/// Says that this thread is the worker with this number, counted from 0. Called once, at its start.
pub fn become_worker(number: usize) {
    WORKER.set(Some(number));
}

thread_local! {
    static WORKER: Cell<Option<usize>> = const { Cell::new(None) };
}
