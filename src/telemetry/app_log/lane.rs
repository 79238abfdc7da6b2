//! The way of a line from a worker to the thread that writes it: a buffer for each worker, and a
//! bounded queue of full buffers.

use std::mem;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::SyncSender;

use metrics::Counter;

use crate::per_worker::PerWorker;
use crate::telemetry::app_log::json::JsonLine;
use crate::telemetry::app_log::output::Output;

/// Buffers, queue and signals shared by workers and one writer thread.
#[derive(Debug)]
pub(super) struct Lane {
    /// A worker's own buffer; taken by others only in [`Lane::hand_over_all`].
    buffers: PerWorker<Mutex<Batch>>,
    queue: SyncSender<Message>,
    pub(super) signals: Arc<Signals>,
    dropped: Counter,
}

/// What the writer thread looks at between two writes. A message alone would be lost in a full queue.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pub(super) reopen: AtomicBool,
    pub(super) closing: AtomicBool,
    /// Batches for which the queue had no room at the end; taken once by either side.
    pub(super) remainder: Mutex<Vec<Batch>>,
    /// Buffers that were written, to be filled again: memory that one thread takes and another
    /// gives back is dear. Taken once for each batch, by whoever fills or wrote it.
    pub(super) spare: Mutex<Vec<Batch>>,
}

/// What the queue carries.
#[derive(Debug)]
pub(super) enum Message {
    /// Lines to write.
    Batch(Batch),
    /// Look at the signals.
    Wake,
}

/// Whole lines of one worker, in order, for one output or more.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) segments: Vec<Segment>,
    lines: u64,
}

/// The lines of a batch up to `end` (from the end of the segment before) that go to one output.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) output: Arc<Output>,
    pub(super) end: usize,
}

impl Lane {
    /// A lane and the receiving end of its queue.
    pub(super) fn new(workers: usize, dropped: Counter) -> (Self, mpsc::Receiver<Message>) {
        let (queue, receiver) = mpsc::sync_channel(QUEUE);
        let buffers = PerWorker::new(workers, Mutex::default);
        (Self { buffers, queue, signals: Arc::default(), dropped }, receiver)
    }

    /// Adds a line to this worker's buffer.
    pub(super) fn write(&self, output: &Arc<Output>, build: impl FnOnce(&mut JsonLine<'_>)) {
        let mut batch = lock(self.buffers.mine());
        let start = batch.segments.last().map_or(0, |segment| segment.end);
        // Longer only if a `build` panicked in the middle of a line.
        batch.bytes.truncate(start);
        if batch.bytes.capacity() == 0 {
            *batch = lock(&self.signals.spare).pop().unwrap_or_default();
            batch.bytes.reserve(HAND_OVER + ROOM_FOR_ONE);
        }
        let mut line = JsonLine::begin(&mut batch.bytes);
        build(&mut line);
        line.end();
        batch.commit(output);
        if batch.bytes.len() >= HAND_OVER {
            self.hand_over(&mut batch);
        }
    }

    /// Hands over this worker's buffer, however little is in it.
    pub(super) fn tick(&self) {
        let mut batch = lock(self.buffers.mine());
        if !batch.segments.is_empty() {
            self.hand_over(&mut batch);
        }
    }

    /// Hands over all buffers, at the end; what the queue has no room for is put beside it.
    pub(super) fn hand_over_all(&self) {
        for buffer in self.buffers.iter() {
            let batch = mem::take(&mut *lock(buffer));
            if !batch.segments.is_empty() {
                lock(&self.signals.remainder).push(batch);
            }
        }
    }

    /// Makes the writer thread look at the signals. A full queue is as good: it is awake.
    pub(super) fn wake(&self) {
        let _ = self.queue.try_send(Message::Wake);
    }

    fn hand_over(&self, batch: &mut Batch) {
        let lines = batch.lines;
        if self.signals.closing.load(Ordering::Relaxed)
            || self.queue.try_send(Message::Batch(mem::take(batch))).is_err()
        {
            batch.clear();
            self.dropped.increment(lines);
        }
    }
}

impl Signals {
    /// Takes back a batch that was written; keeps few, and none that one huge line made huge.
    pub(super) fn recycle(&self, mut batch: Batch) {
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE && batch.bytes.capacity() <= 2 * HAND_OVER {
            batch.clear();
            spare.push(batch);
        }
    }
}

impl Batch {
    fn commit(&mut self, output: &Arc<Output>) {
        let end = self.bytes.len();
        self.lines += 1;
        match self.segments.last_mut() {
            Some(last) if Arc::ptr_eq(&last.output, output) => last.end = end,
            _ => self.segments.push(Segment { output: output.clone(), end }),
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.segments.clear();
        self.lines = 0;
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer of this size is handed over: some 180 lines, because a hand-over wakes a thread, and that
/// costs as much as a request.
const HAND_OVER: usize = 128 * 1024;

/// So that the usual last line does not make the buffer grow.
const ROOM_FOR_ONE: usize = 2 * 1024;

/// Buffers that are kept for the next lines.
const SPARE: usize = 8;

/// Batches in the queue: 8 MiB of lines are kept for a writer that stalls, the rest is dropped.
const QUEUE: usize = 64;
