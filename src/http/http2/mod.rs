//! HTTP/2 with a client: h2 reads and writes, this file says when it is enough.
//!
//! On h2 itself and not through hyper, whose server sends no interim responses. What is done with each
//! stream is in [`stream`]; what the client sends too much of is counted in [`glitches`], from the frames
//! that [`wire`] sees pass.

pub mod fault;
pub mod frames;
pub mod glitches;
pub mod wire;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::http::client_side::ClientSide;
use crate::http::clock::Clock;
use crate::http::clock::micros;
use crate::http::http2::fault::Fault;
use crate::http::http2::wire::Shared;
use crate::http::http2::wire::Signs;
use crate::http::http2::wire::Wire;
use crate::http::stream;
use crate::message::Request;
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
    let activity = Arc::clone(client.activity());
    let pace = Arc::new(Pace::new(timeouts.request_body, limits.request_body_rate as u64));
    let wire = Wire::new(io, limits.http2_glitches, activity, Arc::clone(&pace));
    let signs = Arc::clone(wire.signs());
    let wire = Shared::new(wire);
    // Boxed: it is large, and the caller's future also holds what comes before it.
    let mut connection = Box::new(Connection::new(wire.clone(), client.settings()));
    let mut life =
        Life { client, signs: &signs, pace, clock: Clock::default(), leaving: Leaving::No };
    let retirement = &client.service().retirement;
    let mut retired = std::pin::pin!(retirement.retired());
    let mut bell_is_heard = false;
    std::future::poll_fn(|cx| {
        if !bell_is_heard {
            // Only to be woken by it: the flag itself is looked at with each turn.
            let _ = std::pin::pin!(tokio::task::unconstrained(retired.as_mut())).poll(cx);
            bell_is_heard = true;
        }
        life.poll(cx, &mut connection, &wire)
    })
    .await
}

/// What a connection's loop knows.
struct Life<'a> {
    client: &'a Arc<ClientSide>,
    signs: &'a Signs,
    pace: Arc<Pace>,
    clock: Clock,
    leaving: Leaving,
}

/// Whether the client has been told to leave, and since when.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    No,
    /// When its streams have ended.
    InPeace(u64),
    /// Now.
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

impl Life<'_> {
    /// Turns until there is nothing to do; ready when the connection has ended.
    fn poll<IO>(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection<Shared<IO>>,
        wire: &Shared<IO>,
    ) -> Poll<Option<Fault>>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        loop {
            if let Poll::Ready(fault) = connection.poll_streams(cx, self.client, &self.pace) {
                return Poll::Ready(self.signs.fault().or(fault));
            }
            if let Poll::Ready(Err(_)) = wire.wire().poll_drain(cx) {
                // The client is gone.
                return Poll::Ready(self.signs.fault());
            }
            let is_at_once = matches!(self.leaving, Leaving::AtOnce(_));
            if !is_at_once && self.signs.fault().is_some() {
                self.leaving = Leaving::AtOnce(self.now());
                // Where the fault is one that h2 found, it has said so already.
                if !self.signs.is_told() {
                    connection.cut(Reason::ENHANCE_YOUR_CALM);
                }
                continue;
            }
            let next = self.next();
            let is_due = self.clock.is_due(cx, self.client.activity(), next.map(|(at, _)| at));
            let is_retired = self.client.service().retirement.is_retired();
            match (next.filter(|_| is_due).map(|(_, due)| due), self.leaving) {
                (Some(Due::Stalled), _) => {
                    return Poll::Ready(self.signs.fault().or(Some(Fault::WriteTimeout)));
                }
                (Some(Due::Left), _) => return Poll::Ready(self.signs.fault()),
                (Some(Due::Head), _) => {
                    self.signs.ends(Fault::HeadTimeout);
                    self.leaving = Leaving::AtOnce(self.now());
                    // What it began was not looked at: it may be sent again.
                    connection.cut(Reason::NO_ERROR);
                }
                (Some(Due::Idle), _) => {
                    self.leaving = Leaving::InPeace(self.now());
                    connection.leave();
                }
                (None, Leaving::No) if is_retired => {
                    self.leaving = Leaving::InPeace(self.now());
                    connection.leave();
                }
                (None, _) => return Poll::Pending,
            }
            if connection.is_shaking() && !is_retired {
                // Nothing can be said before the preface is there.
                let half = self.signs.unfinished_since().map(|_| Fault::HeadTimeout);
                return Poll::Ready(half);
            }
        }
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
        let unfinished = self.signs.unfinished_since().map(|since| (since + head, Due::Head));
        let idle = activity.idle_since().map(|idle_since| match self.leaving {
            Leaving::InPeace(since) => (since.max(idle_since) + micros(FAREWELL), Due::Left),
            _ if activity.has_served() => (idle_since + micros(timeouts.keep_alive), Due::Idle),
            _ => (idle_since + head, Due::Idle),
        });
        [unfinished, idle].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn now(&self) -> u64 {
        self.client.activity().now()
    }
}

/// The preface and settings, then streams.
enum Connection<IO> {
    Shaking { handshake: server::Handshake<IO, Bytes>, leaves: bool },
    Serving(server::Connection<IO, Bytes>),
}

impl<IO> Connection<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    fn new(io: IO, settings: &Settings) -> Self {
        Self::Shaking { handshake: builder(settings).handshake(io), leaves: false }
    }

    /// Reads, writes, and gives each stream that is opened a task of its own. Ready when the connection
    /// has ended, well or with what h2 complained about: the streams' tasks see that by themselves.
    fn poll_streams(
        &mut self,
        cx: &mut Context<'_>,
        client: &Arc<ClientSide>,
        pace: &Arc<Pace>,
    ) -> Poll<Option<Fault>> {
        loop {
            match self {
                Self::Shaking { handshake, leaves } => match Pin::new(handshake).poll(cx) {
                    Poll::Ready(Ok(mut connection)) => {
                        if *leaves {
                            connection.graceful_shutdown();
                        }
                        *self = Self::Serving(connection);
                    }
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(fault(&error).map(|_| Fault::Preface));
                    }
                    Poll::Pending => return Poll::Pending,
                },
                Self::Serving(connection) => match connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, reply)))) => {
                        let (client, pace) = (Arc::clone(client), Arc::clone(pace));
                        // Boxed: a task moves its future about, and this one is large.
                        tokio::spawn(Box::pin(stream::serve(
                            client,
                            with_protocol(request),
                            reply,
                            pace,
                        )));
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(fault(&error)),
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// Says GOAWAY.
    fn leave(&mut self) {
        match self {
            Self::Shaking { leaves, .. } => *leaves = true,
            Self::Serving(connection) => connection.graceful_shutdown(),
        }
    }

    /// Says GOAWAY and nothing after it.
    fn cut(&mut self, reason: Reason) {
        if let Self::Serving(connection) = self {
            connection.abrupt_shutdown(reason);
        }
    }

    fn is_shaking(&self) -> bool {
        matches!(self, Self::Shaking { .. })
    }
}

fn with_protocol<B>(request: http::Request<B>) -> Request<B> {
    let protocol = request.extensions().get::<h2::ext::Protocol>();
    let protocol = protocol.map(|protocol| Bytes::copy_from_slice(protocol.as_str().as_bytes()));
    let mut request = Request::from(request);
    *request.protocol_mut() = protocol;
    request
}

/// What h2 has against the client; that the client left, or complained, is no fault of its.
fn fault(error: &h2::Error) -> Option<Fault> {
    let reason = error.reason().filter(|_| error.is_library())?;
    Fault::told(reason.into(), &[])
}

fn builder(settings: &Settings) -> server::Builder {
    let limits = &settings.limits;
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.request_head).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(Some(LOCAL_RESETS))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .enable_connect_protocol();
    builder
}

/// How long a client may keep a connection without streams after a GOAWAY.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long a GOAWAY that ends everything may take to arrive.
const LINGER: Duration = Duration::from_secs(2);

/// Streams that were reset before they were looked at (rapid reset, CVE-2023-44487).
const PENDING_RESETS: usize = 20;

/// Streams that had to be reset because of what the client sent on them.
const LOCAL_RESETS: usize = 100;

/// What one upload may have under way.
const STREAM_WINDOW: u32 = 512 << 10;

/// What all uploads of a connection may have under way: bounds its memory.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// What a stream holds for a client that reads slowly.
const SEND_BUFFER: usize = 64 << 10;
