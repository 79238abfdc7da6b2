//! Operational messages (`tracing`) on stderr, as text or JSON lines.
//!
//! They too are written by a thread of their own: stderr is often a pipe, and a reader of it who
//! stalls must not stall a worker that has something to say.

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::mem;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::log::LogFormat;
use crate::config::log::LogLevel;
use crate::telemetry::catalog::Family;
use crate::telemetry::recorder::Recorder;

/// Starts operational messages of this process. They end with what is returned; messages that come
/// later are written where they arise.
///
/// # Errors
/// When they were started before, or the system gives no thread.
pub fn init(level: LogLevel, format: LogFormat) -> Result<Messages, InitError> {
    let terminal = io::stderr().is_terminal();
    let (messages, queue) = start(Box::new(io::stderr()))?;
    let subscriber = subscriber(level, format, terminal, queue);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InitError::Twice)?;
    Ok(messages)
}

/// Why operational messages could not be started.
#[derive(Debug, Error)]
pub enum InitError {
    /// The system gave no thread.
    #[error("cannot start the thread that writes messages: {0}")]
    Thread(#[source] io::Error),
    /// Something else has set the process' subscriber.
    #[error("messages of this process go somewhere else already")]
    Twice,
}

/// The thread that writes to stderr. Dropping it writes what is queued, for a second at most.
#[derive(Debug)]
pub struct Messages {
    lines: Arc<Lines>,
    /// Disconnected when the thread is done.
    done: Receiver<()>,
}

/// The queue as all threads see it.
#[derive(Debug)]
struct Lines {
    /// `None` after the end. Taken for a `try_send` by whoever has a message; messages are rare.
    queue: Mutex<Option<SyncSender<Vec<u8>>>>,
    dropped: AtomicU64,
}

impl Messages {
    /// Shows in the metrics how many messages were dropped.
    pub fn count_in(&self, recorder: &Recorder) {
        let lines = self.lines.clone();
        recorder.collector(move |families| {
            let labels = [("log", "operational"), ("reason", "queue_full")];
            families.add(Family::LogLinesDropped, &labels, lines.dropped.load(Relaxed) as f64);
        });
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.lines.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = self.done.recv_timeout(FINISH_WITHIN);
    }
}

/// One message; it is sent when the layer that formats it is done with it.
#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    lines: Arc<Lines>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        match &*self.lines.queue.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(queue) => match queue.try_send(bytes) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    self.lines.dropped.fetch_add(1, Relaxed);
                }
            },
            // At the end nobody serves any more. A closed stderr is not worth a panic.
            None => drop(io::stderr().write_all(&bytes)),
        }
    }
}

/// Makes a [`Line`] for each message.
struct MakeLine(Arc<Lines>);

impl MakeWriter<'_> for MakeLine {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { bytes: Vec::with_capacity(256), lines: self.0.clone() }
    }
}

fn start(mut out: Box<dyn Write + Send>) -> Result<(Messages, MakeLine), InitError> {
    let (queue, receiver) = mpsc::sync_channel::<Vec<u8>>(QUEUE);
    let (running, done) = mpsc::channel();
    thread::Builder::new()
        .name("log-stderr".to_owned())
        .spawn(move || {
            for line in receiver {
                // Nobody can be told that stderr is closed.
                let _ = out.write_all(&line);
            }
            drop(running);
        })
        .map_err(InitError::Thread)?;
    let lines = Arc::new(Lines { queue: Mutex::new(Some(queue)), dropped: AtomicU64::new(0) });
    Ok((Messages { lines: lines.clone(), done }, MakeLine(lines)))
}

fn subscriber(
    level: LogLevel,
    format: LogFormat,
    terminal: bool,
    queue: MakeLine,
) -> Box<dyn Subscriber + Send + Sync> {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    // Without `log_internal_errors(false)` a failed write is reported with `eprintln!`, which panics.
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(queue)
        .with_ansi(terminal)
        .log_internal_errors(false);
    if json {
        Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .finish(),
        )
    } else {
        Box::new(builder.with_target(false).finish())
    }
}

/// Messages in the queue.
const QUEUE: usize = 1024;

/// How long the end waits for a reader.
const FINISH_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(format: LogFormat, say: impl FnOnce()) -> String {
        let out = Shared::default();
        let (messages, queue) = start(Box::new(out.clone())).unwrap();
        tracing::subscriber::with_default(subscriber(LogLevel::Info, format, false, queue), say);
        drop(messages);
        let bytes = out.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn messages_are_json_lines_where_there_is_no_terminal() {
        let text = said(LogFormat::Auto, || {
            tracing::info!(name = "shop", "reloaded");
            tracing::debug!("not at this level");
        });
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["message"], "reloaded");
        assert_eq!(value["level"], "INFO");
        assert_eq!(value["name"], "shop");
    }

    #[test]
    fn messages_as_text_have_no_escape_sequences_outside_a_terminal() {
        let text = said(LogFormat::Text, || tracing::warn!(file = "a.pem", "cannot be read"));
        assert!(text.contains(" WARN cannot be read file=\"a.pem\""), "{text}");
    }

    #[test]
    fn a_reader_who_takes_nothing_stops_nobody() {
        struct Stuck(Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (release, stuck) = mpsc::channel();
        let (messages, queue) = start(Box::new(Stuck(stuck))).unwrap();
        let begin = Instant::now();
        let subscriber = subscriber(LogLevel::Info, LogFormat::Json, false, queue);
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..QUEUE + 10 {
                tracing::info!("something to say");
            }
        });
        assert!(messages.lines.dropped.load(Relaxed) > 0);
        drop(messages);
        assert!(begin.elapsed() < Duration::from_secs(5));
        drop(release);
    }
}
