//! HTTP/1.1 with a client: our own, because what a gate has to judge must not have been made good
//! before, because every wait has an end, and because one read and one write for a request are enough.
//!
//! In the order of a request: [`wire`] has the bytes, [`head`] makes a request of them, line by
//! line, [`intake`] passes its body on, [`outlet`] and [`encode`] write the response, and [`connection`]
//! is the loop around them. What is the same in both directions is in [`crate::upstream::http1`]. This
//! file is its life: busy, parked, closed.

pub mod connection;
pub mod encode;
pub mod head;
pub mod intake;
pub mod outlet;
pub mod wire;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use http_body::Body;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;

use crate::http::activity::Activity;
use crate::http::answer;
use crate::http::clock::micros;
use crate::http::http1::connection::Connection;
use crate::http::http1::connection::End;
use crate::http::http1::encode::Content;
use crate::http::http1::encode::Persistence;
use crate::http::http1::head::BadHead;
use crate::http::policy;
use crate::message::Request;
use crate::message::Response;
use crate::service::VirtualService;
use crate::service::retirement::Retirement;
use crate::service::settings::Settings;
use crate::upstream::RequestBody;

pub use crate::http::http1::connection::PARK_AFTER;

/// What bounds a connection.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// What it is doing.
    pub activity: &'a Arc<Activity>,
    /// How long and how much.
    pub settings: &'a Settings,
    /// Asks it to leave.
    pub retirement: &'a Retirement,
    /// Whose pages and fields an answer to what is no request has; `None`: plain ones.
    pub dressed_by: Option<&'a VirtualService>,
}

/// How a connection ended.
#[derive(Debug)]
pub enum Finish<IO> {
    /// As connections do: by the client, after `connection: close`, or idle.
    Closed,
    /// A request head did not come to its end in time; the client was told so.
    HeadTimeout,
    /// What came is no request; the client was told so.
    Malformed(BadHead),
    /// The client did not take what was written.
    Stalled,
    /// A response has switched protocols: the stream, and what was read of what follows.
    Switched(IO, Bytes),
}

/// Serves requests one after the other.
///
/// While busy the connection lives in a box with its buffers; after a while without a request that is
/// dropped, and only the stream is left, waiting for a byte.
pub async fn serve<IO, F, R, B>(mut io: IO, bounds: Bounds<'_>, on_request: F) -> Finish<IO>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Fn(Request<RequestBody>) -> R,
    R: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = BytesMut::new();
    loop {
        let (stream, left, end) = Box::pin(busy(io, first, bounds, &on_request)).await;
        io = stream;
        if end != End::Parked {
            return Box::pin(finish(io, left, end, bounds.dressed_by)).await;
        }
        // It is empty, and has room for a head.
        drop(left);
        let Some(byte) = wait_for_a_byte(&mut io, bounds).await else {
            close(&mut io).await;
            return Finish::Closed;
        };
        first = BytesMut::from(&[byte][..]);
    }
}

async fn busy<IO, F, R, B>(
    io: IO,
    first: BytesMut,
    bounds: Bounds<'_>,
    on_request: F,
) -> (IO, BytesMut, End)
where
    IO: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Request<RequestBody>) -> R,
    R: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Data = Bytes> + Unpin,
{
    let mut connection = Connection::new(io, first, bounds);
    let mut retired = std::pin::pin!(bounds.retirement.retired());
    // Only to be woken by it: the flag itself is looked at with each deadline.
    std::future::poll_fn(|cx| {
        let _ = std::pin::pin!(tokio::task::unconstrained(retired.as_mut())).poll(cx);
        Poll::Ready(())
    })
    .await;
    let end = connection.serve(on_request).await;
    let (io, left) = connection.into_parts();
    (io, left, end)
}

async fn finish<IO>(
    mut io: IO,
    left: BytesMut,
    end: End,
    service: Option<&VirtualService>,
) -> Finish<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    match end {
        End::Bad(bad) => {
            linger(&mut io, &refusal(bad.status(), service)).await;
            Finish::Malformed(bad)
        }
        End::HeadTimeout => {
            linger(&mut io, &refusal(StatusCode::REQUEST_TIMEOUT, service)).await;
            Finish::HeadTimeout
        }
        End::Closed(true) => {
            linger(&mut io, &[]).await;
            Finish::Closed
        }
        End::Closed(false) | End::Idle | End::Parked => {
            close(&mut io).await;
            Finish::Closed
        }
        // Without a farewell where a response broke off, so that the client can tell.
        End::Cut => Finish::Closed,
        End::Stalled => Finish::Stalled,
        End::Switched => Finish::Switched(io, left.freeze()),
    }
}

impl Bounds<'_> {
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
async fn wait_for_a_byte<IO>(io: &mut IO, bounds: Bounds<'_>) -> Option<u8>
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
                    Ok(1) => Some(byte[0]),
                    Ok(_) | Err(_) => None,
                };
            }
            () = bounds.retirement.retired(), if !was_retired => was_retired = true,
            () = tokio::time::sleep_until(until) => return None,
        }
    }
}

/// The whole answer to what is no request.
fn refusal(status: StatusCode, service: Option<&VirtualService>) -> BytesMut {
    let mut response = answer::no_request(status);
    if let Some(service) = service {
        policy::no_request(service, &mut response);
    }
    response.fields_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    let (head, body) = response.into_parts();
    let mut text = BytesMut::new();
    let content = Content::Length(body.len() as u64);
    encode::head(&mut text, &head, content, Persistence::Close, None);
    text.extend_from_slice(&body);
    text
}

/// Says farewell, bounded: a client that does not read does not keep the connection.
async fn close<IO: AsyncWrite + Unpin>(io: &mut IO) {
    // Whether it arrives makes no difference to anybody here.
    drop(tokio::time::timeout(LINGER, io.shutdown()).await);
}

/// Says the last words and reads on for a moment, because closing a socket with unread data resets it,
/// and the client might lose the response (RFC 9112, section 9.6).
async fn linger<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut IO, last_words: &[u8]) {
    let drained = async {
        io.write_all(last_words).await?;
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

/// How long a closing connection is kept for a client that is still sending.
const LINGER: Duration = Duration::from_secs(2);

/// And how much of it is read.
const LINGER_BYTES: usize = 1 << 20;
