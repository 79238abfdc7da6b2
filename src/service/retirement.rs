//! How a service asks its connections to leave: after a reload replaced it, or when the process drains.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A flag that is set once, and a bell. Checking costs one load; waiting costs one list entry.
#[derive(Debug)]
pub struct Retirement {
    born: Instant,
    /// 0: in service. Otherwise when it was retired, in microseconds since `born`, plus one.
    since: AtomicU64,
    grace_micros: AtomicU64,
    bell: Notify,
}

impl Retirement {
    /// In service.
    pub fn new() -> Self {
        Self {
            born: Instant::now(),
            since: AtomicU64::new(0),
            grace_micros: AtomicU64::new(u64::MAX),
            bell: Notify::new(),
        }
    }

    /// Asks every connection to leave. HTTP/2 clients get a GOAWAY at once; HTTP/1.1 clients get
    /// `connection: close` with the next response, or lose an idle connection after `grace`. Called
    /// again, it can only make the grace shorter.
    pub fn retire(&self, grace: Duration) {
        self.grace_micros.fetch_min(micros(grace), Ordering::Release);
        let now = micros(self.born.elapsed()).saturating_add(1);
        if self.since.compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.bell.notify_waiters();
        }
    }

    /// Whether [`retire`](Self::retire) was called.
    pub fn is_retired(&self) -> bool {
        self.since.load(Ordering::Acquire) != 0
    }

    /// Since when it is retired, and how long an idle HTTP/1.1 connection is left to its client;
    /// `None` while in service.
    pub fn grace(&self) -> Option<(Instant, Duration)> {
        let since = self.since.load(Ordering::Acquire).checked_sub(1)?;
        let grace = self.grace_micros.load(Ordering::Acquire);
        Some((self.born + Duration::from_micros(since), Duration::from_micros(grace)))
    }

    /// Resolves when the service is retired.
    pub async fn retired(&self) {
        let mut rung = std::pin::pin!(self.bell.notified());
        // Registered before the flag is looked at, so that no ring is missed in between.
        rung.as_mut().enable();
        if !self.is_retired() {
            rung.await;
        }
    }
}

impl Default for Retirement {
    fn default() -> Self {
        Self::new()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_who_waits_hears_it_once_and_latecomers_too() {
        let retirement = Retirement::new();
        assert!(retirement.grace().is_none());
        let ((), (), ()) = tokio::join!(retirement.retired(), retirement.retired(), async {
            retirement.retire(Duration::ZERO);
        });
        retirement.retired().await;
        assert_eq!(retirement.grace().map(|(_, grace)| grace), Some(Duration::ZERO));
    }
}
