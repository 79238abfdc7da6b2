//! A panic is a bug. It ends the connection that it is in and nothing else; here it is counted and told.
//!
//! Told is where it was, and not what it said: the words of a panic may hold what a client sent.

use std::panic;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use crate::runtime::worker;
use crate::telemetry::catalog::Family;
use crate::telemetry::recorder::Recorder;

/// Counts and tells the panics of this process from here on, in place of what the standard library prints.
pub fn watch(recorder: &Recorder) {
    let panics = Panics::new(recorder);
    panic::set_hook(Box::new(move |panic| panics.note(panic)));
}

/// What the hook writes to, and a scrape reads.
#[derive(Clone, Debug, Default)]
struct Panics {
    counts: Arc<[AtomicU64; PLACES.len()]>,
}

impl Panics {
    fn new(recorder: &Recorder) -> Self {
        let panics = Self::default();
        let counts = Arc::clone(&panics.counts);
        recorder.collector(move |families| {
            for place in PLACES {
                let count = counts[place as usize].load(Relaxed) as f64;
                families.add(Family::Panics, &[("where", place.as_str())], count);
            }
        });
        panics
    }

    /// Allocates little and takes no lock that the panicking code may hold: the queue of messages is only ever
    /// locked for a moment that cannot panic.
    fn note(&self, panic: &PanicHookInfo<'_>) {
        let thread = thread::current();
        let place = Place::of(thread.name());
        self.counts[place as usize].fetch_add(1, Relaxed);
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = thread.name().unwrap_or_default();
        tracing::error!(location, thread, "a panic, which is a bug: please report it");
    }
}

/// Where a panic was, as far as it matters: whether more than a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// On a worker, all of whose work is that of connections.
    Connection,
    /// On any other thread.
    Elsewhere,
}

impl Place {
    fn of(thread: Option<&str>) -> Self {
        if thread.is_some_and(|name| name.starts_with(worker::THREAD)) {
            Self::Connection
        } else {
            Self::Elsewhere
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Elsewhere => "elsewhere",
        }
    }
}

const PLACES: [Place; 2] = [Place::Connection, Place::Elsewhere];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::fixture;

    fn counted(recorder: &Recorder, place: &str) -> f64 {
        let text = recorder.render(&crate::telemetry::exposition::Filter::default());
        let series = format!("portcullis_panics_total{{where=\"{place}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.expect("a series, also before the first").parse().unwrap()
    }

    #[test]
    fn a_panic_is_counted_where_it_was() {
        let recorder = fixture::recorder();
        let panics = Panics::new(&recorder);
        assert_eq!(counted(&recorder, "connection"), 0.0);
        // The hook is the process': tests that run beside this one go on to see theirs.
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if thread::current().name() == Some("worker-panics") {
                panics.note(panic);
            } else {
                previous(panic);
            }
        }));
        let worker = thread::Builder::new().name("worker-panics".to_owned());
        worker.spawn(|| panic!("as this test wants it")).unwrap().join().unwrap_err();
        assert_eq!(counted(&recorder, "connection"), 1.0);
        assert_eq!(counted(&recorder, "elsewhere"), 0.0);
    }

    #[test]
    fn every_profile_unwinds() {
        let aborts = include_str!("../../Cargo.toml").lines().any(|line| line.starts_with("panic"));
        assert!(!aborts, "a panic would end the process");
    }

    #[test]
    fn only_workers_have_connections() {
        assert_eq!(Place::of(Some("worker-12")), Place::Connection);
        for thread in [Some("main"), Some("log-stderr"), None] {
            assert_eq!(Place::of(thread), Place::Elsewhere);
        }
    }
}
