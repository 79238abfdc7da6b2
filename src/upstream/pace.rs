//! How slowly the bodies of one client's connection may come.
//!
//! Streams share a connection: a body that gets nothing while others get what the line carries is not
//! silent. So a body is at fault only if the connection brings less than its bodies together owe.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::Sleep;

use crate::upstream::piped::BodyFault;

/// The limits of a connection's bodies, and what it has brought of them.
#[derive(Debug)]
pub struct Pace {
    silence: Duration,
    /// Bytes per second; 0: no limit.
    rate: u64,
    /// Bytes of all bodies so far, those of frames that are not complete included.
    received: AtomicU64,
    /// Bodies that are waited for.
    waiting: AtomicU32,
}

/// The waits for one body. Only waits count: an endpoint that takes nothing is not the client's silence.
#[derive(Debug)]
pub struct BodyPace {
    pace: Arc<Pace>,
    bytes: u64,
    /// What the waits before this one took.
    waited: Duration,
    /// What the connection brought meanwhile.
    brought: u64,
    /// Since when, and what the connection had brought then.
    wait: Option<(Instant, u64)>,
    /// Made with the first wait; moved when it fires, and not with each piece.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// No body may be silent for this long, or slower than `rate` bytes per second after ten seconds of
    /// waiting; 0: as slow as it likes.
    pub fn new(silence: Duration, rate: u64) -> Self {
        Self { silence, rate, received: AtomicU64::new(0), waiting: AtomicU32::new(0) }
    }

    /// How many bytes of bodies have come in all.
    pub fn received(&self, bytes: u64) {
        self.received.store(bytes, Ordering::Relaxed);
    }

    /// Whether the connection brought what all of its bodies owe that are waited for.
    fn is_fair(&self, brought: u64, waited: Duration) -> bool {
        let waiting = u64::from(self.waiting.load(Ordering::Relaxed));
        let owed = waited.as_secs().saturating_mul(self.rate.max(1)).saturating_mul(waiting);
        brought > 0 && brought >= owed
    }
}

impl BodyPace {
    /// Nobody waits yet.
    pub fn new(pace: Arc<Pace>) -> Self {
        Self { pace, bytes: 0, waited: Duration::ZERO, brought: 0, wait: None, timer: None }
    }

    /// A piece came.
    pub fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.end_wait();
    }

    /// Nothing came; ready when that is the client's fault.
    pub fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<BodyFault> {
        let (since, received) = match self.wait {
            Some(wait) => wait,
            None => self.begin_wait(),
        };
        let silent_at = since + self.pace.silence;
        let slow_at = self.may_wait().map(|most| since + most.saturating_sub(self.waited));
        let mut due = slow_at.map_or(silent_at, |slow_at| slow_at.min(silent_at));
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        loop {
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if due <= now {
                let brought = self.pace.received.load(Ordering::Relaxed) - received;
                let waited = now - since;
                if silent_at <= now && !self.pace.is_fair(brought, waited) {
                    return Poll::Ready(BodyFault::Silent);
                }
                let is_slow = slow_at.is_some_and(|slow_at| slow_at <= now);
                if is_slow && !self.pace.is_fair(self.brought + brought, self.waited + waited) {
                    return Poll::Ready(BodyFault::TooSlow);
                }
                due = now + AGAIN;
            }
            timer.as_mut().reset(due);
        }
    }

    /// How much waiting the bytes so far are good for.
    fn may_wait(&self) -> Option<Duration> {
        let seconds = self.bytes.checked_div(self.pace.rate)?;
        Some(Duration::from_secs(seconds).max(GRACE))
    }

    fn begin_wait(&mut self) -> (Instant, u64) {
        self.pace.waiting.fetch_add(1, Ordering::Relaxed);
        let wait = (Instant::now(), self.pace.received.load(Ordering::Relaxed));
        self.wait = Some(wait);
        wait
    }

    fn end_wait(&mut self) {
        if let Some((since, received)) = self.wait.take() {
            self.waited += since.elapsed();
            self.brought += self.pace.received.load(Ordering::Relaxed) - received;
            self.pace.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for BodyPace {
    fn drop(&mut self) {
        self.end_wait();
    }
}

/// Before this much waiting no average says anything.
const GRACE: Duration = Duration::from_secs(10);

/// A body that is behind on a line that is not is looked at again after this.
const AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(30);

    async fn stall(body: &mut BodyPace) -> BodyFault {
        std::future::poll_fn(|cx| body.poll_stall(cx)).await
    }

    /// How a body ends that brings this much each second, with others on its connection.
    async fn ends(rate: u64, each_second: u64, others: u64) -> Option<BodyFault> {
        let pace = Arc::new(Pace::new(SILENCE, rate));
        let mut body = BodyPace::new(Arc::clone(&pace));
        let mut received = 0;
        for _ in 0..100 {
            let waiting = tokio::time::timeout(Duration::from_secs(1), stall(&mut body));
            if let Ok(stall) = waiting.await {
                return Some(stall);
            }
            received += each_second + others;
            pace.received(received);
            if each_second > 0 {
                body.came(each_second as usize);
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_brings_what_it_owes_is_left_alone() {
        assert_eq!(ends(240, 300, 0).await, None);
        assert_eq!(ends(0, 1, 0).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_brings_less_is_too_slow() {
        assert_eq!(ends(240, 239, 0).await, Some(BodyFault::TooSlow));
        assert_eq!(ends(240, 0, 0).await, Some(BodyFault::TooSlow));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_brings_nothing_is_silent() {
        assert_eq!(ends(0, 0, 0).await, Some(BodyFault::Silent));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_waits_its_turn_on_a_line_that_is_busy() {
        assert_eq!(ends(240, 0, 300).await, None);
        assert_eq!(ends(240, 0, 200).await, Some(BodyFault::TooSlow));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_owes_for_each_body() {
        let pace = Arc::new(Pace::new(SILENCE, 100));
        let mut one = BodyPace::new(Arc::clone(&pace));
        let mut other = BodyPace::new(Arc::clone(&pace));
        for second in 1..=10 {
            let both = async {
                tokio::select! { it = stall(&mut one) => it, it = stall(&mut other) => it }
            };
            let both = tokio::time::timeout(Duration::from_secs(1), both);
            if let Ok(stall) = both.await {
                assert_eq!((second, stall), (10, BodyFault::TooSlow));
                return;
            }
            pace.received(second * 150);
        }
        let end = tokio::time::timeout(Duration::from_secs(2), stall(&mut one)).await;
        assert_eq!(end.expect("150 bytes are less than two bodies owe"), BodyFault::TooSlow);
    }
}
