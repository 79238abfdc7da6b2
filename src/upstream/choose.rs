//! Which endpoint is next, by the pool's balance: no input or output, and nothing shared among
//! workers but the endpoints' standings.

use std::cmp::Ordering as Compared;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::config::balance::Balance;
use crate::per_worker::PerWorker;
use crate::upstream::hash;
use crate::upstream::hash::Ring;
use crate::upstream::standing::FULL;
use crate::upstream::standing::Standing;

/// Chooses among the endpoints of a pool. Made anew when they change.
#[derive(Debug)]
pub struct Chooser {
    standings: Vec<Arc<Standing>>,
    rule: Rule,
    /// Each worker takes turns by itself, so that workers share nothing.
    turns: PerWorker<Turn>,
    /// Shares may grow for a while.
    has_slow_start: bool,
}

/// What came of it: a place in the list of endpoints, or why there is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Choice {
    /// There are endpoints that could be asked, but all have in flight what they may.
    Full,
    /// All were tried, drained, or are down.
    Nobody,
    /// This one.
    Place(usize),
}

/// Endpoints that a request has been tried on, by their place in the pool. Empty for nearly all
/// requests, and then without memory of its own.
#[derive(Clone, Debug, Default)]
pub struct Tried(Vec<usize>);

#[derive(Debug)]
enum Rule {
    /// The flag: all weights are equal.
    LeastRequests(bool),
    Ring(Ring),
    Turns,
    /// The sum of the weights up to and including each place.
    TwoChoices(Box<[u32]>),
    Weighted,
}

/// Whose turn it is on a worker.
#[derive(Debug)]
struct Turn {
    next: AtomicUsize,
    random: AtomicU64,
    /// What each place is owed, for smooth turns by weight; the lock is this worker's alone.
    owed: Mutex<Vec<i64>>,
}

impl Chooser {
    /// The standings and the labels are those of the endpoints, in order.
    pub fn new(
        balance: &Balance,
        standings: Vec<Arc<Standing>>,
        labels: &[&str],
        workers: usize,
    ) -> Self {
        let weights: Vec<u32> = standings.iter().map(|standing| standing.weight()).collect();
        // With a drained one among them, turns by weight are the ones that stay even.
        let is_even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let rule = match balance {
            Balance::ConsistentHash(_) => Rule::Ring(Ring::new(labels, &weights)),
            Balance::LeastRequests => Rule::LeastRequests(is_even),
            Balance::RoundRobin if is_even => Rule::Turns,
            Balance::RoundRobin => Rule::Weighted,
            Balance::TwoChoices => Rule::TwoChoices(
                weights
                    .iter()
                    .scan(0, |sum: &mut u32, weight| {
                        *sum = sum.saturating_add(*weight);
                        Some(*sum)
                    })
                    .collect(),
            ),
        };
        let turns = PerWorker::new(workers, || Turn::new(standings.len()));
        Self { standings, rule, turns, has_slow_start: false }
    }

    /// The same, where shares may grow for a while.
    pub fn growing(self, has_slow_start: bool) -> Self {
        Self { has_slow_start, ..self }
    }

    /// The endpoints' standings, in order.
    pub fn standings(&self) -> &[Arc<Standing>] {
        &self.standings
    }

    /// The place of the next endpoint for a request with this key (which matters to a consistent hash
    /// alone): one that was not tried, is available, and has room. If none is available, those that are
    /// left out because of their answers are asked all the same.
    pub fn choose(&self, key: u64, tried: &Tried) -> Choice {
        let of = &self.standings;
        if let [only] = &**of {
            return match (tried.is_empty() && only.is_wanted(), only.has_room()) {
                (false, _) => Choice::Nobody,
                (true, false) => Choice::Full,
                (true, true) => Choice::Place(0),
            };
        }
        let turn = self.turns.mine();
        let roll = self.roll(turn, key);
        let is_next = |place: usize| {
            let standing = &of[place];
            !tried.has(place)
                && standing.is_available()
                && standing.has_room()
                && (!self.has_slow_start || standing.ramp() > roll)
        };
        match self.draw(turn, key, &is_next) {
            Some(place) => Choice::Place(place),
            None => self.choose_anyhow(turn, key, tried),
        }
    }

    /// There is none as it should be.
    fn choose_anyhow(&self, turn: &Turn, key: u64, tried: &Tried) -> Choice {
        let of = &self.standings;
        let any = |is: fn(&Standing) -> bool| {
            (0..of.len()).any(|place| !tried.has(place) && is(&of[place]))
        };
        let draw = |is: fn(&Standing) -> bool| {
            let is_next =
                |place: usize| !tried.has(place) && is(&of[place]) && of[place].has_room();
            self.draw(turn, key, &is_next).map_or(Choice::Full, Choice::Place)
        };
        if any(Standing::is_available) {
            draw(Standing::is_available)
        } else if any(Standing::is_wanted) {
            draw(Standing::is_wanted)
        } else {
            Choice::Nobody
        }
    }

    /// One of the places that may be next, by the rule; `None` only if there is none.
    fn draw(&self, turn: &Turn, key: u64, is_next: &impl Fn(usize) -> bool) -> Option<usize> {
        match &self.rule {
            Rule::LeastRequests(is_even) => self.least(turn, *is_even, is_next),
            Rule::Ring(ring) => ring.find(key, self.standings.len(), is_next),
            Rule::Turns => turn.take(self.standings.len(), is_next),
            Rule::TwoChoices(sums) => self.two_choices(turn, sums, is_next),
            Rule::Weighted => turn.take_smoothly(&self.standings, is_next),
        }
    }

    /// Of equally loaded endpoints, the one whose turn it is.
    fn least(&self, turn: &Turn, is_even: bool, is_next: &impl Fn(usize) -> bool) -> Option<usize> {
        let places = (0..self.standings.len()).filter(|place| is_next(*place));
        let least = places.map(|place| Load::of(&self.standings[place])).min()?;
        let is_least = |place: usize| is_next(place) && Load::of(&self.standings[place]) <= least;
        let chosen = if is_even {
            turn.take(self.standings.len(), &is_least)
        } else {
            turn.take_smoothly(&self.standings, &is_least)
        };
        // Another worker may just have given something to the least loaded one.
        chosen.or_else(|| turn.take(self.standings.len(), is_next))
    }

    /// The less loaded one of two that are drawn by weight.
    fn two_choices(
        &self,
        turn: &Turn,
        sums: &[u32],
        is_next: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let total = sums.last().copied().filter(|total| *total != 0)?;
        let drawn = |is_good: &dyn Fn(usize) -> bool| {
            let draws = (0..DRAWS).map(|_| {
                let at = turn.below(total);
                sums.partition_point(|sum| *sum <= at)
            });
            draws.into_iter().find(|place| is_good(*place))
        };
        let Some(one) = drawn(is_next) else { return turn.take(sums.len(), is_next) };
        let Some(other) = drawn(&|place| place != one && is_next(place)) else { return Some(one) };
        let load = |place: usize| Load::of(&self.standings[place]);
        Some(if load(other) < load(one) { other } else { one })
    }

    /// Below what an endpoint's ramp has to be for this request.
    fn roll(&self, turn: &Turn, key: u64) -> u32 {
        if !self.has_slow_start {
            return 0;
        }
        // The keys of a consistent hash move one by one, and do not move back.
        let random = match self.rule {
            Rule::Ring(_) => hash::mix(key),
            _ => turn.random(),
        };
        (random % u64::from(FULL)) as u32
    }
}

impl Tried {
    /// Remembers a place.
    pub fn add(&mut self, place: usize) {
        self.0.push(place);
    }

    /// Whether it is the first attempt.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this place was tried.
    pub fn has(&self, place: usize) -> bool {
        self.0.contains(&place)
    }
}

impl Turn {
    fn new(places: usize) -> Self {
        Self {
            next: AtomicUsize::new(0),
            random: AtomicU64::new(hash::seed()),
            owed: Mutex::new(vec![0; places]),
        }
    }

    /// One after the other. The turns of one that cannot take them go to all the others in turn, not
    /// to its neighbour alone.
    fn take(&self, places: usize, is_next: &impl Fn(usize) -> bool) -> Option<usize> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let place = turn % places;
        if is_next(place) {
            return Some(place);
        }
        let others = places.checked_sub(1).filter(|others| *others != 0)?;
        let first = place + 1 + (turn / places) % others;
        (0..places).map(|step| (first + step) % places).find(|place| is_next(*place))
    }

    /// One after the other in proportion to their weights, evenly spread: everybody is given what it is
    /// owed, and who is owed most pays for the round (the smooth round robin of nginx).
    fn take_smoothly(
        &self,
        standings: &[Arc<Standing>],
        is_next: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut round, mut best) = (0, None);
        for (place, standing) in standings.iter().enumerate() {
            if !is_next(place) {
                continue;
            }
            let weight = i64::from(standing.weight());
            round += weight;
            owed[place] += weight;
            if best.is_none_or(|best: usize| owed[place] > owed[best]) {
                best = Some(place);
            }
        }
        let best = best?;
        owed[best] -= round;
        Some(best)
    }

    /// A number for lots, not for secrets: xorshift64*.
    fn random(&self) -> u64 {
        let mut state = self.random.load(Ordering::Relaxed);
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        // Nobody else writes it, except where threads that are no workers share one.
        self.random.store(state, Ordering::Relaxed);
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&self, end: u32) -> u32 {
        // The bias of a product is less than one in four thousand million.
        ((u64::from(end) * (self.random() >> 32)) >> 32) as u32
    }
}

/// What is in flight for each unit of weight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Load {
    in_flight: u64,
    weight: u64,
}

impl Load {
    fn of(standing: &Standing) -> Self {
        Self { in_flight: standing.in_flight() as u64, weight: u64::from(standing.weight()).max(1) }
    }
}

impl Ord for Load {
    fn cmp(&self, other: &Self) -> Compared {
        (self.in_flight * other.weight).cmp(&(other.in_flight * self.weight))
    }
}

impl PartialOrd for Load {
    fn partial_cmp(&self, other: &Self) -> Option<Compared> {
        Some(self.cmp(other))
    }
}

/// Draws before the rest is looked at one by one; with half of the endpoints out, one in 256 comes
/// that far.
const DRAWS: usize = 8;

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
