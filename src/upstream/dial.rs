//! The bare connection to an endpoint: over TCP or over a socket in the file system.
//!
//! Knows addresses and how to try several of them; must not know what is said on the connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use crate::names::EndpointAddr;
use crate::upstream::error::UpstreamError;

/// A connection that nothing has been said on.
#[derive(Debug)]
pub enum Dialed {
    /// Over a network.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
}

/// Connects. A name is resolved as the system does it; its addresses are tried as RFC 8305 says.
///
/// # Errors
///
/// `Resolve`, or `Connect` with what the last address answered.
pub async fn dial(address: &EndpointAddr) -> Result<Dialed, UpstreamError> {
    let tcp = match address {
        EndpointAddr::Socket(address) => TcpStream::connect(address).await,
        EndpointAddr::Name(name, port) => {
            let addresses =
                tokio::net::lookup_host((&**name, *port)).await.map_err(UpstreamError::Resolve)?;
            connect_to_any(addresses.collect()).await
        }
        EndpointAddr::Unix(path) => {
            let unix = UnixStream::connect(path).await.map_err(UpstreamError::Connect)?;
            return Ok(Dialed::Unix(unix));
        }
    };
    let tcp = tcp.map_err(UpstreamError::Connect)?;
    // Heads and short bodies must not wait for the acknowledgement of the packet before.
    tcp.set_nodelay(true).map_err(UpstreamError::Connect)?;
    Ok(Dialed::Tcp(tcp))
}

/// The first connection of several addresses: the next address is tried when the one before has
/// failed, or has not answered for a while.
async fn connect_to_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if let [address] = addresses[..] {
        return TcpStream::connect(address).await;
    }
    let mut addresses = interleaved(addresses).into_iter().peekable();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    // Those that are still at it when one has succeeded end with the set.
    let mut attempts = JoinSet::new();
    loop {
        if let Some(address) = addresses.next() {
            attempts.spawn(TcpStream::connect(address));
        }
        let next_is_due = tokio::time::sleep(ATTEMPT_DELAY);
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(tcp))) => return Ok(tcp),
                Some(Ok(Err(error))) => last = error,
                Some(Err(_)) => {}
                None => return Err(last),
            },
            () = next_is_due, if addresses.peek().is_some() => {}
        }
    }
}

/// One family after the other in turn, beginning with the resolver's first (RFC 8305, section 4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_ipv6);
    let mut all = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let before = all.len();
        all.extend(first.next());
        all.extend(second.next());
        if all.len() == before {
            return all;
        }
    }
}

impl AsyncRead for Dialed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Self::Unix(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Dialed {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write(cx, buf),
            Self::Unix(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Unix(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Self::Unix(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

/// RFC 8305, section 5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |text: &str| text.parse().unwrap();
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(parse).to_vec();
        let expected = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(parse).to_vec();
        assert_eq!(interleaved(addresses), expected);
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_followed_by_the_next() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there_address = there.local_addr().unwrap();
        let tcp = connect_to_any(vec![gone, there_address]).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), there_address);
        let refused = connect_to_any(vec![gone, gone]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let none = connect_to_any(Vec::new()).await.unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }
}
