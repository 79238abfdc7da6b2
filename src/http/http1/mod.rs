//! HTTP/1.1 with a client: hyper reads and writes, this file says when it is enough.
//!
//! hyper's own header timer starts when it begins to wait, idle time included, and costs a timer for
//! each request. Here one timer serves the request head, the idle limit, a client that does not read,
//! and the moment at which an idle connection gives its buffers back.

pub mod decoder;
pub mod head;
pub mod line;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;

use crate::http::activity::Activity;
use crate::http::activity::Watched;
use crate::http::clock::Clock;
use crate::service::retirement::Retirement;
use crate::service::settings::Settings;

/// What bounds a connection.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// What it is doing.
    pub activity: &'a Arc<Activity>,
    /// How long and how much.
    pub settings: &'a Settings,
    /// Asks it to leave.
    pub retirement: &'a Retirement,
}

/// How a connection ended.
#[derive(Debug)]
pub enum Finish<IO> {
    /// As connections do: by the client, after `connection: close`, or idle.
    Closed,
    /// A request head did not come to its end in time; the client was told so.
    HeadTimeout,
    /// What came is no request; the client was told so.
    Malformed(hyper::Error),
    /// The client did not take what was written.
    Stalled,
    /// A response has switched protocols: the stream, and what was read of what follows.
    Switched(IO, Bytes),
}

/// Why hyper was stopped.
enum End {
    Closed(hyper::Result<()>),
    Due(Due),
}

/// What the timer was for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Due {
    Head,
    Idle,
    Park,
    Stalled,
}

/// A stretch of busy life is over.
enum Stretch<IO> {
    Finished(Finish<IO>),
    Parked(IO, Bytes),
}

/// Serves requests one after the other.
///
/// While busy the connection lives in a box with hyper's state and buffers; after a while without a
/// request that is dropped, and only the stream is left, waiting for a byte.
pub async fn serve<IO, F, R, B>(mut io: IO, bounds: Bounds<'_>, on_request: F) -> Finish<IO>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Fn(Request<Incoming>) -> R + Clone,
    R: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut first = Bytes::new();
    loop {
        match Box::pin(stretch(io, first, bounds, on_request.clone())).await {
            Stretch::Finished(finish) => return finish,
            Stretch::Parked(parked, left) => (io, first) = (parked, left),
        }
        if first.is_empty() {
            match wait_for_a_byte(&mut io, bounds).await {
                Some(byte) => first = byte,
                None => {
                    close(&mut io, None).await;
                    return Finish::Closed;
                }
            }
        }
    }
}

async fn stretch<IO, F, R, B>(
    io: IO,
    first: Bytes,
    bounds: Bounds<'_>,
    on_request: F,
) -> Stretch<IO>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let watched = Watched::new(io, first, Arc::clone(bounds.activity));
    let mut connection =
        builder(bounds.settings).serve_connection(TokioIo::new(watched), service_fn(on_request));
    let mut clock = Clock::default();
    let mut retired = std::pin::pin!(bounds.retirement.retired());
    let mut bell_is_heard = false;
    let end = std::future::poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(End::Closed(ended));
        }
        if !bell_is_heard {
            // Only to be woken by it: the flag itself is looked at with each deadline.
            let _ = std::pin::pin!(tokio::task::unconstrained(retired.as_mut())).poll(cx);
            bell_is_heard = true;
        }
        let next = bounds.next();
        if clock.is_due(cx, bounds.activity, next.map(|(at, _)| at))
            && let Some((_, due)) = next
        {
            return Poll::Ready(End::Due(due));
        }
        Poll::Pending
    })
    .await;
    let parts = connection.into_parts();
    let (mut io, unread) = parts.io.into_inner().into_parts();
    // hyper has looked at all that was handed to it, so that at most one of the two holds something.
    let left = if parts.read_buf.is_empty() { unread } else { parts.read_buf };
    let finish = match end {
        End::Due(Due::Park) => return Stretch::Parked(io, left),
        End::Due(Due::Stalled) => Finish::Stalled,
        End::Due(Due::Idle) => {
            close(&mut io, None).await;
            Finish::Closed
        }
        End::Due(Due::Head) => {
            close(&mut io, Some(REQUEST_TIMEOUT)).await;
            Finish::HeadTimeout
        }
        End::Closed(Err(error)) if error.is_parse() => {
            linger(&mut io).await;
            Finish::Malformed(error)
        }
        End::Closed(Ok(())) if bounds.activity.is_switching() => Finish::Switched(io, left),
        End::Closed(Ok(())) if bounds.activity.has_unread() => {
            linger(&mut io).await;
            Finish::Closed
        }
        // Cut without a farewell where a response broke off, so that the client can tell.
        End::Closed(_) => Finish::Closed,
    };
    Stretch::Finished(finish)
}

impl Bounds<'_> {
    /// The next deadline, in times of the connection, and what it is for.
    fn next(&self) -> Option<(u64, Due)> {
        let activity = self.activity;
        if let Some(since) = activity.blocked_since() {
            return Some((since + micros(WRITE_STALL), Due::Stalled));
        }
        let idle_since = activity.idle_since()?;
        let request_head = micros(self.settings.timeouts.request_head);
        if let Some(since) = activity.head_since() {
            return Some((since + request_head, Due::Head));
        }
        let idle_until = self.idle_until(idle_since);
        let park_at = idle_since + micros(PARK_AFTER);
        Some(if park_at < idle_until { (park_at, Due::Park) } else { (idle_until, Due::Idle) })
    }

    /// When a connection without a request is closed.
    fn idle_until(&self, idle_since: u64) -> u64 {
        let timeouts = &self.settings.timeouts;
        let limit = match self.activity.has_served() {
            true => timeouts.keep_alive,
            false => timeouts.request_head,
        };
        let until = idle_since + micros(limit);
        match self.retirement.grace() {
            // From when the connection last had the chance to say `connection: close`, or was
            // asked to leave, whichever is later.
            Some((since, grace)) => {
                let since = self.activity.at(since).max(idle_since);
                until.min(since + micros(grace))
            }
            None => until,
        }
    }
}

/// The next request's first byte, or `None` when the connection is to be closed.
async fn wait_for_a_byte<IO>(io: &mut IO, bounds: Bounds<'_>) -> Option<Bytes>
where
    IO: AsyncRead + Unpin,
{
    let idle_since = bounds.activity.idle_since()?;
    let mut byte = [0; 1];
    let mut was_retired = bounds.retirement.is_retired();
    loop {
        let until = bounds.activity.instant(bounds.idle_until(idle_since));
        tokio::select! {
            biased;
            read = io.read(&mut byte) => {
                return match read {
                    Ok(1) => {
                        bounds.activity.bytes_read();
                        Some(Bytes::copy_from_slice(&byte))
                    }
                    Ok(_) | Err(_) => None,
                };
            }
            () = bounds.retirement.retired(), if !was_retired => was_retired = true,
            () = tokio::time::sleep_until(until) => return None,
        }
    }
}

/// Says farewell, bounded: a client that does not read does not keep the connection.
async fn close<IO: AsyncWrite + Unpin>(io: &mut IO, last_words: Option<&[u8]>) {
    let farewell = async {
        if let Some(words) = last_words {
            io.write_all(words).await?;
        }
        io.shutdown().await
    };
    // Whether it arrives makes no difference to anybody here.
    drop(tokio::time::timeout(LINGER, farewell).await);
}

/// After the last response was sent: reads on for a moment, because closing a socket with unread
/// data resets it, and the client might lose the response (RFC 9112, section 9.6).
async fn linger<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut IO) {
    let drained = async {
        io.shutdown().await?;
        let mut taken = 0;
        let mut sink = [0; 1024];
        while taken < LINGER_BYTES {
            match io.read(&mut sink).await? {
                0 => break,
                read => taken += read,
            }
        }
        std::io::Result::Ok(())
    };
    drop(tokio::time::timeout(LINGER, drained).await);
}

fn builder(settings: &Settings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_header_size(settings.limits.request_head)
        .max_buf_size(BUFFER.max(settings.limits.request_head));
    // hyper keeps its 100 fields on the stack; any other number costs a heap allocation for each
    // request.
    if settings.limits.request_fields != 100 {
        builder.max_headers(settings.limits.request_fields);
    }
    builder
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 4)
}

/// The whole answer to a client that did not finish its request.
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Without a request for this long, hyper's state and buffers are given back. Long enough that a
/// busy client never pays for it: parking after each response cost 16 % of a request's CPU time.
pub const PARK_AFTER: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });

/// A client that takes nothing for this long is cut.
pub const WRITE_STALL: Duration = Duration::from_secs(60);

/// How long a closing connection is kept for a client that is still sending.
const LINGER: Duration = Duration::from_secs(2);

/// And how much of it is read.
const LINGER_BYTES: usize = 1 << 20;

/// Largest read and write buffer of a connection while a body passes; a TLS record is 16 KiB.
const BUFFER: usize = 64 << 10;
