//! The application log: one JSON line for each exchange, and for each handshake that failed.
//!
//! A worker appends to its own buffer. The buffer is handed over when it is full or at the next tick,
//! through a bounded queue, to a thread that writes: one thread for files and one for standard output,
//! so that a reader of stdout who stalls does not stop the files. What the queue has no room for, or a
//! disk no space, is dropped and counted in `portcullis_log_lines_dropped_total`. Nothing waits.

mod clock;
mod json;
mod lane;
mod output;
mod sink;
mod sinks;
mod writer;

pub use json::JsonFragment;
pub use json::JsonLine;
pub use sink::LogSink;
pub use sinks::Sinks;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::Access;
use thiserror::Error;
use tracing::warn;

use crate::config::log::LogTarget;
use crate::telemetry::app_log::lane::Lane;
use crate::telemetry::app_log::lane::lock;
use crate::telemetry::app_log::output::Output;
use crate::telemetry::catalog::Family;
use crate::telemetry::recorder::Recorder;
use crate::telemetry::recorder::Scope;

/// The application log of the process.
#[derive(Debug)]
pub struct AppLog {
    files: Arc<Lane>,
    stdout: Arc<Lane>,
    stdout_output: Arc<Output>,
    /// Sinks of one path share its output. Taken by the control plane when it plans.
    outputs: Mutex<BTreeMap<PathBuf, Weak<Output>>>,
    /// Disconnected when the threads are done; taken by [`AppLog::finish`].
    done: Mutex<Vec<Receiver<()>>>,
    _scope: Scope,
}

impl AppLog {
    /// Starts the two writer threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(workers: usize, recorder: &Recorder) -> Result<Arc<Self>, AppLogError> {
        let scope = recorder.scope();
        let counter = |reason| {
            let labels = [("log", "application"), ("reason", reason)];
            scope.counter(Family::LogLinesDropped, &labels)
        };
        let mut done = Vec::new();
        let mut lane = |name| {
            let (lane, queue) = Lane::new(workers, counter("queue_full"));
            let signals = lane.signals.clone();
            let end = writer::start(name, queue, signals, counter("write_failed"))
                .map_err(AppLogError::Thread)?;
            done.push(end);
            Ok(Arc::new(lane))
        };
        let (files, stdout) = (lane("log-files")?, lane("log-stdout")?);
        Ok(Arc::new(Self {
            files,
            stdout,
            stdout_output: Arc::new(Output::new(None)),
            outputs: Mutex::default(),
            done: Mutex::new(done),
            _scope: scope,
        }))
    }

    /// A sink for a target; `sample` is the fraction of successful exchanges that are written. The
    /// file is opened at its first line.
    ///
    /// # Errors
    /// When a file could not be written: nothing is made or opened to find that out.
    pub fn sink(&self, target: &LogTarget, sample: f64) -> Result<LogSink, AppLogError> {
        Ok(match target {
            LogTarget::Off => LogSink::off(),
            LogTarget::Stdout => {
                LogSink::open(self.stdout.clone(), self.stdout_output.clone(), sample)
            }
            LogTarget::File(path) => {
                check_file(path)?;
                LogSink::open(self.files.clone(), self.output(path), sample)
            }
        })
    }

    /// Opens all files again (after log rotation); returns at once. No line is lost: a line goes to
    /// the file as it was, or to the new one.
    pub fn reopen(&self) {
        self.files.signals.reopen.store(true, Ordering::Release);
        self.files.wake();
    }

    /// Hands over what this thread has buffered. Each worker calls it every 100 ms, and so does the
    /// control plane, for all threads that are not workers.
    pub fn tick(&self) {
        self.files.tick();
        self.stdout.tick();
    }

    /// Writes what is buffered and ends the threads; gives up on a reader who takes nothing. Lines
    /// that come later are dropped.
    pub fn finish(&self) {
        let deadline = Instant::now() + FINISH_WITHIN;
        for lane in [&self.files, &self.stdout] {
            lane.hand_over_all();
            lane.signals.closing.store(true, Ordering::Release);
            lane.wake();
        }
        for done in lock(&self.done).drain(..) {
            let left = deadline.saturating_duration_since(Instant::now());
            if done.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                warn!("the application log could not be written to its end");
            }
        }
    }

    fn output(&self, path: &Path) -> Arc<Output> {
        let mut outputs = lock(&self.outputs);
        if let Some(output) = outputs.get(path).and_then(Weak::upgrade) {
            return output;
        }
        outputs.retain(|_, output| output.strong_count() > 0);
        let output = Arc::new(Output::new(Some(path.to_owned())));
        outputs.insert(path.to_owned(), Arc::downgrade(&output));
        output
    }
}

/// Why the application log cannot be as the configuration says.
#[derive(Debug, Error)]
pub enum AppLogError {
    /// The path is a directory.
    #[error("the application log {} is a directory; name a file in it", .0.display())]
    Directory(PathBuf),
    /// The directory of the file is not there.
    #[error("the application log {} cannot be made: there is no directory {}; create it, \
             writable for the user who runs portcullis", path.display(), directory.display())]
    NoDirectory {
        /// The file.
        path: PathBuf,
        /// Where it should be.
        directory: PathBuf,
    },
    /// The system gave no thread.
    #[error("cannot start the thread that writes the application log: {0}")]
    Thread(#[source] io::Error),
    /// Permissions, or a file system that is read-only.
    #[error("the application log {} cannot be written: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl AppLogError {
    /// One stable word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Directory(_) => "log_is_directory",
            Self::NoDirectory { .. } => "log_no_directory",
            Self::Thread(_) => "log_no_thread",
            Self::Unwritable { .. } => "log_unwritable",
        }
    }
}

fn check_file(path: &Path) -> Result<(), AppLogError> {
    let unwritable = |error: rustix::io::Errno| AppLogError::Unwritable {
        path: path.to_owned(),
        source: error.into(),
    };
    if path.is_dir() {
        return Err(AppLogError::Directory(path.to_owned()));
    }
    // One look at the file itself: rotation may move it away between two.
    match rustix::fs::access(path, Access::WRITE_OK) {
        Err(rustix::io::Errno::NOENT) => {}
        found => return found.map_err(unwritable),
    }
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    if !directory.is_dir() {
        let (path, directory) = (path.to_owned(), directory.to_owned());
        return Err(AppLogError::NoDirectory { path, directory });
    }
    rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK).map_err(unwritable)
}

/// Long enough for 8 MiB on a slow disk, short enough for whoever stops the process.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
