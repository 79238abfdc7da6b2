//! How many handshakes there may be: under way at once, and begun within a second, in the whole
//! process and for one service. Whatever is over a limit is shed before it costs a signature.
//!
//! Counted by all workers together, without locks. A service may have half of what the process may,
//! unless it says otherwise: a crowd at one leaves room for the others.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::config::limits::Limits;
use crate::config::virtual_service::VirtualService;
use crate::service::policy::Denial;
use crate::service::policy::rate::Rate;

/// What one service has under way. A replaced service counts its own to the end, beside its successor.
#[derive(Debug)]
pub struct Handshakes {
    all: Arc<AllHandshakes>,
    most: Option<usize>,
    rate: Option<Rate>,
    count: Count,
    lines: AtomicU64,
}

/// What the process has under way. Lives as long as the process; only its bounds change.
#[derive(Debug)]
pub struct AllHandshakes {
    most: AtomicUsize,
    /// 0: no limit.
    per_second: AtomicUsize,
    count: Count,
    /// Times are nanoseconds since then.
    born: Instant,
}

/// A handshake that has begun; dropped, it is over.
#[derive(Debug)]
pub struct UnderWay<'a> {
    _places: [Place<'a>; 2],
}

#[derive(Debug, Default)]
struct Count {
    under_way: AtomicUsize,
    /// See [`Rate::take`].
    arrival: AtomicU64,
}

#[derive(Debug)]
struct Place<'a>(&'a AtomicUsize);

impl Handshakes {
    /// A service that has none yet.
    pub fn new(config: &VirtualService, all: &Arc<AllHandshakes>) -> Self {
        let most = config.handshakes;
        Self { most, rate: config.handshakes_per_second.map(rate), ..Self::unlimited(all) }
    }

    /// A service that says nothing about its handshakes.
    pub fn unlimited(all: &Arc<AllHandshakes>) -> Self {
        let (count, lines) = Default::default();
        Self { all: Arc::clone(all), most: None, rate: None, count, lines }
    }

    /// Begins one, unless it is one too many.
    ///
    /// # Errors
    ///
    /// The service or the process has enough of them.
    pub fn begin(&self) -> Result<UnderWay<'_>, Denial> {
        self.begin_at(self.all.now())
    }

    fn begin_at(&self, now: u64) -> Result<UnderWay<'_>, Denial> {
        let in_all = self.all.most.load(Ordering::Relaxed);
        let own = self.count.place(self.most.unwrap_or(in_all.div_ceil(2)))?;
        let shared = self.all.count.place(in_all)?;
        // Its own limits first: who is refused by one uses up nothing of what belongs to all.
        self.count.begins(self.rate, now)?;
        let per_second = self.all.per_second.load(Ordering::Relaxed);
        self.all.count.begins((per_second > 0).then(|| rate(per_second)), now)?;
        Ok(UnderWay { _places: [own, shared] })
    }

    /// Whether a connection that is refused gets a line in the log. All are counted, but a flood
    /// shall not fill a disk.
    pub fn deserves_line(&self) -> bool {
        rate(LINES_PER_SECOND).take(&self.lines, self.all.now()).is_ok()
    }
}

impl AllHandshakes {
    /// None under way.
    pub fn new(limits: &Limits, workers: usize) -> Self {
        let (most, per_second, count) = Default::default();
        let all = Self { most, per_second, count, born: Instant::now() };
        all.allow(limits, workers);
        all
    }

    /// Sets the bounds; what is under way stays.
    pub fn allow(&self, limits: &Limits, workers: usize) {
        let most = match limits.handshakes {
            0 => PER_WORKER * workers.max(1),
            most => most,
        };
        self.most.store(most, Ordering::Relaxed);
        self.per_second.store(limits.handshakes_per_second, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Count {
    fn place(&self, most: usize) -> Result<Place<'_>, Denial> {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.under_way);
        if before < most { Ok(place) } else { Err(Denial::HandshakeLimit) }
    }

    fn begins(&self, rate: Option<Rate>, now: u64) -> Result<(), Denial> {
        let taken = rate.map_or(Ok(()), |rate| rate.take(&self.arrival, now));
        taken.map_err(|_| Denial::HandshakeRate)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A second's worth may come at once.
fn rate(per_second: usize) -> Rate {
    let amount = u32::try_from(per_second).unwrap_or(u32::MAX);
    Rate::new(amount, Duration::from_secs(1), amount)
}

/// Under way at once where the configuration says nothing: some 100 MB, and more than a core can sign
/// within a second.
const PER_WORKER: usize = 4000;

/// Enough to see who it is.
const LINES_PER_SECOND: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn all(handshakes: usize, handshakes_per_second: usize) -> Arc<AllHandshakes> {
        let limits = Limits { handshakes, handshakes_per_second, ..Limits::default() };
        Arc::new(AllHandshakes::new(&limits, 2))
    }

    fn under_way(count: &Count) -> usize {
        count.under_way.load(Ordering::Relaxed)
    }

    #[test]
    fn a_service_has_half_of_the_process_unless_it_says_otherwise() {
        let all = all(10, 0);
        let crowd = Handshakes::unlimited(&all);
        let greedy = Handshakes { most: Some(100), ..Handshakes::unlimited(&all) };
        let mut guards: Vec<_> = (0..5).map(|_| crowd.begin().unwrap()).collect();
        assert_eq!(crowd.begin().unwrap_err(), Denial::HandshakeLimit);
        guards.extend((0..5).map(|_| greedy.begin().unwrap()));
        assert_eq!(greedy.begin().unwrap_err(), Denial::HandshakeLimit, "the process's own");
        drop(guards);
        assert_eq!(
            [under_way(&crowd.count), under_way(&greedy.count), under_way(&all.count)],
            [0; 3]
        );
    }

    #[test]
    fn what_is_refused_leaves_nothing_behind() {
        let all = all(4, 1);
        let one = Handshakes { most: Some(1), ..Handshakes::unlimited(&all) };
        let first = one.begin_at(0).unwrap();
        assert_eq!(one.begin_at(SECOND).unwrap_err(), Denial::HandshakeLimit);
        assert_eq!((under_way(&one.count), under_way(&all.count)), (1, 1));
        drop(first);
        assert!(one.begin_at(SECOND).is_ok(), "a refusal did not count for the rate");
        assert_eq!(one.begin_at(SECOND).unwrap_err(), Denial::HandshakeRate);
        assert_eq!((under_way(&one.count), under_way(&all.count)), (0, 0));
    }

    #[test]
    fn as_many_begin_within_a_second_as_may() {
        let all = all(0, 0);
        let slow = Handshakes { rate: Some(rate(3)), ..Handshakes::unlimited(&all) };
        let begun = |now| (0..10).filter(|_| slow.begin_at(now).is_ok()).count();
        assert_eq!([begun(SECOND), begun(SECOND + SECOND / 3), begun(9 * SECOND)], [3, 1, 3]);
        assert!(
            Handshakes::unlimited(&all).begin_at(SECOND).is_ok(),
            "another service's rate is its own"
        );
    }

    #[test]
    fn new_bounds_hold_for_what_is_under_way_already() {
        let all = all(2, 0);
        let service = Handshakes { most: Some(9), ..Handshakes::unlimited(&all) };
        let _guards = [service.begin().unwrap(), service.begin().unwrap()];
        assert!(service.begin().is_err());
        all.allow(&Limits::default(), 2);
        assert!(service.begin().is_ok(), "4,000 for each worker");
        all.allow(&Limits { handshakes: 1, ..Limits::default() }, 2);
        assert!(service.begin().is_err());
    }

    #[test]
    fn a_flood_of_refusals_is_a_few_lines() {
        let service = Handshakes::unlimited(&all(0, 0));
        let lines = (0..10_000).filter(|_| service.deserves_line()).count();
        // The clock runs meanwhile: ten at once, and ten for each second.
        assert!((10..1000).contains(&lines), "{lines}");
    }
}
