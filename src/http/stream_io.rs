//! The data of an HTTP/2 stream as bytes, for what is tunnelled through it (RFC 8441).

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

use crate::http2::Receiving;
use crate::http2::Sending;
use crate::http2::StreamError;

/// Both halves of a stream. Room is given back to the client as its bytes are read; dropped before it is
/// shut down, the stream is reset.
#[derive(Debug)]
pub struct StreamIo {
    from: Receiving,
    to: Sending,
    /// What came and was not read yet.
    left: Bytes,
}

impl StreamIo {
    /// A stream whose heads have passed.
    pub fn new(from: Receiving, to: Sending) -> Self {
        Self { from, to, left: Bytes::new() }
    }
}

impl AsyncRead for StreamIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.left.is_empty() {
            match ready!(self.from.poll_data(cx)) {
                Some(Ok(data)) => self.left = data,
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.left.len().min(buffer.remaining());
        buffer.put_slice(&self.left[..length]);
        self.left.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StreamIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.to.poll_write(cx, bytes, false).map_err(failed)
    }

    /// What is written leaves by itself; but a client that has nothing more to say, and resets the
    /// stream, is noticed here.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.to.poll_reset(cx) {
            Poll::Ready(error) => Poll::Ready(Err(failed(error))),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.to.finish().map_err(failed))
    }
}

fn failed(error: StreamError) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
