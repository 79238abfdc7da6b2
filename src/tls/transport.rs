//! What TLS needs of a socket beside reading and writing: that its last words and its end are one packet.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use rustix::net::SendFlags;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A stream that TLS can be spoken over.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Writes what the end follows at once: whoever calls this shuts the stream down next, or drops it. A
    /// socket sends both in one packet, which is a twentieth of what a short connection costs.
    fn poll_write_last(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, bytes)
    }
}

impl Transport for TcpStream {
    fn poll_write_last(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        loop {
            ready!(self.poll_write_ready(cx))?;
            let send = || Ok(rustix::net::send(&*self, bytes, flags)?);
            match self.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

#[cfg(test)]
impl Transport for tokio::io::DuplexStream {}
