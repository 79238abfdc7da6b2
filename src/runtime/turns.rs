//! Who is next: lines of waiters, one for each service, served in rounds.
//!
//! Pure: time passes when [`Turns::pass`] is called. Whoever comes while nobody waits, and not too many
//! have gone since the last pass, goes at once. No service waits longer than one turn of each other one.

use std::collections::BTreeMap;

/// The lines, and what is kept of each waiter.
#[derive(Debug)]
pub struct Turns<W> {
    /// Turns of a pass.
    most: usize,
    /// Turns taken since the last pass.
    taken: usize,
    lines: BTreeMap<Line, Queue<W>>,
    /// Lines with waiters, in the order of their next turns.
    round: BTreeMap<u64, Line>,
    /// Counts up: places in lines and in the round.
    next: u64,
}

/// Whose line it is: one for each service.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Line(pub usize);

/// A place in a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ticket {
    line: Line,
    place: u64,
}

#[derive(Debug)]
struct Queue<W> {
    /// Its key in the round.
    turn: u64,
    waiters: BTreeMap<u64, W>,
}

impl<W> Turns<W> {
    /// Nobody waits. So many have a turn in each pass.
    pub const fn new(most: usize) -> Self {
        Self { most, taken: 0, lines: BTreeMap::new(), round: BTreeMap::new(), next: 0 }
    }

    /// Takes a turn at once, or a place in the line: then there is a ticket.
    pub fn enter(&mut self, line: Line, waiter: W) -> Option<Ticket> {
        if self.round.is_empty() && self.taken < self.most {
            self.taken += 1;
            return None;
        }
        let place = self.count();
        let turn = self.next;
        let queue = self.lines.entry(line).or_insert_with(|| {
            self.round.insert(turn, line);
            Queue { turn, waiters: BTreeMap::new() }
        });
        queue.waiters.insert(place, waiter);
        self.next += 1;
        Some(Ticket { line, place })
    }

    /// What is kept of a waiter, until it has its turn.
    pub fn waiting(&mut self, ticket: Ticket) -> Option<&mut W> {
        self.lines.get_mut(&ticket.line)?.waiters.get_mut(&ticket.place)
    }

    /// Gives up a place; the others move up. Gives back what was kept of the waiter.
    pub fn leave(&mut self, ticket: Ticket) -> Option<W> {
        let queue = self.lines.get_mut(&ticket.line)?;
        let waiter = queue.waiters.remove(&ticket.place);
        if queue.waiters.is_empty() {
            self.round.remove(&queue.turn);
            self.lines.remove(&ticket.line);
        }
        waiter
    }

    /// Others had their chance: the next ones go.
    pub fn pass(&mut self) -> Vec<W> {
        let next: Vec<W> = (0..self.most).map_while(|_| self.next_in_round()).collect();
        self.taken = next.len();
        next
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.round.is_empty()
    }

    fn next_in_round(&mut self) -> Option<W> {
        let (_, line) = self.round.pop_first()?;
        let again = self.count();
        let queue = self.lines.get_mut(&line)?;
        let (_, waiter) = queue.waiters.pop_first()?;
        if queue.waiters.is_empty() {
            self.lines.remove(&line);
        } else {
            queue.turn = again;
            self.round.insert(again, line);
        }
        Some(waiter)
    }

    fn count(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Line = Line(1);
    const B: Line = Line(2);

    #[test]
    fn whoever_comes_to_an_empty_turnstile_goes_at_once() {
        let mut turns = Turns::new(2);
        for _ in 0..3 {
            assert_eq!((turns.enter(A, 'a'), turns.enter(A, 'a')), (None, None));
            assert!(turns.pass().is_empty() && turns.is_empty());
        }
    }

    #[test]
    fn a_crowd_waits_behind_each_of_the_others() {
        let mut turns = Turns::new(2);
        let places: Vec<_> = (0..6).map(|_| turns.enter(A, 'a')).collect();
        assert_eq!(places.iter().flatten().count(), 4);
        assert!(turns.enter(B, 'b').is_some() && turns.enter(B, 'b').is_some());
        assert_eq!(turns.pass(), ['a', 'b']);
        assert_eq!(turns.pass(), ['a', 'b']);
        assert_eq!(turns.pass(), ['a', 'a']);
        assert!(turns.enter(B, 'b').is_some(), "two went in this pass");
        assert_eq!(turns.pass(), ['b']);
        assert_eq!(turns.enter(B, 'b'), None);
    }

    #[test]
    fn who_gives_up_leaves_no_hole() {
        let mut turns = Turns::new(1);
        assert_eq!(turns.enter(A, 0), None);
        let tickets: Vec<_> = (1..4).filter_map(|waiter| turns.enter(A, waiter)).collect();
        let other = turns.enter(B, 9).unwrap();
        assert_eq!((turns.leave(tickets[0]), turns.leave(other)), (Some(1), Some(9)));
        assert_eq!(turns.waiting(other), None);
        assert_eq!((turns.pass(), turns.pass(), turns.pass()), (vec![2], vec![3], vec![]));
        assert_eq!(turns.leave(tickets[1]), None, "it had its turn");
        assert!(turns.lines.is_empty() && turns.round.is_empty());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Enter(usize),
        Leave(usize),
        Pass,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..5_usize).prop_map(Step::Enter),
            1 => (0..64_usize).prop_map(Step::Leave),
            2 => Just(Step::Pass),
        ]
    }

    proptest! {
        /// Against a plain list: each line in its order, nobody lost, and while a line waits, no other
        /// one has two turns.
        #[test]
        fn no_line_waits_longer_than_one_turn_of_each_other(
            steps in prop::collection::vec(step(), 0..200),
            most in 1..5_usize,
        ) {
            let mut turns = Turns::new(most);
            let mut waiting: Vec<(usize, u32, Ticket)> = Vec::new();
            let mut had_since = BTreeMap::<(usize, usize), u32>::new();
            for (number, step) in (0..).zip(steps) {
                match step {
                    Step::Enter(line) => {
                        let nobody_waited = waiting.is_empty();
                        match turns.enter(Line(line), (line, number)) {
                            Some(ticket) => waiting.push((line, number, ticket)),
                            None => prop_assert!(nobody_waited, "went past those who wait"),
                        }
                    }
                    Step::Leave(_) if waiting.is_empty() => {}
                    Step::Leave(index) => {
                        let (line, number, ticket) = waiting.remove(index % waiting.len());
                        prop_assert_eq!(turns.leave(ticket), Some((line, number)));
                    }
                    Step::Pass => {
                        let gone = turns.pass();
                        prop_assert_eq!(gone.len(), waiting.len().min(most));
                        for (line, number) in gone {
                            let first = waiting.iter().position(|waiter| waiter.0 == line).unwrap();
                            prop_assert_eq!(waiting.remove(first).1, number);
                            had_since.retain(|(waits, _), _| *waits != line);
                            for (other, _, _) in &waiting {
                                had_since.entry((*other, line)).or_default();
                            }
                            for ((waits, goes), times) in &mut had_since {
                                *times += u32::from(*goes == line && *waits != line);
                                prop_assert!(*times <= 1, "{waits} waits, {goes} goes again");
                            }
                        }
                    }
                }
                had_since.retain(|(waits, _), _| waiting.iter().any(|waiter| waiter.0 == *waits));
                prop_assert_eq!(turns.is_empty(), waiting.is_empty());
            }
        }
    }
}
