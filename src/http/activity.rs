//! What a client connection is doing right now: the one thing that its deadlines are made of.

use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Poll;

use tokio::time::Instant;

use crate::upstream::Interims;

/// Times are microseconds since the connection reached HTTP; 0 means "not now".
///
/// All of it belongs to one worker; atomics only keep the futures `Send`.
#[derive(Debug)]
pub struct Activity {
    born: Instant,
    exchanges: AtomicU32,
    /// There has been a request.
    served: AtomicBool,
    idle_since: AtomicU64,
    /// Something was written and not flushed yet.
    unflushed: AtomicBool,
    /// The client does not take what is written.
    blocked_since: AtomicU64,
    /// The last response has switched protocols.
    switching: AtomicBool,
    /// Interim responses of the request under way, on an HTTP/1.1 connection.
    interims: OnceLock<Arc<Interims>>,
}

impl Activity {
    /// A connection that is waiting for its first request.
    pub fn new() -> Self {
        Self {
            born: Instant::now(),
            exchanges: AtomicU32::new(0),
            served: AtomicBool::new(false),
            idle_since: AtomicU64::new(1),
            unflushed: AtomicBool::new(false),
            blocked_since: AtomicU64::new(0),
            switching: AtomicBool::new(false),
            interims: OnceLock::new(),
        }
    }

    /// Now, in the times of this connection.
    pub fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// A time of this connection on the clock.
    pub fn instant(&self, micros: u64) -> Instant {
        self.born + std::time::Duration::from_micros(micros)
    }

    /// A moment in the times of this connection.
    pub fn at(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.born);
        u64::try_from(since.as_micros()).map_or(u64::MAX, |micros| micros + 1)
    }

    /// The head of a request is complete.
    pub fn exchange_began(&self) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.served.store(true, Ordering::Relaxed);
    }

    /// A response has ended, or never will.
    pub fn exchange_ended(&self) {
        if self.exchanges.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.idle_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Since when nothing is asked, nothing is answered, and all that was answered has left; `None`
    /// if that is not so.
    pub fn idle_since(&self) -> Option<u64> {
        let is_busy =
            self.exchanges.load(Ordering::Relaxed) > 0 || self.unflushed.load(Ordering::Relaxed);
        (!is_busy).then(|| self.idle_since.load(Ordering::Relaxed))
    }

    /// Since when the client takes nothing.
    pub fn blocked_since(&self) -> Option<u64> {
        Some(self.blocked_since.load(Ordering::Relaxed)).filter(|since| *since != 0)
    }

    /// Whether there has been a request.
    pub fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// The response that is about to be written switches protocols: nothing of HTTP follows.
    pub fn switches(&self) {
        self.switching.store(true, Ordering::Relaxed);
    }

    /// Whether a response has switched protocols.
    pub fn is_switching(&self) -> bool {
        self.switching.load(Ordering::Relaxed)
    }

    /// Interim responses of the request under way, for HTTP/1.1 alone.
    pub fn interims(&self) -> &Arc<Interims> {
        self.interims.get_or_init(Arc::default)
    }

    /// The same, if there ever was a request that could have some.
    pub fn begun_interims(&self) -> Option<&Arc<Interims>> {
        self.interims.get()
    }

    /// There is something for the client that has not left.
    pub fn holds(&self) {
        self.unflushed.store(true, Ordering::Relaxed);
    }

    /// All of it left, or did not yet.
    pub fn flushed(&self, flushed: &Poll<io::Result<()>>) {
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.unflushed.store(false, Ordering::Relaxed);
        }
        self.blocked(flushed.is_pending());
    }

    /// The client takes what is written, or does not.
    pub fn blocked(&self, is_blocked: bool) {
        match (is_blocked, self.blocked_since.load(Ordering::Relaxed)) {
            (true, 0) => self.blocked_since.store(self.now(), Ordering::Relaxed),
            (false, since) if since != 0 => self.blocked_since.store(0, Ordering::Relaxed),
            _ => {}
        }
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self::new()
    }
}
