//! The turnstile that handshakes of a worker go through: one signature is short, five hundred that
//! arrive at once are not, and a worker is one thread.
//!
//! A handshake goes on in its turn only: at once where nobody waits, else after those before it, the
//! services taking [turns](crate::runtime::turns). A few have a turn in each pass of the event loop, so
//! that established connections have theirs in between. The lines need no bounds of their own: no
//! service has more handshakes under way than it may.

use std::cell::RefCell;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::task::ready;

use crate::runtime::turns::Line;
use crate::runtime::turns::Ticket;
use crate::runtime::turns::Turns;

/// One handshake's side of the turnstile. Dropped, it gives up its place.
#[derive(Debug)]
pub struct Turn {
    line: Line,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Outside,
    Waiting(Ticket),
    /// It has a turn that it has not used.
    Inside,
}

/// It was not worth waiting any longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GaveUp;

impl Turn {
    /// Has not asked for a turn yet.
    pub fn at(line: Line) -> Self {
        Self { line, state: State::Outside }
    }

    /// Waits for a turn, unless something else comes first; a turn that there is at once goes before it.
    pub async fn comes_before(&mut self, other: impl Future<Output = ()>) -> Result<(), GaveUp> {
        let mut other = pin!(other);
        poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => other.as_mut().poll(cx).map(|()| Err(GaveUp)),
        })
        .await
    }

    /// Works in turns: each time that the work can go on, it waits until it may. So all of a handshake
    /// is covered, a second hello and the certificate of a client too.
    pub async fn by_turns<F: Future>(mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            ready!(self.poll(cx));
            self.state = State::Outside;
            work.as_mut().poll(cx)
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ticket = match self.state {
            State::Inside => return Poll::Ready(()),
            State::Outside => enter(self.line, cx),
            State::Waiting(ticket) => still_waits(ticket, cx).then_some(ticket),
        };
        self.state = ticket.map_or(State::Inside, State::Waiting);
        if ticket.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let State::Waiting(ticket) = self.state {
            // The waker goes when the turnstile is not borrowed any more.
            drop(TURNSTILE.with_borrow_mut(|turnstile| turnstile.turns.leave(ticket)));
        }
    }
}

/// A worker's own.
struct Turnstile {
    turns: Turns<Waker>,
    is_driven: bool,
}

fn enter(line: Line, cx: &Context<'_>) -> Option<Ticket> {
    TURNSTILE.with_borrow_mut(|turnstile| {
        let ticket = turnstile.turns.enter(line, cx.waker().clone())?;
        if !turnstile.is_driven {
            turnstile.is_driven = true;
            tokio::spawn(drive(Driven));
        }
        Some(ticket)
    })
}

fn still_waits(ticket: Ticket, cx: &Context<'_>) -> bool {
    TURNSTILE.with_borrow_mut(|turnstile| {
        let waker = turnstile.turns.waiting(ticket);
        waker.map(|waker| waker.clone_from(cx.waker())).is_some()
    })
}

/// Gives turns until nobody waits, the event loop's other work in between.
async fn drive(_driven: Driven) {
    loop {
        // Until sockets and timers have been looked at, and what they woke has run.
        tokio::task::yield_now().await;
        let next = TURNSTILE.with_borrow_mut(|turnstile| turnstile.turns.pass());
        if next.is_empty() {
            return;
        }
        next.into_iter().for_each(Waker::wake);
    }
}

/// There is a task that gives turns.
struct Driven;

impl Drop for Driven {
    fn drop(&mut self) {
        // A thread that ends has no turnstile any more, nor handshakes.
        let _ = TURNSTILE.try_with(|turnstile| turnstile.borrow_mut().is_driven = false);
    }
}

thread_local! {
    static TURNSTILE: RefCell<Turnstile> =
        const { RefCell::new(Turnstile { turns: Turns::new(TURNS_OF_A_PASS), is_driven: false }) };
}

/// Less than a millisecond of signatures between two looks at the sockets; the look costs a hundredth
/// of that.
const TURNS_OF_A_PASS: usize = 4;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::rc::Rc;

    use tokio::task::LocalSet;

    use super::*;

    /// Two crowds at once, each handshake with two steps: what is done in which order.
    #[tokio::test]
    async fn a_crowd_does_not_keep_others_from_their_turns() {
        let done = Rc::new(RefCell::new(Vec::new()));
        let local = LocalSet::new();
        for (line, count) in [(1, 40), (2, 3)] {
            for _ in 0..count {
                let done = Rc::clone(&done);
                local.spawn_local(async move {
                    Turn::at(Line(line)).by_turns(async { done.borrow_mut().push(line) }).await;
                });
            }
        }
        local.await;
        let done = done.borrow();
        assert_eq!(done.len(), 43);
        let last = done.iter().rposition(|line| *line == 2).expect("all of them");
        assert!(last < TURNS_OF_A_PASS + 6, "{done:?}");
    }

    #[tokio::test]
    async fn established_connections_have_their_turns_in_between() {
        let steps = Rc::new(Cell::new(0));
        let local = LocalSet::new();
        let seen = Rc::clone(&steps);
        local.spawn_local(async move {
            loop {
                seen.set(seen.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        local
            .run_until(async {
                let crowd = (0..40).map(|_| {
                    tokio::task::spawn_local(Turn::at(Line(1)).by_turns(std::future::ready(())))
                });
                for handshake in crowd.collect::<Vec<_>>() {
                    handshake.await.expect("its turn");
                }
            })
            .await;
        assert!(steps.get() >= 40 / TURNS_OF_A_PASS - 1, "{}", steps.get());
    }

    #[tokio::test]
    async fn who_gives_up_frees_the_place() {
        let mut taken: Vec<_> = (0..=TURNS_OF_A_PASS).map(|_| Turn::at(Line(1))).collect();
        let mut waits = taken.pop().expect("one more");
        for turn in &mut taken {
            turn.comes_before(pending()).await.expect("at once");
        }
        assert_eq!(waits.comes_before(std::future::ready(())).await, Err(GaveUp));
        drop(waits);
        assert!(TURNSTILE.with_borrow(|turnstile| turnstile.turns.is_empty()));
        let mut later = Turn::at(Line(1));
        later.comes_before(pending()).await.expect("after the next pass");
    }
}
