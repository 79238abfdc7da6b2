//! Both ways of a stream, until both have ended, one end breaks, nothing moves, or the client takes
//! nothing of what there is for it.

use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time;
use tokio::time::Instant;

use crate::relay::direction::Broken;
use crate::relay::direction::Direction;
use crate::relay::side::Side;

/// A stream between a client and an endpoint.
#[derive(Debug, Default)]
pub struct Ways {
    requests: Direction,
    responses: Direction,
    first: Option<Party>,
}

/// One end of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Party {
    /// Who connected.
    Client,
    /// The endpoint.
    Upstream,
}

/// How long is waited for what does not come.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Silence in both directions.
    pub idle: Duration,
    /// For a client that takes nothing of what there is for it, whatever it says itself.
    pub unread: Duration,
}

/// How a stream ended.
#[derive(Debug)]
pub enum Ending {
    /// This end's connection broke.
    Broken(Party, io::Error),
    /// Both have finished, this one first.
    Finished(Party),
    /// Nothing moved for too long.
    Idle,
    /// The client took nothing for too long.
    Unread,
}

impl Ways {
    /// Begins with bytes that were read from the client already.
    pub fn starting_with(first: impl Into<Bytes>) -> Self {
        Self { requests: Direction::starting_with(first.into()), ..Self::default() }
    }

    /// Bytes from the client that the endpoint took.
    pub fn received(&self) -> u64 {
        self.requests.delivered()
    }

    /// Bytes from the endpoint that the client took.
    pub fn sent(&self) -> u64 {
        self.responses.delivered()
    }

    /// Relays to the end; each way ends by itself. `moved` is told how much each has moved in all,
    /// whenever that is more than before.
    pub async fn run(
        &mut self,
        client: &mut Side,
        upstream: &mut Side,
        patience: Patience,
        mut moved: impl FnMut(u64, u64),
    ) -> Ending {
        let mut silence = Silence { since: Instant::now(), unread_since: None, patience };
        let mut timer = pin!(time::sleep(patience.idle));
        let mut before = (0, 0);
        poll_fn(|cx| {
            let ending = self.poll_both(cx, client, upstream);
            let now = (self.received(), self.sent());
            let held_up = self.responses.is_held_up().then_some(now.1 != before.1);
            if now != before {
                (before, silence.since) = (now, Instant::now());
                moved(now.0, now.1);
            }
            if ending.is_ready() {
                return ending;
            }
            if silence.client_is(held_up) && silence.ends() < timer.deadline() {
                timer.as_mut().reset(silence.ends());
            }
            while timer.as_mut().poll(cx).is_ready() {
                let end = silence.ends();
                if end <= Instant::now() {
                    return Poll::Ready(silence.ending());
                }
                timer.as_mut().reset(end);
            }
            Poll::Pending
        })
        .await
    }

    fn poll_both(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Side,
        upstream: &mut Side,
    ) -> Poll<Ending> {
        let received = self.requests.poll(cx, client, upstream);
        if self.requests.has_finished() {
            self.first.get_or_insert(Party::Client);
        }
        let sent = self.responses.poll(cx, upstream, client);
        if self.responses.has_finished() {
            self.first.get_or_insert(Party::Upstream);
        }
        match (received, sent, self.first) {
            (Poll::Ready(Err(Broken::Source(error))), _, _)
            | (_, Poll::Ready(Err(Broken::Sink(error))), _) => {
                Poll::Ready(Ending::Broken(Party::Client, error))
            }
            (Poll::Ready(Err(Broken::Sink(error))), _, _)
            | (_, Poll::Ready(Err(Broken::Source(error))), _) => {
                Poll::Ready(Ending::Broken(Party::Upstream, error))
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(())), Some(first)) => {
                Poll::Ready(Ending::Finished(first))
            }
            _ => Poll::Pending,
        }
    }
}

/// How long nothing has moved. The timer is not touched for each byte: when it rings, it is set to
/// where it should be.
struct Silence {
    since: Instant,
    /// Since when the client has taken nothing of what there is for it.
    unread_since: Option<Instant>,
    patience: Patience,
}

impl Silence {
    /// Whether the client holds bytes up, and then whether it has taken some of them meanwhile. Gives
    /// back whether the time that it has began just now.
    fn client_is(&mut self, held_up: Option<bool>) -> bool {
        let begins = held_up.is_some_and(|took| took || self.unread_since.is_none());
        if begins {
            self.unread_since = Some(Instant::now());
        } else if held_up.is_none() {
            self.unread_since = None;
        }
        begins
    }

    /// When it will have been too long.
    fn ends(&self) -> Instant {
        let idle = self.since + self.patience.idle;
        self.unread_ends().map_or(idle, |unread| unread.min(idle))
    }

    /// What it is that was too long.
    fn ending(&self) -> Ending {
        let idle = self.since + self.patience.idle;
        match self.unread_ends() {
            Some(unread) if unread <= idle => Ending::Unread,
            _ => Ending::Idle,
        }
    }

    fn unread_ends(&self) -> Option<Instant> {
        self.unread_since.map(|since| since + self.patience.unread)
    }
}
