//! The bytes of a stream that go one way, and the end of them.
//!
//! Nothing is held while nothing moves: bytes are read into the worker's own buffer and written from
//! there; only what the other end does not take at once gets memory of its own. Between two TCP
//! sockets, bulk goes through a pipe.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf;
use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::relay::pipe::Pipe;
use crate::relay::side::Side;

/// One way of a stream.
#[derive(Debug, Default)]
pub struct Direction {
    /// Taken from the source, not yet taken by the sink.
    left: Bytes,
    /// Only while bulk moves.
    pipe: Option<Pipe>,
    /// The last read brought so much that the next one is worth a pipe.
    is_bulk: bool,
    /// There is no splice for these two.
    never_splice: bool,
    /// The sink may hold bytes back until it is told to flush.
    is_unflushed: bool,
    state: State,
    /// Bytes that the sink took.
    delivered: u64,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    Flowing,
    /// The source has finished; the sink is to hear of it.
    Ending,
    Ended,
}

/// Which end broke.
#[derive(Debug)]
pub enum Broken {
    /// The one that bytes come from.
    Source(io::Error),
    /// The one that they go to.
    Sink(io::Error),
}

impl Direction {
    /// Begins with bytes that were read already.
    pub fn starting_with(first: Bytes) -> Self {
        Self { left: first, ..Self::default() }
    }

    /// Bytes that arrived at the sink.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Whether the source has nothing more to say.
    pub fn has_finished(&self) -> bool {
        self.state != State::Flowing
    }

    /// Whether the sink has not taken all that there is for it, nor the end.
    pub fn is_held_up(&self) -> bool {
        let has_pipe = self.pipe.as_ref().is_some_and(|pipe| !pipe.is_empty());
        has_pipe || !self.left.is_empty() || self.is_unflushed || self.state == State::Ending
    }

    /// Moves what can be moved. Ready when the source has finished and the sink knows it.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Side,
        sink: &mut Side,
    ) -> Poll<Result<(), Broken>> {
        let enough = self.delivered + BURST;
        while self.state == State::Flowing {
            ready!(self.poll_deliver(cx, sink)).map_err(Broken::Sink)?;
            if self.delivered >= enough {
                // Others of this worker have a turn.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.poll_take(cx, source, sink)?.is_pending() {
                self.rest();
                // What the sink has not flushed yet, it will when it can.
                let _ = self.poll_flush(cx, sink)?;
                return Poll::Pending;
            }
        }
        if self.state == State::Ending {
            ready!(self.poll_flush(cx, sink))?;
            // All bytes are there: a sink that is gone by now has missed nothing.
            let _ = ready!(Pin::new(sink).poll_shutdown(cx));
            self.state = State::Ended;
        }
        Poll::Ready(Ok(()))
    }

    /// Gives the sink what was taken for it before.
    fn poll_deliver(&mut self, cx: &mut Context<'_>, sink: &mut Side) -> Poll<io::Result<()>> {
        while !self.left.is_empty() {
            let count = ready!(Pin::new(&mut *sink).poll_write(cx, &self.left))?;
            self.took(count)?;
            self.left.advance(count);
        }
        if let (Some(pipe), Some(sink)) = (&mut self.pipe, sink.tcp()) {
            while !pipe.is_empty() {
                self.delivered += ready!(pipe.poll_drain(cx, sink))? as u64;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Side,
        sink: &mut Side,
    ) -> Result<Poll<()>, Broken> {
        let taken = match self.splice(cx, source, sink) {
            Some(spliced) => spliced.map_err(Broken::Source)?,
            None => self.copy(cx, source, sink)?,
        };
        Ok(taken.map(|count| {
            if count == 0 {
                self.state = State::Ending;
                self.rest();
            }
        }))
    }

    /// Bulk from socket to socket: into the pipe. None: not this time.
    fn splice(
        &mut self,
        cx: &mut Context<'_>,
        source: &Side,
        sink: &Side,
    ) -> Option<io::Result<Poll<usize>>> {
        let (Some(source), Some(_), true) = (source.tcp(), sink.tcp(), self.is_bulk) else {
            return None;
        };
        if self.never_splice {
            return None;
        }
        if self.pipe.is_none() {
            // Without descriptors it goes on as before.
            self.pipe = Some(Pipe::take().ok()?);
        }
        match self.pipe.as_mut()?.poll_fill(cx, source) {
            Poll::Pending => Some(Ok(Poll::Pending)),
            Poll::Ready(Ok(count)) => {
                self.is_bulk = count >= STILL_BULK;
                Some(Ok(Poll::Ready(count)))
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {
                self.never_splice = true;
                self.pipe = None;
                None
            }
            Poll::Ready(Err(error)) => Some(Err(error)),
        }
    }

    /// Through the worker's buffer.
    fn copy(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Side,
        sink: &mut Side,
    ) -> Result<Poll<usize>, Broken> {
        self.rest();
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(SCRATCH_SIZE, 0);
            let mut buffer = ReadBuf::new(scratch);
            match Pin::new(source).poll_read(cx, &mut buffer) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(())) => {}
                // TLS that was left without a word; most who do that have said all.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Poll::Ready(Err(error)) => return Err(Broken::Source(error)),
            }
            let taken = buffer.filled();
            self.is_bulk = taken.len() >= BULK;
            if taken.is_empty() {
                return Ok(Poll::Ready(0));
            }
            let written = match Pin::new(sink).poll_write(cx, taken) {
                Poll::Pending => 0,
                Poll::Ready(written) => {
                    let count = written.map_err(Broken::Sink)?;
                    self.took(count).map_err(Broken::Sink)?;
                    count
                }
            };
            self.left = Bytes::copy_from_slice(&taken[written..]);
            Ok(Poll::Ready(taken.len()))
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, sink: &mut Side) -> Poll<Result<(), Broken>> {
        if self.is_unflushed {
            ready!(Pin::new(sink).poll_flush(cx)).map_err(Broken::Sink)?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn took(&mut self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.delivered += count as u64;
        self.is_unflushed = true;
        Ok(())
    }

    /// Nothing moves at the moment.
    fn rest(&mut self) {
        self.left = Bytes::new();
        if let Some(pipe) = self.pipe.take() {
            pipe.give_back();
        }
    }
}

thread_local! {
    /// Where the bytes of every stream of this worker pass through.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What one read takes at most: four TLS records, and as much as the kernel hands out at once.
const SCRATCH_SIZE: usize = 64 * 1024;

/// A read of this size is not a conversation.
const BULK: usize = 16 * 1024;

/// Short reads through a pipe cost more than they save.
const STILL_BULK: usize = 4 * 1024;

/// What one stream may move before others of its worker have their turn: about a tenth of a
/// millisecond.
const BURST: u64 = 512 * 1024;
