//! The bytes of an HTTP/2 connection as they pass, both ways: what h2 hides is seen here.
//!
//! Costs a few instructions for each frame and nothing for payloads. What is found is put into [`Signs`],
//! which the connection's loop looks at after h2 has had its turn.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
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
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.activity.wrote(&written);
        let written = ready!(written)?;
        self.sent(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.activity.wrote(&written);
        let written = ready!(written)?;
        let mut left = written;
        for slice in slices {
            let length = left.min(slice.len());
            self.sent(&slice[..length]);
            left -= length;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.activity.flushed(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            let shut = Pin::new(&mut self.io).poll_shutdown(cx);
            self.activity.blocked(shut.is_pending());
            ready!(shut)?;
            self.is_shut = true;
        }
        match self.signs.is_parting.load(Ordering::Relaxed) {
            true => self.poll_drain(cx),
            false => Poll::Ready(Ok(())),
        }
    }
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
