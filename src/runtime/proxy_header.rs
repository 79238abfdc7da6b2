//! The PROXY protocol header that a connection begins with (SPEC PX-3), and what is known of a
//! connection's two ends after it.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::ops::ControlFlow;

use thiserror::Error;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::names::ClientAddr;
use crate::proxy_protocol;
use crate::proxy_protocol::Header;
use crate::proxy_protocol::HeaderError;

/// Both ends of a connection, as they are believed to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ends {
    /// Where the client is.
    pub client: ClientAddr,
    /// Who really connected, where a header says that it is not the client.
    pub peer: Option<IpAddr>,
    /// The address that the client connected to.
    pub local: SocketAddr,
}

impl Ends {
    /// The connection's own addresses. `listens_on` is what the listener is bound to, if that is one
    /// address; else the socket is asked.
    pub fn of(stream: &TcpStream, client: ClientAddr, listens_on: Option<SocketAddr>) -> Self {
        // A socket whose peer has reset it knows no address.
        let local = listens_on.unwrap_or_else(|| stream.local_addr().unwrap_or(UNKNOWN));
        Self { client, peer: None, local }
    }

    /// What a header says; it may say nothing (LOCAL, UNKNOWN).
    fn told_by(self, header: &Header) -> Self {
        let (Some(source), Some(destination)) = (header.source, header.destination) else {
            return self;
        };
        let canonical =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self {
            client: ClientAddr(canonical(source)),
            peer: Some(self.client.0.ip()),
            local: canonical(destination),
        }
    }
}

/// Reads a header, and gives back what it says and the bytes behind it that came along. Has no
/// deadline of its own.
///
/// # Errors
///
/// When the connection does not begin with a header, or it says nothing that can be understood.
pub async fn read<IO>(io: &mut IO, ends: Ends) -> Result<(Ends, Vec<u8>), NoHeader>
where
    IO: AsyncRead + Unpin,
{
    let mut bytes = Vec::with_capacity(WITH_HELLO);
    loop {
        if io.read_buf(&mut bytes).await.map_err(NoHeader::Io)? == 0 {
            return Err(if bytes.is_empty() { NoHeader::Closed } else { NoHeader::Truncated });
        }
        match proxy_protocol::parse(&bytes) {
            Ok(ControlFlow::Continue(_)) => {}
            Ok(ControlFlow::Break(header)) => {
                bytes.drain(..header.len);
                return Ok((ends.told_by(&header), bytes));
            }
            Err(HeaderError::Absent) => return Err(NoHeader::Missing),
            Err(error) => return Err(NoHeader::Malformed(error)),
        }
    }
}

/// Why there is no header.
#[derive(Debug, Error)]
pub enum NoHeader {
    /// Gone without a byte, as health checks of load balancers do.
    #[error("the connection was closed before anything was sent")]
    Closed,
    /// Reading failed.
    #[error("reading failed: {0}")]
    Io(#[source] io::Error),
    /// Something that began like a header.
    #[error("{0}")]
    Malformed(HeaderError),
    /// Something else.
    #[error("the connection does not begin with a PROXY protocol header")]
    Missing,
    /// No whole header in time.
    #[error("no PROXY protocol header came in time")]
    TimedOut,
    /// The connection ended within the header.
    #[error("the connection was closed within the PROXY protocol header")]
    Truncated,
}

impl NoHeader {
    /// One stable word: metric label and log field.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Closed | Self::Io(_) => "eof",
            Self::Malformed(_) | Self::Truncated => "proxy_header_malformed",
            Self::Missing | Self::TimedOut => "proxy_header_missing",
        }
    }
}

/// The address of a socket whose peer has reset it.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A header and the ClientHello behind it: one read and one allocation.
const WITH_HELLO: usize = 2560;
