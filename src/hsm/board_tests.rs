//! Who gets which job, told step by step; and that no job is lost, whatever happens.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const BOTH: Members = Members(0b11);

fn job(id: u64) -> Job<()> {
    Job { id, work: (), may: BOTH, is_urgent: true, any_will_do: false }
}

fn at(member: usize, session: usize) -> At {
    At { member, session }
}

fn board(priorities: &[u8], sessions: usize) -> Board<()> {
    let mut board = Board::new(priorities, sessions);
    for member in 0..priorities.len() {
        for session in 0..sessions {
            board.connected(at(member, session));
        }
    }
    board
}

fn now() -> Instant {
    Instant::now()
}

#[test]
fn equals_take_turns() {
    let mut board = board(&[1, 1], 2);
    let given: Vec<_> = (0..5).map(|id| board.offer(job(id))).collect();
    let expected = [
        Offer::Given(at(0, 0)),
        Offer::Given(at(1, 0)),
        Offer::Given(at(0, 1)),
        Offer::Given(at(1, 1)),
        Offer::Waits,
    ];
    assert_eq!(given, expected);
    assert_eq!(board.take(at(1, 0), now()), Some(job(1)));
    board.done(at(1, 0));
    assert_eq!(board.take(at(1, 0), now()), Some(job(4)), "whoever is free first takes what waits");
}

#[test]
fn a_lesser_member_has_nothing_to_do_while_a_better_one_is_up() {
    let mut board = board(&[1, 2], 1);
    assert_eq!(board.offer(job(1)), Offer::Given(at(0, 0)));
    assert_eq!(board.offer(job(2)), Offer::Waits);
    assert_eq!(board.take(at(1, 0), now()), None);
    assert_eq!(board.take(at(0, 0), now()), Some(job(1)));
    assert_eq!(board.lost(at(0, 0)), None);
    assert_eq!(board.settle().given, [at(1, 0)], "now it has");
    board.connected(at(0, 0));
    assert_eq!(board.offer(job(3)), Offer::Given(at(0, 0)), "and the priority is kept");
}

#[test]
fn what_has_waited_long_enough_goes_to_anybody() {
    let mut board = board(&[1, 2], 1);
    board.offer(job(1));
    board.offer(job(2));
    let withdrawn = board.withdraw(2).unwrap();
    assert_eq!(board.offer(Job { any_will_do: true, ..withdrawn }), Offer::Given(at(1, 0)));
    assert_eq!(board.waiting(), 0);
}

#[test]
fn a_suspect_comes_last_until_it_has_shown_better() {
    let mut board = board(&[1, 2], 1);
    board.suspect(0, true);
    assert_eq!(board.offer(job(1)), Offer::Given(at(1, 0)));
    assert!(board.is_suspect(0));
    board.suspect(0, false);
    assert_eq!(board.offer(job(2)), Offer::Given(at(0, 0)));
}

#[test]
fn the_only_member_works_even_under_suspicion() {
    let mut board = board(&[1], 1);
    board.suspect(0, true);
    assert_eq!(board.offer(job(1)), Offer::Given(at(0, 0)));
}

#[test]
fn a_member_whose_sessions_are_all_stuck_is_down() {
    let mut board = board(&[1], 2);
    for id in [1, 2] {
        let Offer::Given(at) = board.offer(job(id)) else { panic!("idle sessions") };
        board.take(at, now());
        assert!(board.working_on(id, now(), Duration::ZERO).has(0));
        board.stuck(now(), Duration::ZERO);
    }
    assert!(!board.is_up(0));
    assert_eq!(board.offer(job(3)), Offer::Nobody(job(3)));
    board.done(at(0, 1));
    assert!(board.is_up(0));
    assert_eq!(board.counts(0), Counts { idle: 1, busy: 1, down: 0 });
}

#[test]
fn whoever_has_only_just_begun_is_not_stuck() {
    let mut board = board(&[1], 1);
    let (begun, long) = (now(), Duration::from_secs(1));
    board.offer(job(1));
    board.take(at(0, 0), begun);
    assert!(board.stuck(begun, long).is_empty() && !board.is_slow(0, begun, long));
    assert!(board.is_up(0) && board.working_on(1, begun, long).is_empty());
    assert!(board.is_slow(0, begun + long, long));
}

#[test]
fn nothing_is_given_to_whoever_looks_after_itself() {
    let mut board = board(&[1], 1);
    board.check(at(0, 0), now());
    assert_eq!(board.offer(job(1)), Offer::Waits);
    assert!(board.is_up(0) && board.stuck(now(), Duration::ZERO).has(0) && !board.is_up(0));
    board.done(at(0, 0));
    assert_eq!(board.take(at(0, 0), now()), Some(job(1)));
}

#[test]
fn a_job_that_nobody_may_do_any_more_comes_back() {
    let mut board = board(&[1, 1], 1);
    let only_first = Job { may: Members::default().with(0), ..job(7) };
    board.offer(job(1));
    board.take(at(0, 0), now());
    assert_eq!(board.offer(only_first.clone()), Offer::Waits);
    board.lost(at(0, 0));
    assert_eq!(board.settle(), Settled { given: vec![], orphans: vec![only_first] });
}

#[test]
fn a_session_that_goes_gives_back_what_it_has_not_begun() {
    let mut board = board(&[1], 1);
    board.offer(job(1));
    assert_eq!(board.lost(at(0, 0)), Some(job(1)));
    assert_eq!(board.offer(job(1)), Offer::Nobody(job(1)));
}

#[test]
fn the_background_waits_for_all_that_is_urgent() {
    let mut board = board(&[1], 1);
    board.offer(job(1));
    board.offer(Job { is_urgent: false, ..job(2) });
    board.offer(job(3));
    board.take(at(0, 0), now());
    for expected in [3, 2] {
        board.done(at(0, 0));
        assert_eq!(board.take(at(0, 0), now()).map(|job| job.id), Some(expected));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Offer(u8, bool),
    Take(usize, usize),
    Done(usize, usize),
    Connected(usize, usize),
    Lost(usize, usize),
    Suspect(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let place = || (0..2_usize, 0..2_usize);
    prop_oneof![
        4 => (1..4_u8, any::<bool>()).prop_map(|(may, urgent)| Step::Offer(may, urgent)),
        4 => place().prop_map(|(m, s)| Step::Take(m, s)),
        3 => place().prop_map(|(m, s)| Step::Done(m, s)),
        2 => place().prop_map(|(m, s)| Step::Connected(m, s)),
        1 => place().prop_map(|(m, s)| Step::Lost(m, s)),
        1 => (0..2_usize, any::<bool>()).prop_map(|(m, is)| Step::Suspect(m, is)),
    ]
}

proptest! {
    /// Every job is with one session, or waits, or has come back; and only those who may get it.
    #[test]
    fn no_job_is_lost_or_done_twice(
        steps in prop::collection::vec(step(), 0..150),
        priorities in (1..3_u8, 1..3_u8),
    ) {
        let mut board: Board<()> = Board::new(&[priorities.0, priorities.1], 2);
        let mut busy = BTreeSet::new();
        let (mut next, mut offered, mut ended) = (0, 0_usize, 0_usize);
        for step in steps {
            match step {
                Step::Offer(may, is_urgent) => {
                    next += 1;
                    offered += 1;
                    let may = Members::from_bits(u64::from(may));
                    let job = Job { id: next, may, is_urgent, ..job(0) };
                    ended += usize::from(matches!(board.offer(job), Offer::Nobody(_)));
                }
                Step::Take(member, session) => {
                    let at = at(member, session);
                    if let Some(job) = board.take(at, now()) {
                        prop_assert!(busy.insert(at) && job.may.has(member));
                    }
                }
                Step::Done(member, session) if busy.remove(&at(member, session)) => {
                    board.done(at(member, session));
                    ended += 1;
                }
                Step::Connected(member, session) => {
                    if board.counts(member).down > 0
                        && matches!(board.session(at(member, session)), Session::Down)
                    {
                        board.connected(at(member, session));
                        ended += board.settle().orphans.len();
                    }
                }
                Step::Lost(member, session) => {
                    ended += usize::from(busy.remove(&at(member, session)));
                    ended += usize::from(board.lost(at(member, session)).is_some());
                    ended += board.settle().orphans.len();
                }
                Step::Suspect(member, is_suspect) => {
                    board.suspect(member, is_suspect);
                    ended += board.settle().orphans.len();
                }
                Step::Done(..) => {}
            }
            let held: usize = (0..2).map(|member| board.counts(member).busy).sum();
            let waiting = board.urgent.len() + board.background.len();
            prop_assert_eq!(offered, held + waiting + ended);
        }
    }
}
