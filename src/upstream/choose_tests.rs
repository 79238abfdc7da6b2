//! Tests of the choice: who gets how much, and who is left out.

use super::*;
use crate::config::balance::HashKey;
use crate::config::health::Ejection;
use crate::upstream::circle::Circle;
use crate::upstream::standing::Rules;
use crate::upstream::standing::State;
use proptest::prelude::*;
use std::time::Duration;

/// A pool without connections.
struct Kit {
    circle: Arc<Circle>,
    of: Vec<Arc<Standing>>,
    chooser: Chooser,
}

fn rules(weight: u32) -> Rules {
    let ejection = Ejection { failures: 3, duration: Duration::from_secs(10) };
    Rules { weight, ejection, slow_start: Duration::ZERO, limit: None }
}

fn kit(balance: &Balance, rules: &[Rules]) -> Kit {
    let circle = Circle::new();
    let of: Vec<_> = rules.iter().map(|rules| Standing::new(*rules, &circle)).collect();
    circle.replace(of.clone());
    let labels: Vec<String> = (0..of.len()).map(|n| format!("10.0.0.{n}:80")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let chooser = Chooser::new(balance, of.clone(), &labels, 1);
    let grows = rules.iter().any(|rules| !rules.slow_start.is_zero());
    Kit { circle, of, chooser: chooser.growing(grows) }
}

fn weighted(balance: &Balance, weights: &[u32]) -> Kit {
    kit(balance, &weights.iter().map(|weight| rules(*weight)).collect::<Vec<_>>())
}

fn by_address() -> Balance {
    Balance::ConsistentHash(HashKey::ClientAddress)
}

impl Kit {
    fn next(&self) -> Choice {
        self.chooser.choose(0, &Tried::default())
    }

    fn fails(&self, place: usize, times: usize) {
        for _ in 0..times {
            self.of[place].failed();
        }
    }

    fn counts(&self, requests: u64) -> Vec<usize> {
        let mut counts = vec![0; self.of.len()];
        for number in 0..requests {
            match self.chooser.choose(hash::mix(number), &Tried::default()) {
                Choice::Place(place) => counts[place] += 1,
                none => panic!("{none:?}"),
            }
        }
        counts
    }
}

#[test]
fn equal_endpoints_take_turns() {
    let kit = weighted(&Balance::RoundRobin, &[1, 1, 1]);
    let places: Vec<_> = (0..6).map(|_| kit.next()).collect();
    assert_eq!(places, [0, 1, 2, 0, 1, 2].map(Choice::Place));
}

#[test]
fn turns_by_weight_are_spread_evenly() {
    let kit = weighted(&Balance::RoundRobin, &[5, 1, 1]);
    let places: Vec<_> = (0..7).map(|_| kit.next()).collect();
    assert_eq!(places, [0, 0, 1, 0, 2, 0, 0].map(Choice::Place));
}

proptest! {
    /// PX-2
    #[test]
    fn a_cycle_gives_each_exactly_its_weight(weights in prop::collection::vec(0u32..20, 1..12)) {
        let total: u32 = weights.iter().sum();
        prop_assume!(total > 0);
        let kit = weighted(&Balance::RoundRobin, &weights);
        for _ in 0..3 {
            let counts = kit.counts(u64::from(total));
            let wanted: Vec<_> = weights.iter().map(|weight| *weight as usize).collect();
            prop_assert_eq!(counts, wanted);
        }
    }

    /// PX-2
    #[test]
    fn whatever_happens_only_one_who_may_be_asked_is_chosen(
        states in prop::collection::vec((0u32..3, any::<bool>(), any::<bool>(), any::<bool>()), 1..8),
        balance in 0usize..4,
        key in any::<u64>(),
    ) {
        let balances =
            [Balance::RoundRobin, Balance::LeastRequests, Balance::TwoChoices, by_address()];
        let rules: Vec<_> = states
            .iter()
            .map(|(weight, ..)| Rules { limit: Some(1), ..rules(*weight) })
            .collect();
        let kit = kit(&balances[balance], &rules);
        let mut tried = Tried::default();
        for (place, (_, is_down, is_full, is_tried)) in states.iter().enumerate() {
            kit.of[place].checked(!is_down);
            if *is_full {
                kit.of[place].acquire();
            }
            if *is_tried {
                tried.add(place);
            }
        }
        let wanted = |(weight, is_down, _, is_tried): &(u32, bool, bool, bool)| {
            *weight != 0 && !is_down && !is_tried
        };
        match kit.chooser.choose(key, &tried) {
            Choice::Place(place) => prop_assert!(wanted(&states[place]) && !states[place].2),
            Choice::Full => {
                let left: Vec<_> = states.iter().filter(|state| wanted(state)).collect();
                // A pool of one has no other that could have been tried.
                prop_assert!(!left.is_empty() && left.iter().all(|state| state.2));
            }
            Choice::Nobody => prop_assert!(!states.iter().any(wanted)),
        }
    }
}

#[test]
fn the_turns_of_one_that_is_down_go_to_all_others() {
    let kit = weighted(&Balance::RoundRobin, &[1, 1, 1, 1]);
    kit.of[1].checked(false);
    assert_eq!(kit.counts(1200), [400, 0, 400, 400]);
    kit.of[1].checked(true);
    assert_eq!(kit.counts(1200), [300; 4]);
}

#[test]
fn least_requests_are_counted_by_weight() {
    let kit = weighted(&Balance::LeastRequests, &[1, 3]);
    for _ in 0..8 {
        let Choice::Place(place) = kit.next() else { panic!() };
        kit.of[place].acquire();
    }
    assert_eq!([kit.of[0].in_flight(), kit.of[1].in_flight()], [2, 6]);
    kit.of[1].release();
    assert_eq!(kit.next(), Choice::Place(1));
}

#[test]
fn of_equally_busy_endpoints_shares_follow_weights() {
    let kit = weighted(&Balance::LeastRequests, &[1, 3]);
    assert_eq!(kit.counts(8), [2, 6]);
}

#[test]
fn two_choices_take_the_less_busy_of_two() {
    let kit = weighted(&Balance::TwoChoices, &[1, 1]);
    (0..5).for_each(|_| assert!(kit.of[0].acquire()));
    let counts = kit.counts(1000);
    // Both are drawn but for one time in 256, when eight draws give the same one.
    assert!(counts[0] < 30, "{counts:?}");
    let kit = weighted(&Balance::TwoChoices, &[1; 10]);
    (0..5).for_each(|_| assert!(kit.of[0].acquire()));
    assert!(kit.counts(10_000)[0] < 40, "only where it is drawn alone");
}

#[test]
fn two_choices_are_drawn_by_weight() {
    let kit = weighted(&Balance::TwoChoices, &[1, 4, 0, 1, 1, 1]);
    let counts = kit.counts(10_000);
    assert_eq!(counts[2], 0);
    assert!(counts[1] > 2 * counts[0], "{counts:?}");
}

#[test]
fn a_key_stays_where_it_is_while_its_endpoint_is_available() {
    let kit = weighted(&by_address(), &[1; 5]);
    let of = |key: u64| kit.chooser.choose(hash::mix(key), &Tried::default());
    let before: Vec<_> = (0..500).map(of).collect();
    kit.of[2].checked(false);
    for (key, before) in before.iter().enumerate() {
        let now = of(key as u64);
        assert_eq!(now == *before, *before != Choice::Place(2));
    }
    kit.of[2].checked(true);
    assert_eq!((0..500).map(of).collect::<Vec<_>>(), before);
}

#[test]
fn a_drained_endpoint_gets_nothing() {
    for balance in [Balance::RoundRobin, Balance::LeastRequests, Balance::TwoChoices, by_address()]
    {
        let kit = weighted(&balance, &[1, 0, 1]);
        assert_eq!(kit.counts(300)[1], 0);
        assert_eq!(kit.of[1].state(), State::Draining);
        assert_eq!(weighted(&balance, &[0]).next(), Choice::Nobody);
    }
}

#[test]
fn any_number_of_endpoints_is_tried_once_each() {
    let kit = weighted(&Balance::RoundRobin, &[1; 200]);
    let mut tried = Tried::default();
    for _ in 0..200 {
        let Choice::Place(place) = kit.chooser.choose(0, &tried) else { panic!() };
        assert!(!tried.has(place));
        tried.add(place);
    }
    assert_eq!(kit.chooser.choose(0, &tried), Choice::Nobody);
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_leave_an_endpoint_out_for_longer_and_longer() {
    let kit = weighted(&Balance::RoundRobin, &[1, 1]);
    let seconds = |seconds| tokio::time::advance(Duration::from_secs(seconds));
    for _ in 0..2 {
        assert!(!kit.of[0].failed());
    }
    kit.of[0].succeeded();
    for length in [10, 20, 40, 80, 80] {
        assert!(!kit.of[0].failed() && !kit.of[0].failed());
        assert!(kit.of[0].failed(), "the third in a row");
        assert!(!kit.of[0].failed(), "it is out already");
        kit.of[0].succeeded();
        assert_eq!(kit.of[0].state(), State::Ejected);
        seconds(length - 1).await;
        assert_eq!(kit.counts(4), [0, 4]);
        seconds(1).await;
        assert_eq!(kit.counts(4), [2, 2]);
    }
    seconds(81).await;
    kit.fails(0, 3);
    seconds(10).await;
    assert_eq!(kit.of[0].state(), State::Up, "good for long enough: short again");
}

#[tokio::test(start_paused = true)]
async fn the_last_available_endpoint_is_not_ejected() {
    let kit = weighted(&Balance::RoundRobin, &[1, 1, 0]);
    kit.fails(0, 9);
    assert!((0..9).all(|_| !kit.of[1].unreachable()));
    assert_eq!([0, 1].map(|place| kit.of[place].state()), [State::Ejected, State::Up]);
    assert_eq!(kit.counts(4), [0, 4, 0]);
    // The checks know better: what is left is the one that is out.
    kit.of[1].checked(false);
    assert_eq!(kit.counts(4), [4, 0, 0]);
    kit.of[0].checked(false);
    assert_eq!(kit.next(), Choice::Nobody);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_cannot_be_connected_to_is_passed_over_for_a_second() {
    let kit = weighted(&Balance::RoundRobin, &[1, 1]);
    assert!(!kit.of[0].unreachable());
    assert_eq!(kit.counts(4), [0, 4]);
    let mut tried = Tried::default();
    tried.add(1);
    assert_eq!(kit.chooser.choose(0, &tried), Choice::Place(0), "better than nobody");
    tokio::time::advance(Duration::from_millis(1001)).await;
    assert_eq!(kit.counts(4), [2, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_share_grows_over_the_slow_start() {
    let slow = Rules { slow_start: Duration::from_secs(100), ..rules(1) };
    for balance in [Balance::RoundRobin, Balance::LeastRequests, Balance::TwoChoices, by_address()]
    {
        let kit = kit(&balance, &[slow; 2]);
        let all = kit.counts(10_000)[0];
        assert!((4000..6000).contains(&all), "{balance:?} {all}");
        kit.of[0].checked(false);
        kit.of[0].checked(true);
        assert_eq!(kit.of[0].state(), State::SlowStart);
        for tenths in [1, 5, 9] {
            let base = if tenths == 1 { 0 } else { tenths - 4 };
            tokio::time::advance(Duration::from_secs(10 * (tenths - base))).await;
            let share = kit.counts(10_000)[0] as u64;
            let wanted = all as u64 * tenths / 10;
            assert!(share.abs_diff(wanted) < 400, "{balance:?} {share} of {wanted}");
            assert_eq!(u64::from(kit.of[0].weight_now()), tenths * 100);
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(kit.of[0].state(), State::Up);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_comes_back_slowly() {
    let slow = Rules { slow_start: Duration::from_secs(100), ..rules(1) };
    let kit = kit(&Balance::RoundRobin, &[slow; 2]);
    kit.fails(0, 3);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(kit.of[0].state(), State::SlowStart);
    assert!(kit.counts(100)[0] < 10);
}

#[test]
fn a_limit_is_never_exceeded() {
    let kit = kit(&Balance::RoundRobin, &[Rules { limit: Some(10), ..rules(1) }]);
    let (of, taken) = (&kit.of[0], AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                (0..100).filter(|_| of.acquire()).for_each(|_| {
                    taken.fetch_add(1, Ordering::Relaxed);
                });
            });
        }
    });
    assert_eq!(taken.into_inner(), 10);
    assert_eq!(kit.next(), Choice::Full);
    of.release();
    assert_eq!(kit.next(), Choice::Place(0));
    drop(kit.circle);
}
