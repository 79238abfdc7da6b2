//! HTTP/2 with a client: h2 reads and writes, this file says when it is enough.
//!
//! On h2 itself and not through hyper, whose server sends no interim responses. What is done with each
//! stream is in [`stream`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::http::activity::Watched;
use crate::http::client_side::ClientSide;
use crate::http::clock::Clock;
use crate::http::http1::WRITE_STALL;
use crate::http::stream;
use crate::service::settings::Settings;

/// How a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finish {
    /// By either side.
    Closed,
    /// The client did not take what was written.
    Stalled,
}

/// Serves streams until the client leaves, nothing was asked for `keep_alive`, or the service is
/// retired. In the latter cases the client gets a GOAWAY: streams that are open, or that it opened
/// before it saw that, are served to their end.
///
/// A PING keeps no connection alive: only requests do.
pub async fn serve<IO>(io: IO, client: &Arc<ClientSide>) -> Finish
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let watched = Watched::new(io, Bytes::new(), Arc::clone(client.activity()));
    // Boxed: it is large, and the caller's future also holds what comes before it.
    let mut connection = Box::new(Connection::new(watched, client.settings()));
    let retirement = &client.service().retirement;
    let mut retired = std::pin::pin!(retirement.retired());
    let mut bell_is_heard = false;
    let mut clock = Clock::default();
    let mut leaving_since = None;
    std::future::poll_fn(|cx| {
        loop {
            if connection.poll_streams(cx, client).is_ready() {
                return Poll::Ready(Finish::Closed);
            }
            if !bell_is_heard {
                // Only to be woken by it: the flag itself is looked at below.
                let _ = std::pin::pin!(tokio::task::unconstrained(retired.as_mut())).poll(cx);
                bell_is_heard = true;
            }
            let deadline = next(client, leaving_since);
            let is_due = clock.is_due(cx, client.activity(), deadline);
            if is_due && client.activity().blocked_since().is_some() {
                return Poll::Ready(Finish::Stalled);
            }
            match leaving_since {
                None if is_due || retirement.is_retired() => {
                    leaving_since = Some(client.activity().now());
                    connection.leave();
                }
                Some(_) if is_due => return Poll::Ready(Finish::Closed),
                _ => return Poll::Pending,
            }
        }
    })
    .await
}

/// The next deadline, in times of the connection.
fn next(client: &ClientSide, leaving_since: Option<u64>) -> Option<u64> {
    let activity = client.activity();
    if let Some(since) = activity.blocked_since() {
        return Some(since + micros(WRITE_STALL));
    }
    let idle_since = activity.idle_since()?;
    let timeouts = &client.settings().timeouts;
    Some(match leaving_since {
        Some(since) => since.max(idle_since) + micros(FAREWELL),
        None if activity.has_served() => idle_since + micros(timeouts.keep_alive),
        None => idle_since + micros(timeouts.request_head),
    })
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
    /// has ended, well or not: the streams' tasks see that by themselves.
    fn poll_streams(&mut self, cx: &mut Context<'_>, client: &Arc<ClientSide>) -> Poll<()> {
        loop {
            match self {
                Self::Shaking { handshake, leaves } => match Pin::new(handshake).poll(cx) {
                    Poll::Ready(Ok(mut connection)) => {
                        if *leaves {
                            connection.graceful_shutdown();
                        }
                        *self = Self::Serving(connection);
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                },
                Self::Serving(connection) => match connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, reply)))) => {
                        tokio::spawn(stream::serve(Arc::clone(client), request, reply));
                    }
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
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

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 4)
}

/// How long a client may keep a connection without streams after a GOAWAY.
const FAREWELL: Duration = Duration::from_secs(5);

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
