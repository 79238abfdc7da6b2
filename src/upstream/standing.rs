//! Whether an endpoint may be chosen, and how much it gets: what the configuration, the health checks
//! and its own answers say about it.
//!
//! Atomics that all workers share; reading them takes no clock while nothing is wrong. Must not know
//! addresses or connections.

use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::health::Ejection;
use crate::upstream::circle::Circle;

/// What is known of one endpoint. It survives reloads, as long as the endpoint is configured.
#[derive(Debug)]
pub struct Standing {
    weight: AtomicU32,
    /// `usize::MAX`: none.
    limit: AtomicUsize,
    in_flight: AtomicUsize,
    /// The health checks say so.
    is_down: AtomicBool,
    /// Until when it is passed over, by the clock of `born`; 0: it is not.
    left_out_until: AtomicU64,
    /// Since when its share grows; 0: it has all of it.
    ramp_from: AtomicU64,
    slow_start: AtomicU64,
    /// Failures in a row.
    failures: AtomicU32,
    failures_allowed: AtomicU32,
    ejection: AtomicU64,
    /// How long the latest ejection is, and when it ends; an early relapse doubles it.
    ejected_for: AtomicU64,
    ejected_until: AtomicU64,
    born: Instant,
    circle: Weak<Circle>,
}

/// What the configuration says about an endpoint; a reload changes it in place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// Its share; 0 drains it.
    pub weight: u32,
    /// When answers that fail leave it out.
    pub ejection: Ejection,
    /// How long it takes to get all of its share after it came up.
    pub slow_start: Duration,
    /// How much it has in flight at most.
    pub limit: Option<usize>,
}

/// An endpoint in one word, for the operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// The health checks fail.
    Down,
    /// Its weight is 0: only sticky clients reach it.
    Draining,
    /// Its answers failed, so that it is left out for a while.
    Ejected,
    /// It came up a while ago, and its share still grows.
    SlowStart,
    /// It gets its share.
    Up,
}

impl Standing {
    /// An endpoint of which nothing bad is known.
    pub fn new(rules: Rules, circle: &Arc<Circle>) -> Arc<Self> {
        let standing = Self {
            weight: AtomicU32::new(rules.weight),
            limit: AtomicUsize::new(usize::MAX),
            in_flight: AtomicUsize::new(0),
            is_down: AtomicBool::new(false),
            left_out_until: AtomicU64::new(0),
            ramp_from: AtomicU64::new(0),
            slow_start: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            failures_allowed: AtomicU32::new(0),
            ejection: AtomicU64::new(0),
            ejected_for: AtomicU64::new(0),
            ejected_until: AtomicU64::new(0),
            born: Instant::now(),
            circle: Arc::downgrade(circle),
        };
        standing.obey(rules);
        Arc::new(standing)
    }

    /// The configuration says something else now.
    pub fn obey(&self, rules: Rules) {
        let before = self.weight.swap(rules.weight, Ordering::Relaxed);
        self.limit.store(rules.limit.unwrap_or(usize::MAX), Ordering::Relaxed);
        self.slow_start.store(millis(rules.slow_start), Ordering::Relaxed);
        self.failures_allowed.store(rules.ejection.failures, Ordering::Relaxed);
        self.ejection.store(millis(rules.ejection.duration), Ordering::Relaxed);
        if before == 0 && rules.weight != 0 {
            self.came_up();
        }
    }

    /// Whether it may be chosen: it has weight, the checks do not call it down, and it is not left
    /// out because of its answers.
    pub fn is_available(&self) -> bool {
        self.is_wanted() && !self.is_left_out()
    }

    /// Whether it may be chosen if no other one is available: all but the last condition.
    pub fn is_wanted(&self) -> bool {
        self.weight.load(Ordering::Relaxed) != 0 && !self.is_down()
    }

    /// Whether the health checks call it down.
    pub fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    /// Whether it is left out because of its answers.
    pub fn is_left_out(&self) -> bool {
        let until = self.left_out_until.load(Ordering::Relaxed);
        if until == 0 {
            return false;
        }
        if self.now() < until {
            return true;
        }
        // Whoever sees it first saves the others the clock; unless it has been left out anew.
        let cleared =
            self.left_out_until.compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed);
        cleared.is_err() && self.is_left_out()
    }

    /// The verdict of the health checks, after `rise` and `fall`; the same one may come again.
    pub fn checked(&self, is_up: bool) {
        let was_down = self.is_down.swap(!is_up, Ordering::Relaxed);
        if !is_up && !was_down {
            // Who waits for a place here should not wait any longer.
            self.tell_all();
        }
        if is_up && was_down {
            // Checked several times: what its answers were like before is forgotten.
            self.failures.store(0, Ordering::Relaxed);
            self.left_out_until.store(0, Ordering::Relaxed);
            self.ejected_until.store(0, Ordering::Relaxed);
            self.came_up();
        }
    }

    /// Its share grows from now on.
    pub fn came_up(&self) {
        if self.slow_start.load(Ordering::Relaxed) != 0 {
            self.ramp_from.store(self.now(), Ordering::Relaxed);
        }
        self.tell_all();
    }

    /// A whole answer has come from it; its status does not matter.
    pub fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// It did not answer, or what came was malformed or cut off. Never leaves out the last endpoint
    /// that is available.
    /// Says whether it is left out from now on.
    pub fn failed(&self) -> bool {
        let allowed = self.failures_allowed.load(Ordering::Relaxed);
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let is_enough = allowed != 0 && failures >= allowed && self.is_dispensable();
        is_enough && self.eject()
    }

    /// No connection could be made: a failure after which others go first for a moment, even before
    /// there are enough failures.
    pub fn unreachable(&self) -> bool {
        let is_ejected = self.failed();
        if !is_ejected && !self.is_left_out() && self.is_dispensable() {
            self.left_out_until.store(self.now() + UNREACHABLE_FOR, Ordering::Relaxed);
        }
        is_ejected
    }

    /// Its share of the moment in thousandths of a unit of weight.
    pub fn weight_now(&self) -> u32 {
        self.weight.load(Ordering::Relaxed) * self.ramp()
    }

    /// Its weight, whatever its state.
    pub fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// How much of its share it gets, from 1 to 1000.
    pub fn ramp(&self) -> u32 {
        let from = self.ramp_from.load(Ordering::Relaxed);
        if from == 0 {
            return FULL;
        }
        let slow_start = self.slow_start.load(Ordering::Relaxed);
        let elapsed = self.now().saturating_sub(from);
        if elapsed >= slow_start {
            // An ejection that begins just now has set its own beginning.
            let (relaxed, ramp) = (Ordering::Relaxed, &self.ramp_from);
            let _ = ramp.compare_exchange(from, 0, relaxed, relaxed);
            return FULL;
        }
        u32::try_from(elapsed * u64::from(FULL) / slow_start).unwrap_or(FULL).max(1)
    }

    /// Takes a place in flight, unless all are taken. Give it back with [`release`](Self::release).
    pub fn acquire(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit == usize::MAX {
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let more = |taken: usize| (taken < limit).then_some(taken + 1);
        self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// Gives a place back, to who has waited longest for one.
    pub fn release(&self) {
        if self.limit.load(Ordering::Relaxed) == usize::MAX {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        if let Some(circle) = self.circle.upgrade() {
            circle.vacated();
        }
    }

    /// Requests and streams under way, of all workers.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether one more may be in flight.
    pub fn has_room(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        limit == usize::MAX || self.in_flight.load(Ordering::SeqCst) < limit
    }

    /// What the operator sees.
    pub fn state(&self) -> State {
        if self.is_down() {
            State::Down
        } else if self.weight() == 0 {
            State::Draining
        } else if self.is_left_out() {
            State::Ejected
        } else if self.ramp() < FULL {
            State::SlowStart
        } else {
            State::Up
        }
    }

    /// Whether another endpoint is available.
    fn is_dispensable(&self) -> bool {
        self.circle.upgrade().is_some_and(|circle| circle.has_another(self))
    }

    fn tell_all(&self) {
        if let Some(circle) = self.circle.upgrade() {
            circle.opened();
        }
    }

    fn eject(&self) -> bool {
        let now = self.now();
        let base = self.ejection.load(Ordering::Relaxed);
        let (last, ended) =
            (self.ejected_for.load(Ordering::Relaxed), self.ejected_until.load(Ordering::Relaxed));
        if now < ended {
            // Others that were under way when it began.
            return false;
        }
        let is_relapse = ended != 0 && now < ended.saturating_add(last);
        let length = if is_relapse { (last * 2).min(base * LONGEST) } else { base };
        let until = now + length;
        self.failures.store(0, Ordering::Relaxed);
        self.ejected_for.store(length, Ordering::Relaxed);
        self.ejected_until.store(until, Ordering::Relaxed);
        if self.slow_start.load(Ordering::Relaxed) != 0 {
            self.ramp_from.store(until, Ordering::Relaxed);
        }
        self.left_out_until.store(until, Ordering::Relaxed);
        true
    }

    /// Milliseconds since `born`, and never 0.
    fn now(&self) -> u64 {
        millis(self.born.elapsed()) + 1
    }
}

impl State {
    /// One word, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Draining => "draining",
            Self::Ejected => "ejected",
            Self::SlowStart => "slow_start",
            Self::Up => "up",
        }
    }
}

fn millis(duration: Duration) -> u64 {
    // Configured durations are days at most; no process runs for 500 million years.
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 16).min(u64::MAX / 16)
}

/// All of a share, in thousandths.
pub const FULL: u32 = 1000;

/// How long an endpoint that could not be connected to is passed over while there are others, in
/// milliseconds: long enough not to try it for each request, short enough not to miss its return.
const UNREACHABLE_FOR: u64 = 1000;

/// How many times its configured length an ejection lasts at most.
const LONGEST: u64 = 8;
