//! HTTP/2 with a client, from the side of its connection: when it is read, written and enough.
//!
//! What its bytes mean is [`crate::http2`]'s to know, and what is done with each of its streams is in
//! [`stream`]. [`wire`] reads and writes.

pub mod wire;

use std::future::Future;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::http::client_side::ClientSide;
use crate::http::clock::Clock;
use crate::http::clock::micros;
use crate::http::http2::wire::Wire;
use crate::http::stream;
use crate::http2::Bounds;
use crate::http2::Connection;
use crate::http2::Fault;
use crate::http2::Machine;
use crate::http2::request;
use crate::service::settings::Settings;
use crate::upstream::Pace;

/// Serves streams until the client leaves, nothing was asked for `keep_alive`, or the service is
/// retired. In the latter cases the client gets a GOAWAY: streams that are open, or that it opened
/// before it saw that, are served to their end.
///
/// A PING keeps no connection alive: only requests do. What the client had to be cut for, if it had, is
/// returned; it is told by a GOAWAY, where it still listens.
pub async fn serve<IO>(io: IO, client: &Arc<ClientSide>) -> Option<Fault>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Settings { timeouts, limits } = client.settings();
    let bounds = Bounds {
        streams: limits.http2_streams,
        head: request::Bounds { size: limits.request_head, fields: limits.request_fields },
        glitches: limits.http2_glitches,
    };
    let mut life = Life {
        client,
        wire: Wire::new(io, Arc::clone(client.activity())),
        connection: Connection::new(Machine::new(bounds)),
        pace: Arc::new(Pace::new(timeouts.request_body, limits.request_body_rate as u64)),
        clock: Clock::default(),
        leaving: Leaving::No,
        unfinished: None,
    };
    let retirement = &client.service().retirement;
    let mut retired = std::pin::pin!(retirement.retired());
    let mut bell_is_heard = false;
    std::future::poll_fn(|cx| {
        if !bell_is_heard {
            // Only to be woken by it: the flag itself is looked at with each turn.
            let _ = std::pin::pin!(tokio::task::unconstrained(retired.as_mut())).poll(cx);
            bell_is_heard = true;
        }
        life.poll(cx)
    })
    .await
}

/// A connection, from its first byte to its last.
struct Life<'a, IO> {
    client: &'a Arc<ClientSide>,
    wire: Wire<IO>,
    connection: Connection,
    pace: Arc<Pace>,
    clock: Clock,
    leaving: Leaving,
    /// Since when half of something is there, in times of the connection, and of which.
    unfinished: Option<(u64, u32)>,
}

/// Whether the client has been told to leave, and since when.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    No,
    /// When its streams have ended.
    InPeace(u64),
    /// Now: all that is left is to be written.
    AtOnce(u64),
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Due {
    /// Half of something came, and nothing more.
    Head,
    Idle,
    /// The client was told to leave and has not.
    Left,
    Stalled,
}

/// What became of the client's bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Read {
    /// There are no more of them for now.
    All,
    /// There may be more, but there is too much to be written first.
    Full,
    /// There may be more, but others have to have a turn.
    Enough,
    /// The client is gone.
    Broken,
}

impl<IO> Life<'_, IO>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    /// Turns until there is nothing to do; ready when the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Fault>> {
        self.connection.machine().attend(cx.waker());
        loop {
            let read = self.read(cx);
            if read == Read::Broken {
                return Poll::Ready(self.fault());
            }
            let is_written = match self.write(cx) {
                Poll::Ready(Ok(true)) | Poll::Ready(Err(_)) => return Poll::Ready(self.fault()),
                Poll::Ready(Ok(false)) => true,
                Poll::Pending => false,
            };
            match read {
                Read::Full if is_written => continue,
                Read::Enough => cx.waker().wake_by_ref(),
                _ => {}
            }
            match self.look_at_the_clock(cx) {
                Poll::Ready(Some(end)) => return Poll::Ready(end),
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes what the client has sent, and gives each stream that it has opened a task of its own.
    fn read(&mut self, cx: &mut Context<'_>) -> Read {
        for _ in 0..READS {
            {
                let mut machine = self.connection.machine();
                machine.judge(|| self.client.activity().now());
                if machine.is_done() {
                    return Read::All;
                }
                if machine.outbox().is_full() {
                    return Read::Full;
                }
            }
            let mut accepted = Vec::new();
            let connection = &self.connection;
            let now = || self.client.activity().now();
            let read = self.wire.poll_read(cx, |bytes| {
                connection.machine().feed(bytes, now, &mut accepted);
            });
            match read {
                Poll::Pending => return Read::All,
                Poll::Ready(Err(_)) => return Read::Broken,
                Poll::Ready(Ok(0)) => self.connection.machine().gone(),
                Poll::Ready(Ok(_)) => self.came(),
            }
            for accepted in accepted {
                let (request, reply) = self.connection.stream(accepted);
                let (client, pace) = (Arc::clone(self.client), Arc::clone(&self.pace));
                // Boxed: a task moves its future about, and this one is large.
                tokio::spawn(Box::pin(stream::serve(client, request, reply, pace)));
            }
        }
        Read::Enough
    }

    fn came(&mut self) {
        let machine = self.connection.machine();
        self.pace.received(machine.data());
        self.unfinished = match (machine.unfinished(), self.unfinished) {
            (None, _) => None,
            (Some(now), Some((since, before))) if now == before => Some((since, before)),
            (Some(now), _) => Some((self.client.activity().now(), now)),
        };
    }

    /// Writes what there is to be written; `true` if nothing follows.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<bool>> {
        let mut machine = self.connection.machine();
        if !machine.is_done() {
            let drained = self.wire.poll_drain(cx, machine.outbox()).map_ok(|()| false);
            machine.serve();
            return drained;
        }
        let fault = machine.fault();
        if fault == Some(Fault::Preface) {
            // Nobody would understand it.
            return Poll::Ready(Ok(true));
        }
        if !matches!(self.leaving, Leaving::AtOnce(_)) {
            self.leaving = Leaving::AtOnce(self.client.activity().now());
        }
        self.wire.poll_close(cx, machine.outbox(), fault.is_some()).map_ok(|()| true)
    }

    /// Does what has become due; ready with the end of the connection, if that is it.
    fn look_at_the_clock(&mut self, cx: &mut Context<'_>) -> Poll<Option<Option<Fault>>> {
        let next = self.next();
        let is_due = self.clock.is_due(cx, self.client.activity(), next.map(|(at, _)| at));
        let is_retired = self.client.service().retirement.is_retired();
        let has_begun = self.connection.machine().has_begun();
        match (next.filter(|_| is_due).map(|(_, due)| due), self.leaving) {
            (Some(Due::Stalled), _) => {
                return Poll::Ready(Some(self.fault().or(Some(Fault::WriteTimeout))));
            }
            (Some(Due::Left), _) => return Poll::Ready(Some(self.fault())),
            // Nothing can be said before the preface is there.
            (Some(Due::Head | Due::Idle), _) if !has_begun => {
                let half = self.unfinished.map(|_| Fault::HeadTimeout);
                return Poll::Ready(Some(half));
            }
            (Some(Due::Head), _) => self.connection.machine().end(Fault::HeadTimeout),
            (Some(Due::Idle), _) => self.leave(),
            (None, Leaving::No) if is_retired => self.leave(),
            (None, _) => return Poll::Pending,
        }
        Poll::Ready(None)
    }

    fn leave(&mut self) {
        self.leaving = Leaving::InPeace(self.client.activity().now());
        self.connection.machine().warn();
    }

    /// The next deadline, in times of the connection, and what it is for.
    fn next(&self) -> Option<(u64, Due)> {
        let activity = self.client.activity();
        let timeouts = &self.client.settings().timeouts;
        if let Leaving::AtOnce(since) = self.leaving {
            return Some((since + micros(LINGER), Due::Left));
        }
        if let Some(since) = activity.blocked_since() {
            return Some((since + micros(timeouts.response_write), Due::Stalled));
        }
        let head = micros(timeouts.request_head);
        let unfinished = self.unfinished.map(|(since, _)| (since + head, Due::Head));
        let idle = activity.idle_since().map(|idle_since| match self.leaving {
            Leaving::InPeace(since) => (since.max(idle_since) + micros(FAREWELL), Due::Left),
            _ if activity.has_served() => (idle_since + micros(timeouts.keep_alive), Due::Idle),
            _ => (idle_since + head, Due::Idle),
        });
        [unfinished, idle].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn fault(&self) -> Option<Fault> {
        self.connection.machine().fault()
    }
}

/// Reads before the streams have a turn: what they have not taken yet is held.
const READS: usize = 4;

/// How long a client may keep a connection without streams after a GOAWAY.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long a GOAWAY that ends everything may take to arrive.
const LINGER: Duration = Duration::from_secs(2);
