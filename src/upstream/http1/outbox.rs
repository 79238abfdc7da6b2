//! What is to be written to an endpoint or a client: text, then at most one large piece, which is not copied, then
//! what belongs to that. All of it in one write. Must not know what it means.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncWrite;

/// Bytes that wait for their turn.
#[derive(Debug, Default)]
pub struct Outbox {
    text: BytesMut,
    piece: Bytes,
    tail: &'static [u8],
    /// Something was written that may not have left.
    is_unflushed: bool,
    has_written: bool,
}

impl Outbox {
    /// Where text is added; only while there is [room](Self::has_room).
    pub fn text(&mut self) -> &mut BytesMut {
        &mut self.text
    }

    /// Adds bytes, followed by a few that do not change. A large piece is the last one before a write.
    pub fn add(&mut self, piece: Bytes, tail: &'static [u8]) {
        if piece.len() <= SMALL {
            self.text.extend_from_slice(&piece);
            self.text.extend_from_slice(tail);
        } else {
            self.piece = piece;
            self.tail = tail;
        }
    }

    /// Whether more can be added before it is written.
    pub fn has_room(&self) -> bool {
        self.piece.is_empty() && self.tail.is_empty() && self.text.len() < FULL
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.piece.is_empty() && self.tail.is_empty()
    }

    /// Whether anything was written since the beginning.
    pub fn has_written(&self) -> bool {
        self.has_written
    }

    /// Whether something waits for the other side to take it.
    pub fn is_blocked(&self) -> bool {
        self.is_unflushed || !self.is_empty()
    }

    /// Nothing has been written of what is added from now on.
    pub fn begin(&mut self) {
        self.has_written = false;
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        *self = Self { has_written: self.has_written, ..Self::default() };
    }

    /// Writes all that was added; ready when it has left.
    pub fn poll_write<IO>(&mut self, cx: &mut Context<'_>, io: &mut IO) -> Poll<io::Result<()>>
    where
        IO: AsyncWrite + Unpin,
    {
        while !self.is_empty() {
            ready!(self.poll_write_some(cx, io, usize::MAX))?;
        }
        self.poll_flush(cx, io)
    }

    /// Writes once, and at most so much of a large piece; there must be something to write.
    pub fn poll_write_some<IO>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut IO,
        most: usize,
    ) -> Poll<io::Result<()>>
    where
        IO: AsyncWrite + Unpin,
    {
        let io = Pin::new(io);
        let written = if self.piece.is_empty() && self.tail.is_empty() {
            ready!(io.poll_write(cx, &self.text))?
        } else {
            let piece = &self.piece[..self.piece.len().min(most)];
            let tail = if piece.len() < self.piece.len() { &[] } else { self.tail };
            let slices = [&self.text[..], piece, tail].map(IoSlice::new);
            let empty = usize::from(self.text.is_empty());
            ready!(io.poll_write_vectored(cx, &slices[empty..]))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.wrote(written);
        Poll::Ready(Ok(()))
    }

    /// Ready when what was written has left.
    pub fn poll_flush<IO>(&mut self, cx: &mut Context<'_>, io: &mut IO) -> Poll<io::Result<()>>
    where
        IO: AsyncWrite + Unpin,
    {
        if self.is_unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, mut count: usize) {
        self.is_unflushed = true;
        self.has_written = true;
        let of_text = count.min(self.text.len());
        if of_text == self.text.len() {
            // Not advanced: its room is used again.
            self.text.clear();
        } else {
            self.text.advance(of_text);
        }
        count -= of_text;
        if count >= self.piece.len() {
            count -= self.piece.len();
            // Let go of, so that the buffer it is a part of can be used again.
            self.piece = Bytes::new();
        } else {
            self.piece.advance(count);
            count = 0;
        }
        self.tail = &self.tail[count.min(self.tail.len())..];
    }
}

/// Up to here, copying a piece is cheaper than writing from two places.
const SMALL: usize = 4 << 10;

/// What is gathered before it is written: a TLS record.
pub const FULL: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_is_added_is_written_in_order_however_little_fits() {
        let (mut reader, mut io) = tokio::io::duplex(7);
        let mut outbox = Outbox::default();
        outbox.text().extend_from_slice(b"head ");
        outbox.add(Bytes::from_static(b"small "), b"tail ");
        assert!(outbox.has_room() && !outbox.is_empty());
        outbox.add(Bytes::from(vec![b'x'; 5_000]), b" end");
        assert!(!outbox.has_room());
        let mut read = Vec::new();
        let writing = async {
            std::future::poll_fn(|cx| outbox.poll_write(cx, &mut io)).await.expect("written");
            drop(io);
        };
        let (_, count) = tokio::join!(writing, reader.read_to_end(&mut read));
        assert_eq!(count.expect("read"), read.len());
        assert_eq!(read, [&b"head small tail "[..], &[b'x'; 5_000], b" end"].concat());
    }
}
