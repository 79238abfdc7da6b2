//! How many retries a pool may make: a fraction of its recent requests and a few more, so that an
//! outage is not made worse by asking twice for everything.
//!
//! A request costs one addition on its worker's own cache line; clock and lock are for retries.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

/// A worker's budget for one pool.
#[derive(Debug)]
pub struct Budget {
    requests: AtomicU64,
    /// Only this worker takes the lock.
    purse: Mutex<Purse>,
}

/// In retries.
#[derive(Debug)]
struct Purse {
    /// By requests of the last [`RECENT`], less what was spent.
    earned: f64,
    /// By time alone.
    allowance: f64,
    most: f64,
    counted: Instant,
}

impl Budget {
    /// One of as many as there are workers; they share the allowance.
    pub fn new(workers: usize) -> Self {
        let most = (ALLOWANCE / workers.max(1) as f64).max(1.0);
        let purse = Purse { earned: 0.0, allowance: most, most, counted: Instant::now() };
        Self { requests: AtomicU64::new(0), purse: Mutex::new(purse) }
    }

    /// A request has come.
    pub fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a retry out of the budget, if there is one left. `permille`: retries for each 1,000
    /// requests.
    pub fn spend(&self, permille: u16) -> bool {
        let mut purse = self.purse.lock().unwrap_or_else(PoisonError::into_inner);
        purse.fill(self.requests.swap(0, Ordering::Relaxed), permille);
        let Purse { earned, allowance, .. } = &mut *purse;
        let pocket = [earned, allowance].into_iter().find(|pocket| **pocket >= ONE);
        pocket.map(|pocket| *pocket -= 1.0).is_some()
    }
}

impl Purse {
    /// Requests that came since the last time earn their share; what is older fades.
    fn fill(&mut self, requests: u64, permille: u16) {
        let now = Instant::now();
        let passed = (now - self.counted).as_secs_f64() / RECENT.as_secs_f64();
        self.counted = now;
        // Of a longer time, only as many as came in the last part of it.
        let earned = requests as f64 * f64::from(permille) / 1000.0 / passed.max(1.0);
        self.earned = self.earned * (1.0 - passed).max(0.0) + earned;
        self.allowance = (self.allowance + self.most * passed).min(self.most);
    }
}

/// How long a request earns something.
const RECENT: Duration = Duration::from_secs(10);

/// Retries in each [`RECENT`] whatever the number of requests: a quiet service may retry, too.
const ALLOWANCE: f64 = 10.0;

/// A retry, but for what sums of fractions lose.
const ONE: f64 = 1.0 - 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &Budget, permille: u16) -> usize {
        (0..10_000).take_while(|_| budget.spend(permille)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_service_has_ten_retries_in_ten_seconds() {
        let budget = Budget::new(1);
        assert_eq!(spent(&budget, 0), 10);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(spent(&budget, 0), 1);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(spent(&budget, 0), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_earn_their_fraction() {
        let budget = Budget::new(1);
        (0..1000).for_each(|_| budget.asked());
        assert_eq!(spent(&budget, 200), 210);
        (0..10).for_each(|_| budget.asked());
        assert_eq!(spent(&budget, 200), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_long_ago_earn_nothing() {
        let budget = Budget::new(1);
        assert_eq!(spent(&budget, 200), 10);
        (0..36_000).for_each(|_| budget.asked());
        tokio::time::advance(Duration::from_secs(3600)).await;
        // Ten in a second, so a hundred in the last ten: twenty, and the ten of everybody.
        assert_eq!(spent(&budget, 200), 30);
        (0..1000).for_each(|_| budget.asked());
        assert!(budget.spend(200));
        tokio::time::advance(RECENT).await;
        assert_eq!(spent(&budget, 200), 10);
    }

    #[test]
    fn workers_share_the_allowance() {
        assert_eq!(spent(&Budget::new(2), 0), 5);
        assert_eq!(spent(&Budget::new(64), 0), 1);
    }
}
