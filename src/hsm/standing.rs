//! What is known of a member, for those who may not wait for the board's lock.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::hsm::scheme::Ways;
use crate::hsm::trouble::Trouble;

/// A member as handshakes, status and its own sessions see it.
#[derive(Debug)]
pub struct Standing {
    is_up: AtomicBool,
    /// The first attempt to connect has ended, one way or the other.
    is_settled: AtomicBool,
    ways: AtomicU8,
    /// Taken when something changes, and by status.
    history: Mutex<History>,
}

#[derive(Debug)]
struct History {
    since: Instant,
    signed: Instant,
    trouble: Option<Trouble>,
    /// What was said last, so that nothing is said twice.
    said: Option<Trouble>,
}

impl Default for Standing {
    /// Nothing is known yet.
    fn default() -> Self {
        let now = Instant::now();
        Self {
            is_up: AtomicBool::new(false),
            is_settled: AtomicBool::new(false),
            ways: AtomicU8::new(0),
            history: Mutex::new(History { since: now, signed: now, trouble: None, said: None }),
        }
    }
}

impl Standing {
    /// Whether it can be counted on.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    /// Whether an attempt to connect has ended.
    pub fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }

    /// How its token can sign.
    pub fn ways(&self) -> Ways {
        Ways::from_bits(self.ways.load(Ordering::Acquire))
    }

    /// Why it is not up.
    pub fn trouble(&self) -> Option<Trouble> {
        self.history().trouble.clone()
    }

    /// Since when it is up, or not.
    pub fn since(&self) -> Instant {
        self.history().since
    }

    /// A session is connected.
    pub(super) fn connected(&self, ways: Ways) {
        self.ways.store(ways.bits(), Ordering::Release);
        self.is_settled.store(true, Ordering::Release);
    }

    /// A session could not be connected, or was lost.
    pub(super) fn failed(&self, trouble: &Trouble) {
        self.history().trouble = Some(trouble.clone());
        self.is_settled.store(true, Ordering::Release);
    }

    /// It can be counted on from now on, or not any more. Gives how long it was otherwise, if that is news.
    pub(super) fn becomes(&self, is_up: bool) -> Option<Duration> {
        if self.is_up.swap(is_up, Ordering::AcqRel) == is_up {
            return None;
        }
        let mut history = self.history();
        let was = history.since.elapsed();
        history.since = Instant::now();
        if is_up {
            (history.trouble, history.said) = (None, None);
        }
        Some(was)
    }

    /// Whether its trouble has not been told yet; it counts as told from now on.
    pub(super) fn is_news(&self) -> Option<Trouble> {
        let mut history = self.history();
        if history.trouble == history.said {
            return None;
        }
        history.said = history.trouble.clone();
        history.trouble.clone()
    }

    /// It made a signature.
    pub(super) fn signed(&self) {
        self.history().signed = Instant::now();
    }

    /// How long ago its latest signature is.
    pub(super) fn since_signature(&self) -> Duration {
        self.history().signed.elapsed()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_news_once_until_it_is_another_or_over() {
        let standing = Standing::default();
        assert_eq!(standing.is_news(), None);
        standing.failed(&Trouble::TokenAbsent);
        assert_eq!(standing.is_news(), Some(Trouble::TokenAbsent));
        standing.failed(&Trouble::TokenAbsent);
        assert_eq!(standing.is_news(), None);
        standing.failed(&Trouble::Hangs);
        assert_eq!(standing.is_news(), Some(Trouble::Hangs));
        assert!(standing.becomes(true).is_some() && standing.becomes(true).is_none());
        assert_eq!(standing.trouble(), None);
        standing.failed(&Trouble::Hangs);
        assert_eq!(standing.is_news(), Some(Trouble::Hangs));
    }
}
