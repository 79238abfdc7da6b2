//! Rate limits: so many in a period, with a burst (SPEC PX-4).
//!
//! The generic cell rate algorithm: all that is kept of somebody is the time at which a steady stream
//! of their requests would have arrived in full. Bounded memory, shared by all workers, no locks.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::config;
use crate::config::rate_limit::Per;

/// One limit with what it has counted.
#[derive(Debug)]
pub struct Limit {
    rate: Rate,
    /// Times are nanoseconds since then.
    born: Instant,
    counts: Counts,
}

/// How long until one more would be within a limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Over(pub Duration);

/// How fast, and how many at once, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::service) struct Rate {
    /// From one to the next in a steady stream.
    interval: u64,
    /// How far ahead of the clock a stream may be: `burst - 1` intervals.
    ahead: u64,
}

#[derive(Debug)]
enum Counts {
    /// Of each client apart. Allocated by the first one.
    Clients { hasher: RandomState, table: OnceLock<Table> },
    /// Of all together.
    Service(AtomicU64),
}

/// A hash table of fixed size: an entry may be in any place of its set, and the stalest one gives
/// way. That one has usually been idle for so long that nothing is lost with it. 256 KiB.
#[derive(Debug)]
struct Table(Box<[Set]>);

/// Two cache lines.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set {
    /// Hashes of clients; 0: nobody.
    keys: [AtomicU64; WAYS],
    arrivals: [AtomicU64; WAYS],
}

impl Limit {
    /// A limit that has counted nothing yet.
    pub fn new(config: &config::rate_limit::RateLimit) -> Self {
        Self::with_sets(config, SETS)
    }

    fn with_sets(config: &config::rate_limit::RateLimit, sets: usize) -> Self {
        let counts = match config.per {
            Per::Client => {
                let table = OnceLock::new();
                if sets != SETS {
                    let _ = table.set(Table::new(sets));
                }
                Counts::Clients { hasher: RandomState::new(), table }
            }
            Per::Service => Counts::Service(AtomicU64::new(0)),
        };
        let rate = Rate::new(config.amount, config.period, config.burst);
        Self { rate, born: Instant::now(), counts }
    }

    /// Whether clients share one count: such limits are asked last, so that a client who is refused
    /// by a limit of its own uses up nothing of what belongs to all.
    pub fn is_shared(&self) -> bool {
        matches!(self.counts, Counts::Service(_))
    }

    /// Counts one more from this client, unless that is over the limit.
    ///
    /// # Errors
    ///
    /// Over the limit: how long to wait. Nothing was counted.
    pub fn take(&self, client: IpAddr, now: Instant) -> Result<(), Over> {
        let since = now.saturating_duration_since(self.born).as_nanos();
        self.take_at(client, u64::try_from(since).unwrap_or(u64::MAX))
    }

    fn take_at(&self, client: IpAddr, now: u64) -> Result<(), Over> {
        match &self.counts {
            Counts::Service(arrival) => self.rate.take(arrival, now),
            Counts::Clients { hasher, table } => {
                let table = table.get_or_init(|| Table::new(SETS));
                self.rate.take(table.arrival(hasher.hash_one(network(client)), now), now)
            }
        }
    }
}

impl Over {
    /// For Retry-After (RFC 9110, section 10.2.3): seconds, rounded up, at least one.
    pub fn seconds(self) -> u64 {
        let whole = self.0.as_secs();
        (whole + u64::from(self.0.subsec_nanos() > 0)).max(1)
    }
}

impl Rate {
    /// Rounded to nanoseconds in favour of the client.
    pub(in crate::service) fn new(amount: u32, period: Duration, burst: u32) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        let interval = (period / u64::from(amount.max(1))).max(1);
        Self { interval, ahead: interval.saturating_mul(u64::from(burst.max(1) - 1)) }
    }

    /// Counts one more, unless that is over the limit. `arrival` is when a steady stream of what was
    /// counted would have arrived in full; 0: nothing was.
    pub(in crate::service) fn take(self, arrival: &AtomicU64, now: u64) -> Result<(), Over> {
        let mut known = arrival.load(Ordering::Relaxed);
        loop {
            let due = known.max(now);
            let ahead = due - now;
            if ahead > self.ahead {
                return Err(Over(Duration::from_nanos(ahead - self.ahead)));
            }
            let next = due.saturating_add(self.interval);
            let (ok, failed) = (Ordering::Relaxed, Ordering::Relaxed);
            match arrival.compare_exchange_weak(known, next, ok, failed) {
                Ok(_) => return Ok(()),
                Err(other) => known = other,
            }
        }
    }
}

impl Table {
    fn new(sets: usize) -> Self {
        Self((0..sets).map(|_| Set::default()).collect())
    }

    /// The arrival time of this client.
    fn arrival(&self, hash: u64, now: u64) -> &AtomicU64 {
        let key = hash.max(1);
        // The high bits choose the set; the whole of it is compared.
        let sets = self.0.len() as u64;
        let index = (u128::from(key) * u128::from(sets)) >> 64;
        let set = &self.0[usize::try_from(index).unwrap_or_default() % self.0.len()];
        set.arrival(key, now)
    }
}

impl Set {
    fn arrival(&self, key: u64, now: u64) -> &AtomicU64 {
        loop {
            if let Some(place) =
                self.keys.iter().position(|known| known.load(Ordering::Acquire) == key)
            {
                return &self.arrivals[place];
            }
            let place = self.stalest();
            let known = self.keys[place].load(Ordering::Acquire);
            let arrival = self.arrivals[place].load(Ordering::Acquire);
            let (ok, failed) = (Ordering::AcqRel, Ordering::Relaxed);
            if self.keys[place].compare_exchange(known, key, ok, failed).is_ok() && arrival > now {
                // Somebody who was not idle had to go: their debt is not the newcomer's. Where a
                // time has passed already, it means the same to anybody.
                let _ = self.arrivals[place].compare_exchange(arrival, now, ok, failed);
            }
            // Another worker may have entered the same client: the first place counts for both.
        }
    }

    fn stalest(&self) -> usize {
        let arrivals = self.arrivals.iter().map(|arrival| arrival.load(Ordering::Relaxed));
        arrivals.enumerate().min_by_key(|(_, arrival)| *arrival).map_or(0, |(place, _)| place)
    }
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 client has to itself.
fn network(client: IpAddr) -> (bool, u64) {
    match client.to_canonical() {
        IpAddr::V4(v4) => (false, u32::from(v4).into()),
        IpAddr::V6(v6) => (true, (u128::from(v6) >> 64) as u64),
    }
}

/// Places that a client may have.
const WAYS: usize = 8;

/// 16 Ki clients are told apart.
const SETS: usize = (16 << 10) / WAYS;

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
