//! One end of a stream: a socket of TCP, whose bytes the kernel can move, or anything else.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use crate::upstream::stream::StreamIo;

/// What carries the bytes of one end.
pub enum Side {
    /// TLS, a Unix socket, or a test.
    Other(Box<dyn Carrier>),
    /// Plain TCP.
    Tcp(TcpStream),
}

/// A stream that is not plain TCP.
pub trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<IO: AsyncRead + AsyncWrite + Send + Unpin> Carrier for IO {}

impl Side {
    /// The socket, if the bytes on it are the stream's own.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Other(_) => None,
            Self::Tcp(tcp) => Some(tcp),
        }
    }

    /// Closes with a reset where that is possible: whoever is here must not take what it got for all
    /// that there was.
    pub fn abort(self) {
        if let Self::Tcp(tcp) = &self {
            // A socket that is gone already needs no reset.
            drop(SockRef::from(tcp).set_linger(Some(Duration::ZERO)));
        }
    }

    fn carrier(self: Pin<&mut Self>) -> Pin<&mut dyn Carrier> {
        match self.get_mut() {
            Self::Other(other) => Pin::new(&mut **other),
            Self::Tcp(tcp) => Pin::new(tcp),
        }
    }
}

impl From<StreamIo> for Side {
    fn from(io: StreamIo) -> Self {
        match io {
            StreamIo::Tcp(tcp) => Self::Tcp(tcp),
            other => Self::Other(Box::new(other)),
        }
    }
}

impl AsyncRead for Side {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.carrier().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Side {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.carrier().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.carrier().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.carrier().poll_shutdown(cx)
    }
}
