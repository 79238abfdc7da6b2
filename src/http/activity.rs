//! What a client connection is doing right now: the one thing that its deadlines are made of.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::time::Instant;

use crate::http::interim;
use crate::upstream::Interims;

/// Times are microseconds since the connection reached HTTP; 0 means "not now".
///
/// All of it belongs to one worker; atomics only keep the futures `Send`.
#[derive(Debug)]
pub struct Activity {
    born: Instant,
    exchanges: AtomicU32,
    /// There has been a request.
    served: AtomicBool,
    idle_since: AtomicU64,
    /// First byte of a request whose head is not complete.
    head_since: AtomicU64,
    /// Something was written and not flushed yet.
    unflushed: AtomicBool,
    /// The client does not take what is written.
    blocked_since: AtomicU64,
    /// A request body was left unread: closing must not turn into a reset.
    unread: AtomicBool,
    /// The last response has switched protocols.
    switching: AtomicBool,
    /// Interim responses of the request under way, on an HTTP/1.1 connection.
    interims: OnceLock<Arc<Interims>>,
}

impl Activity {
    /// A connection that is waiting for its first request.
    pub fn new() -> Self {
        Self {
            born: Instant::now(),
            exchanges: AtomicU32::new(0),
            served: AtomicBool::new(false),
            idle_since: AtomicU64::new(1),
            head_since: AtomicU64::new(0),
            unflushed: AtomicBool::new(false),
            blocked_since: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            switching: AtomicBool::new(false),
            interims: OnceLock::new(),
        }
    }

    /// Now, in the times of this connection.
    pub fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// A time of this connection on the clock.
    pub fn instant(&self, micros: u64) -> Instant {
        self.born + std::time::Duration::from_micros(micros)
    }

    /// A moment in the times of this connection.
    pub fn at(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.born);
        u64::try_from(since.as_micros()).map_or(u64::MAX, |micros| micros + 1)
    }

    /// The head of a request is complete.
    pub fn exchange_began(&self) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        self.served.store(true, Ordering::Relaxed);
    }

    /// A response has ended, or never will.
    pub fn exchange_ended(&self, left_unread: bool) {
        if left_unread {
            self.unread.store(true, Ordering::Relaxed);
        }
        if self.exchanges.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.idle_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Since when nothing is asked, nothing is answered, and all that was answered has left; `None`
    /// if that is not so.
    pub fn idle_since(&self) -> Option<u64> {
        let is_busy =
            self.exchanges.load(Ordering::Relaxed) > 0 || self.unflushed.load(Ordering::Relaxed);
        (!is_busy).then(|| self.idle_since.load(Ordering::Relaxed))
    }

    /// Since when a request's head is incomplete; meaningful for HTTP/1.1 while idle.
    pub fn head_since(&self) -> Option<u64> {
        Some(self.head_since.load(Ordering::Relaxed)).filter(|since| *since != 0)
    }

    /// Since when the client takes nothing.
    pub fn blocked_since(&self) -> Option<u64> {
        Some(self.blocked_since.load(Ordering::Relaxed)).filter(|since| *since != 0)
    }

    /// Whether there has been a request.
    pub fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Whether a request body was left unread.
    pub fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// The response that is about to be written switches protocols: nothing of HTTP follows.
    pub fn switches(&self) {
        self.switching.store(true, Ordering::Relaxed);
    }

    /// Whether a response has switched protocols.
    pub fn is_switching(&self) -> bool {
        self.switching.load(Ordering::Relaxed)
    }

    /// Bytes came in.
    pub fn bytes_read(&self) {
        if self.exchanges.load(Ordering::Relaxed) == 0
            && self.head_since.load(Ordering::Relaxed) == 0
        {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Interim responses of the request under way, for HTTP/1.1 alone.
    pub fn interims(&self) -> &Arc<Interims> {
        self.interims.get_or_init(Arc::default)
    }

    /// The same, if there ever was a request that could have some.
    pub fn begun_interims(&self) -> Option<&Arc<Interims>> {
        self.interims.get()
    }

    fn wrote<T>(&self, written: &Poll<T>) {
        self.unflushed.store(true, Ordering::Relaxed);
        self.blocked(written.is_pending());
    }

    fn flushed(&self, flushed: &Poll<io::Result<()>>) {
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.unflushed.store(false, Ordering::Relaxed);
        }
        self.blocked(flushed.is_pending());
    }

    fn blocked(&self, is_blocked: bool) {
        match (is_blocked, self.blocked_since.load(Ordering::Relaxed)) {
            (true, 0) => self.blocked_since.store(self.now(), Ordering::Relaxed),
            (false, since) if since != 0 => self.blocked_since.store(0, Ordering::Relaxed),
            _ => {}
        }
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self::new()
    }
}

/// A stream that tells its connection's activity what passes.
#[derive(Debug)]
pub struct Watched<IO> {
    io: IO,
    /// Bytes that were read already.
    first: Bytes,
    /// An interim response of which the client has not taken all yet.
    interim: Bytes,
    activity: Arc<Activity>,
}

impl<IO> Watched<IO> {
    /// Watches `io`, of which the bytes `first` were read already.
    pub fn new(io: IO, first: Bytes, activity: Arc<Activity>) -> Self {
        Self { io, first, interim: Bytes::new(), activity }
    }

    /// The stream, and what was read already and is still to be looked at.
    pub fn into_parts(self) -> (IO, Bytes) {
        (self.io, self.first)
    }
}

impl<IO: AsyncWrite + Unpin> Watched<IO> {
    /// What was begun is written to its end before anything else is.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let written = Pin::new(&mut self.io).poll_write(cx, &self.interim);
            self.activity.wrote(&written);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.interim.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.first.is_empty() {
            ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
            if buffer.filled().len() > before {
                self.activity.bytes_read();
            }
            return Poll::Ready(Ok(()));
        }
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..length]);
        self.first.advance(length);
        if buffer.remaining() > 0 {
            // What follows usually is there already; an error will come again.
            let _ = Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.activity.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.activity.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes at the end of each turn, and only when it has written all that it has: between
        // the messages, or waiting for a response. The request is over once that is there.
        if let Some(interims) = self.activity.interims.get()
            && self.interim.is_empty()
        {
            let mut text = BytesMut::new();
            interim::render(&interims.take(), &mut text);
            self.interim = text.freeze();
        }
        ready!(self.poll_interim(cx))?;
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.activity.flushed(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.activity.blocked(shut.is_pending());
        shut
    }
}
