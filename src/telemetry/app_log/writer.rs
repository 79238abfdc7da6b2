//! The thread that writes. It alone may wait for a disk or for the reader of a pipe.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;

use metrics::Counter;

use crate::telemetry::app_log::lane::Batch;
use crate::telemetry::app_log::lane::Message;
use crate::telemetry::app_log::lane::Signals;
use crate::telemetry::app_log::lane::lock;
use crate::telemetry::app_log::output::Output;

/// Starts a writer. The receiver that is returned is disconnected when the thread is done.
pub(super) fn start(
    name: &str,
    queue: Receiver<Message>,
    signals: Arc<Signals>,
    failed: Counter,
) -> io::Result<Receiver<()>> {
    let (running, done) = mpsc::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        Writer {
            signals,
            failed,
            batches: Vec::new(),
            open: Vec::new(),
            scratch: Vec::new(),
            clock: 0,
        }
        .run(&queue);
        drop(running);
    })?;
    Ok(done)
}

struct Writer {
    signals: Arc<Signals>,
    /// Lines that could not be written.
    failed: Counter,
    batches: Vec<Batch>,
    /// Outputs that have a file open, as far as this thread knows.
    open: Vec<Weak<Output>>,
    scratch: Vec<u8>,
    /// Counts writes, to know which file was used last.
    clock: u64,
}

impl Writer {
    fn run(&mut self, queue: &Receiver<Message>) {
        while let Ok(message) = queue.recv() {
            self.take(message);
            self.take_waiting(queue);
            if self.signals.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            self.write();
            if self.signals.closing.load(Ordering::Acquire) {
                return self.finish(queue);
            }
        }
    }

    /// Whatever waits is written together: under load that makes few and large writes.
    fn take_waiting(&mut self, queue: &Receiver<Message>) {
        while self.batches.len() < GROUP
            && let Ok(message) = queue.try_recv()
        {
            self.take(message);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Batch(batch) => self.batches.push(batch),
            Message::Wake => {}
        }
    }

    fn finish(&mut self, queue: &Receiver<Message>) {
        while let Ok(message) = queue.try_recv() {
            self.take(message);
            self.take_waiting(queue);
            self.write();
        }
        self.batches = mem::take(&mut *lock(&self.signals.remainder));
        self.write();
    }

    /// Writes what was taken, output by output; within one the order stays.
    fn write(&mut self) {
        let batches = mem::take(&mut self.batches);
        let mut parts = Vec::new();
        for batch in &batches {
            let mut start = 0;
            for segment in &batch.segments {
                parts.push((&segment.output, &batch.bytes[start..segment.end]));
                start = segment.end;
            }
        }
        parts.sort_by_key(|(output, _)| Arc::as_ptr(output));
        for run in parts.chunk_by(|(left, _), (right, _)| Arc::ptr_eq(left, right)) {
            let output = run[0].0;
            self.make_room(output);
            self.clock += 1;
            let lost = if let [(_, lines)] = run {
                output.write(lines, self.clock)
            } else {
                self.scratch.clear();
                run.iter().for_each(|(_, lines)| self.scratch.extend_from_slice(lines));
                output.write(&self.scratch, self.clock)
            };
            self.failed.increment(lost);
        }
        drop(parts);
        batches.into_iter().for_each(|batch| self.signals.recycle(batch));
    }

    fn reopen(&mut self) {
        self.open.retain(|output| output.strong_count() > 0);
        self.open.iter().filter_map(Weak::upgrade).for_each(|output| output.reopen());
    }

    /// Notes an output that is about to be opened, and closes the one that was idle for longest when
    /// there are many: thousands of services may each have a file, and files are for traffic.
    fn make_room(&mut self, output: &Arc<Output>) {
        if output.last_used().is_some() {
            return;
        }
        self.open.retain(|other| other.upgrade().is_some_and(|other| other.last_used().is_some()));
        if self.open.len() >= OPEN_FILES {
            let oldest =
                self.open.iter().filter_map(Weak::upgrade).min_by_key(|other| other.last_used());
            oldest.iter().for_each(|oldest| oldest.close());
        }
        self.open.push(Arc::downgrade(output));
    }
}

/// Batches that are written together at most: 1 MiB.
const GROUP: usize = 8;

/// Files that are open at a time.
const OPEN_FILES: usize = 256;
