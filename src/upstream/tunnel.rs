//! An endpoint's side of a connection that has left HTTP by an upgrade.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use hyper::upgrade::OnUpgrade;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::upstream::error::UpstreamError;
use crate::upstream::lease::InFlight;
use crate::upstream::lease::Lease;

/// An endpoint has agreed to switch protocols.
pub struct Switch {
    upgrade: OnUpgrade,
    lease: Lease,
}

/// The bytes of a connection that is HTTP's no longer; it counts as in flight at its endpoint for as
/// long as it lives.
#[derive(Debug)]
pub struct Tunnel {
    /// The stream and what was read already; nothing of hyper's state is left.
    io: TokioIo<Upgraded>,
    _in_flight: InFlight,
}

impl Switch {
    /// The response with status 101 came over the leased connection.
    pub fn new(upgrade: OnUpgrade, lease: Lease) -> Self {
        Self { upgrade, lease }
    }

    /// Takes the connection from hyper.
    pub async fn open(self) -> Result<Tunnel, UpstreamError> {
        let upgraded = self.upgrade.await.map_err(UpstreamError::Closed)?;
        Ok(Tunnel { io: TokioIo::new(upgraded), _in_flight: self.lease.into_in_flight() })
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
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

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch").field("lease", &self.lease).finish_non_exhaustive()
    }
}
