//! Which endpoint is next.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::config::balance::Balance;
use crate::upstream::endpoint::Endpoint;

/// Whose turn it is on a worker. Each worker takes turns by itself, so that workers share nothing.
#[derive(Debug, Default)]
pub struct Turn(AtomicUsize);

/// Endpoints that a request has been tried on, by their place in the pool.
///
/// One bit each; places from 63 on share the last bit, so that a retry in a pool of more than 63
/// endpoints may leave out one that it could have tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried(u64);

impl Tried {
    /// Remembers a place.
    pub fn add(&mut self, place: usize) {
        self.0 |= Self::bit(place);
    }

    fn has(self, place: usize) -> bool {
        self.0 & Self::bit(place) != 0
    }

    fn bit(place: usize) -> u64 {
        1 << place.min(63)
    }
}

/// The place of the next endpoint: one that was not tried and does not refuse connections, else one
/// that was not tried. `None` if all were.
pub fn choose(
    endpoints: &[Arc<Endpoint>],
    balance: &Balance,
    turn: &Turn,
    tried: Tried,
) -> Option<usize> {
    if endpoints.len() == 1 {
        return (!tried.has(0)).then_some(0);
    }
    let start = turn.0.fetch_add(1, Ordering::Relaxed);
    let in_turn = || {
        (0..endpoints.len())
            .map(|step| start.wrapping_add(step) % endpoints.len())
            .filter(|place| !tried.has(*place))
    };
    let willing = in_turn().filter(|place| endpoints[*place].standing.is_available());
    match balance {
        Balance::RoundRobin | Balance::TwoChoices | Balance::ConsistentHash(_) => first(willing),
        // Of equally loaded endpoints, the one whose turn it is.
        Balance::LeastRequests => {
            willing.min_by_key(|place| endpoints[*place].standing.in_flight())
        }
    }
    .or_else(|| first(in_turn()))
}

fn first(mut places: impl Iterator<Item = usize>) -> Option<usize> {
    places.next()
}
