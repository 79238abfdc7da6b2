//! The bytes of an HTTP/2 connection as they pass, both ways: what h2 hides is seen here.
//!
//! Costs a few instructions for each frame and nothing for payloads. What is found is put into [`Signs`],
//! which the connection's loop looks at after h2 has had its turn.
//!
//! h2 flushes after each frame that carries a body. What it writes in one turn is held here, and the loop
//! lets it out at the end of the turn: the responses to several streams are one TLS record and one call
//! of the system.

use std::cell::Cell;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::http::activity::Activity;
use crate::http::http2::fault::Fault;
use crate::http::http2::frames::Frames;
use crate::http::http2::frames::Head;
use crate::http::http2::frames::kind;
use crate::http::http2::glitches::Glitches;
use crate::upstream::Pace;

/// What the loop of a connection needs to know of its bytes.
#[derive(Debug, Default)]
pub struct Signs {
    /// There is a fault.
    is_over: AtomicBool,
    /// The first that was found, by us or by h2.
    fault: Mutex<Option<Fault>>,
    /// Since when the client owes the rest of something, in times of the connection; 0: it does not.
    unfinished_since: AtomicU64,
    /// h2 has told the client.
    is_told: AtomicBool,
    /// It ends with words that must arrive.
    is_parting: AtomicBool,
}

impl Signs {
    /// Why the connection has to end, if it has to.
    pub fn fault(&self) -> Option<Fault> {
        if !self.is_over.load(Ordering::Relaxed) {
            return None;
        }
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection ends for this reason, unless there is one already. When the last words are written,
    /// what the client is still sending is read and thrown away: closing on unread bytes is a reset, and
    /// the client might lose them.
    pub fn ends(&self, fault: Fault) {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
        self.is_over.store(true, Ordering::Relaxed);
        self.is_parting.store(true, Ordering::Relaxed);
    }

    /// Whether a GOAWAY with a complaint was written.
    pub fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }

    /// Since when half of something is there, in times of the connection.
    pub fn unfinished_since(&self) -> Option<u64> {
        Some(self.unfinished_since.load(Ordering::Relaxed)).filter(|since| *since != 0)
    }
}

/// A stream that reads along.
#[derive(Debug)]
pub struct Wire<IO> {
    io: IO,
    received: Frames,
    sent: Frames,
    glitches: Glitches,
    activity: Arc<Activity>,
    pace: Arc<Pace>,
    signs: Arc<Signs>,
    /// What was written and has not been given to `io`.
    held: Vec<u8>,
    /// The client needed long for what it was given last.
    is_slow: bool,
    /// It is our end of the stream that is closed.
    is_shut: bool,
    /// Bytes that were thrown away since.
    drained: usize,
}

impl<IO> Wire<IO> {
    /// Reads along on `io`, on which nothing of HTTP has passed yet. `glitches` is how many may be.
    pub fn new(io: IO, glitches: u32, activity: Arc<Activity>, pace: Arc<Pace>) -> Self {
        Self {
            io,
            received: Frames::of_client(),
            sent: Frames::of_server(),
            glitches: Glitches::new(glitches),
            activity,
            pace,
            signs: Arc::default(),
            held: Vec::new(),
            is_slow: false,
            is_shut: false,
            drained: 0,
        }
    }

    /// Where it puts what it finds.
    pub fn signs(&self) -> &Arc<Signs> {
        &self.signs
    }

    fn received(&mut self, bytes: &[u8]) {
        let begun = self.received.begun();
        let glitches = &mut self.glitches;
        self.received.read(bytes, |head, _| glitches.received(head));
        self.pace.received(self.received.data());
        self.judge();
        let was_unfinished = self.signs.unfinished_since().is_some();
        match self.received.is_unfinished() {
            true if was_unfinished && self.received.begun() == begun => {}
            true => self.signs.unfinished_since.store(self.activity.now(), Ordering::Relaxed),
            false if was_unfinished => self.signs.unfinished_since.store(0, Ordering::Relaxed),
            false => {}
        }
    }

    fn sent(&mut self, bytes: &[u8]) {
        let (glitches, signs) = (&mut self.glitches, &self.signs);
        self.sent.read(bytes, |head, shown| {
            glitches.sent(head, number(shown, 0).filter(|_| head.kind == kind::RST_STREAM));
            if let Some(fault) = complaint(head, shown) {
                signs.ends(fault);
                signs.is_told.store(true, Ordering::Relaxed);
            }
        });
        self.judge();
    }

    fn judge(&mut self) {
        let activity = &self.activity;
        if let Some(fault) = self.glitches.verdict(|| activity.now())
            && self.signs.fault().is_none()
        {
            self.signs.ends(fault);
        }
    }
}

impl<IO: AsyncRead + Unpin> Wire<IO> {
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sink = [std::mem::MaybeUninit::uninit(); 4096];
        while self.drained < MOST_DRAINED {
            let mut sink = ReadBuf::uninit(&mut sink);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut sink))?;
            match sink.filled().len() {
                0 => break,
                count => self.drained += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Wire<IO> {
    /// Once there is a fault nothing more is read: the loop sees the fault in the same turn, and what it
    /// writes is all that is left to do.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.signs.is_over.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        self.received(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wire<IO> {
    /// Lets out what is held; ready when it has left.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let blocked_since = self.activity.blocked_since();
        let drained = self.poll_drain_all(cx);
        if drained.is_ready()
            && let Some(since) = blocked_since
        {
            self.is_slow = self.activity.now().saturating_sub(since) > SLOW;
        }
        self.activity.flushed(&drained);
        drained
    }

    fn poll_drain_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            // TLS takes all that it is given and does not tell how much of it has left: of little at a
            // time, it shows that a slow client takes something.
            let most = if self.is_slow { LITTLE } else { usize::MAX };
            let some = &self.held[..self.held.len().min(most)];
            match ready!(Pin::new(&mut self.io).poll_write(cx, some))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                all if all == self.held.len() => self.held.clear(),
                some => drop(self.held.drain(..some)),
            }
            self.activity.blocked(false);
            if self.is_slow {
                ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            }
        }
        if self.held.capacity() > 0 {
            SPARE.set(std::mem::take(&mut self.held));
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.held.len() + wanted > FULL && !self.held.is_empty() {
            ready!(self.poll_drain(cx))?;
        }
        if self.held.capacity() == 0 {
            self.held = SPARE.take();
        }
        let mut written = 0;
        for slice in slices {
            let some = &slice[..slice.len().min(FULL - self.held.len())];
            self.held.extend_from_slice(some);
            self.sent(some);
            written += some.len();
        }
        self.activity.holds();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: see [`Wire::poll_drain`].
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(self.poll_drain(cx))?;
            let shut = Pin::new(&mut self.io).poll_shutdown(cx);
            self.activity.blocked(shut.is_pending());
            ready!(shut)?;
            self.is_shut = true;
        }
        match self.signs.is_parting.load(Ordering::Relaxed) {
            true => self.poll_discard(cx),
            false => Poll::Ready(Ok(())),
        }
    }
}

/// A wire in two hands: h2 reads and writes, the connection's loop lets out what is held. Both belong to
/// one task, and so it is never waited for.
#[derive(Debug)]
pub struct Shared<IO>(Arc<Mutex<Wire<IO>>>);

impl<IO> Shared<IO> {
    /// The first of the two hands.
    pub fn new(wire: Wire<IO>) -> Self {
        Self(Arc::new(Mutex::new(wire)))
    }

    /// The wire, for one call.
    pub fn wire(&self) -> MutexGuard<'_, Wire<IO>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<IO> Clone for Shared<IO> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Shared<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.wire()).poll_read(cx, buffer)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Shared<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.wire()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.wire()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.wire()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.wire()).poll_shutdown(cx)
    }
}

thread_local! {
    /// What connections of this worker hold their writes in, turn by turn.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a GOAWAY of ours complains about.
fn complaint(head: Head, shown: &[u8]) -> Option<Fault> {
    if head.kind != kind::GOAWAY {
        return None;
    }
    Fault::told(number(shown, 4)?, shown.get(8..).unwrap_or_default())
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// How much of what a client sends after the end is read.
const MOST_DRAINED: usize = 1 << 20;

/// What is held at most: four TLS records.
const FULL: usize = 64 << 10;

/// What a slow client is given at a time.
const LITTLE: usize = 16 << 10;

/// Whoever makes others wait so long, in microseconds, is slow.
const SLOW: u64 = 1_000_000;
