//! The bytes of a connection: read into a buffer of the worker, and written from the machine's outbox.
//!
//! Each turn of the connection's loop ends with one write: the responses to several streams are one TLS
//! record and one call of the system. Must not know what the bytes mean.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::http::activity::Activity;
use crate::http2::outbox::Outbox;

/// A stream, and how its client takes what it is given.
#[derive(Debug)]
pub struct Wire<IO> {
    io: IO,
    activity: Arc<Activity>,
    /// Something was written that may not have left.
    is_unflushed: bool,
    /// The client needed long for what it was given last.
    is_slow: bool,
    /// It is our end of the stream that is closed.
    is_shut: bool,
    /// Bytes that were thrown away since.
    drained: usize,
}

impl<IO> Wire<IO> {
    /// A stream on which nothing of HTTP has passed.
    pub fn new(io: IO, activity: Arc<Activity>) -> Self {
        Self { io, activity, is_unflushed: false, is_slow: false, is_shut: false, drained: 0 }
    }
}

impl<IO: AsyncRead + Unpin> Wire<IO> {
    /// Reads what there is, and gives it to `take`; how many bytes, 0 at the end of the stream.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        INPUT.with_borrow_mut(|input| {
            input.resize(READ, 0);
            let mut read = ReadBuf::new(input);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            let bytes = read.filled();
            take(bytes);
            Poll::Ready(Ok(bytes.len()))
        })
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.drained < MOST_DRAINED {
            match ready!(self.poll_read(cx, |_| {}))? {
                0 => break,
                count => self.drained += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wire<IO> {
    /// Writes what there is; ready when it has left.
    pub fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
    ) -> Poll<io::Result<()>> {
        if outbox.is_empty() && !self.is_unflushed {
            return Poll::Ready(Ok(()));
        }
        self.activity.holds();
        let blocked_since = self.activity.blocked_since();
        let drained = self.poll_drain_all(cx, outbox);
        if drained.is_ready()
            && let Some(since) = blocked_since
        {
            self.is_slow = self.activity.now().saturating_sub(since) > SLOW;
        }
        self.activity.flushed(&drained);
        drained
    }

    fn poll_drain_all(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
    ) -> Poll<io::Result<()>> {
        while !outbox.is_empty() {
            // TLS takes all that it is given and does not tell how much of it has left: of little at a
            // time, it shows that a slow client takes something.
            let most = if self.is_slow { LITTLE } else { usize::MAX };
            let bytes = outbox.bytes();
            let some = &bytes[..bytes.len().min(most)];
            match ready!(Pin::new(&mut self.io).poll_write(cx, some))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => outbox.wrote(count),
            }
            self.is_unflushed = true;
            self.activity.blocked(false);
            if self.is_slow {
                ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            }
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.is_unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Writes what there is and closes our end. Where last words have to arrive, what the client is still
    /// sending is read and thrown away: closing on unread bytes is a reset, and it might lose them.
    pub fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
        lingers: bool,
    ) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(self.poll_drain(cx, outbox))?;
            let shut = Pin::new(&mut self.io).poll_shutdown(cx);
            self.activity.blocked(shut.is_pending());
            ready!(shut)?;
            self.is_shut = true;
        }
        if lingers { self.poll_discard(cx) } else { Poll::Ready(Ok(())) }
    }
}

thread_local! {
    /// What connections of this worker read into, in turn.
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What is read at a time: two frames of the largest size.
const READ: usize = 32 << 10;

/// How much of what a client sends after the end is read.
const MOST_DRAINED: usize = 1 << 20;

/// What a slow client is given at a time.
const LITTLE: usize = 16 << 10;

/// Whoever makes others wait so long, in microseconds, is slow.
const SLOW: u64 = 1_000_000;
