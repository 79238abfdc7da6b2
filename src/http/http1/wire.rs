//! The bytes of one connection: what was read and not looked at yet, and what is to be written. Must not
//! know what they mean.

use std::cell::Cell;
use std::io;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;

use crate::http::activity::Activity;
use crate::upstream::http1::outbox::FULL;
use crate::upstream::http1::outbox::Outbox;

/// A stream with its buffers.
#[derive(Debug)]
pub struct Wire<'a, IO> {
    io: IO,
    activity: &'a Activity,
    /// What was read.
    pub input: BytesMut,
    outbox: Outbox,
    /// The client needed long for what it was given last.
    is_slow: bool,
    blocked_since: Option<u64>,
}

impl<'a, IO> Wire<'a, IO> {
    /// A stream of which `input` was read already.
    pub fn new(io: IO, input: BytesMut, activity: &'a Activity) -> Self {
        Self { io, activity, input, outbox: Outbox::default(), is_slow: false, blocked_since: None }
    }

    /// The stream, and what was read and not looked at.
    pub fn into_parts(self) -> (IO, BytesMut) {
        (self.io, self.input)
    }

    /// Where text is added; only while there is [room](Self::has_room).
    pub fn text(&mut self) -> &mut BytesMut {
        let text = self.outbox.text();
        if text.capacity() == 0 {
            *text = TEXT.take();
        }
        text
    }

    /// Adds bytes, followed by a few that do not change. A large piece is the last one before a write.
    pub fn add(&mut self, piece: Bytes, tail: &'static [u8]) {
        // Takes a spare where there is no room.
        self.text();
        self.outbox.add(piece, tail);
    }

    /// Whether more can be added before it is written.
    pub fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    /// Since when the client takes nothing, in times of the connection.
    pub fn blocked_since(&self) -> Option<u64> {
        self.blocked_since
    }
}

impl<IO: AsyncRead + Unpin> Wire<'_, IO> {
    /// Reads more into `input`: how many bytes, 0 at the end of the stream. `room` is how many there
    /// should be space for.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        if self.input.capacity() == 0 {
            self.input = INPUT.take();
        }
        if self.input.capacity() - self.input.len() < room / 4 {
            // Takes what is free in front where nothing refers to it any more, or anew.
            self.input.reserve(room);
        }
        let read = std::pin::pin!(self.io.read_buf(&mut self.input)).poll(cx);
        if read.is_pending() && self.input.is_empty() && self.input.capacity() <= SPARED {
            INPUT.set(std::mem::take(&mut self.input));
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> Wire<'_, IO> {
    /// Writes all that was added; ready when it has left.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.outbox.is_blocked() {
            return Poll::Ready(Ok(()));
        }
        let written = self.poll_write_all(cx);
        match (written.is_pending(), self.blocked_since) {
            (true, None) => self.blocked_since = Some(self.activity.now()),
            (false, _) => self.took_some(),
            _ => {}
        }
        written
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            // TLS takes all that it is given and does not tell how much of it has left: of little at a
            // time, it shows that a slow client takes something.
            let most = if self.is_slow { FULL } else { usize::MAX };
            ready!(self.outbox.poll_write_some(cx, &mut self.io, most))?;
            self.took_some();
            if self.is_slow {
                ready!(self.outbox.poll_flush(cx, &mut self.io))?;
            }
        }
        ready!(self.outbox.poll_flush(cx, &mut self.io))?;
        let text = self.outbox.text();
        if text.capacity() <= SPARED {
            TEXT.set(std::mem::take(text));
        }
        Poll::Ready(Ok(()))
    }

    fn took_some(&mut self) {
        if let Some(since) = self.blocked_since.take() {
            self.is_slow = self.activity.now().saturating_sub(since) > SLOW;
        }
    }
}

thread_local! {
    /// Where connections of this worker read to and write from, in turn: one that waits has no buffer.
    static INPUT: Cell<BytesMut> = Cell::default();
    static TEXT: Cell<BytesMut> = Cell::default();
}

/// Up to here a buffer is kept for whoever needs one next; the larger ones were for a body.
const SPARED: usize = 8 << 10;

/// Whoever makes others wait so long, in microseconds, is given little at a time.
const SLOW: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn what_is_added_is_written_in_order_however_little_fits() {
        let activity = Activity::new();
        let (mut client, io) = tokio::io::duplex(7);
        let mut wire = Wire::new(io, BytesMut::new(), &activity);
        wire.text().extend_from_slice(b"head ");
        wire.add(Bytes::from_static(b"small "), b"tail ");
        assert!(wire.has_room());
        wire.add(Bytes::from(vec![b'x'; 5_000]), b" end");
        assert!(!wire.has_room());
        let mut read = Vec::new();
        let writing = async {
            std::future::poll_fn(|cx| wire.poll_write(cx)).await.expect("written");
            drop(wire);
        };
        let (_, count) = tokio::join!(writing, client.read_to_end(&mut read));
        assert_eq!(count.expect("read"), read.len());
        assert_eq!(read, [&b"head small tail "[..], &[b'x'; 5_000], b" end"].concat());
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_noticed() {
        let activity = Activity::new();
        let (mut client, io) = tokio::io::duplex(4);
        let mut wire = Wire::new(io, BytesMut::new(), &activity);
        wire.text().extend_from_slice(b"too much");
        let mut once = async || std::future::poll_fn(|cx| Poll::Ready(wire.poll_write(cx))).await;
        assert!(once().await.is_pending());
        let mut sink = [0; 8];
        client.read_exact(&mut sink[..4]).await.expect("read");
        assert!(once().await.is_ready());
        assert!(wire.blocked_since().is_none());
        client.shutdown().await.expect("shut");
        let end = std::future::poll_fn(|cx| wire.poll_read(cx, 64)).await;
        assert_eq!(end.expect("the end"), 0);
    }
}
