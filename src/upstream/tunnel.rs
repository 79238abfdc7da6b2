//! An endpoint's side of a connection that has left HTTP by an upgrade.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Buf;
use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::upstream::http1::Connection;
use crate::upstream::lease::InFlight;
use crate::upstream::lease::Lease;
use crate::upstream::stream_io::StreamIo;

/// An endpoint has agreed to switch protocols.
#[derive(Debug)]
pub struct Switch {
    connection: Box<Connection>,
    lease: Lease,
}

/// The bytes of a connection that is HTTP's no longer; it counts as in flight at its endpoint for as
/// long as it lives.
#[derive(Debug)]
pub struct Tunnel {
    io: StreamIo,
    /// What was read behind the head of the response.
    first: Bytes,
    _in_flight: InFlight,
}

impl Switch {
    /// The response with status 101 came over this connection.
    pub fn new(connection: Box<Connection>, lease: Lease) -> Self {
        Self { connection, lease }
    }

    /// Takes the connection from HTTP.
    pub fn open(self) -> Tunnel {
        let (io, first) = self.connection.into_parts();
        Tunnel { io, first, _in_flight: self.lease.into_in_flight() }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..length]);
        self.first.advance(length);
        if self.first.is_empty() {
            self.first = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
