//! The PROXY protocol: who a connection is from, said in its first bytes.
//!
//! Bytes to addresses (versions 1 and 2) and back (version 2); nothing else. Must not know sockets, nor
//! who may be believed. The specification is HAProxy's `doc/proxy-protocol.txt`; sections are cited
//! from there.

mod v1;
mod v2;
mod write;

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::ops::Range;

use thiserror::Error;

pub use crate::proxy_protocol::write::Ssl;
pub use crate::proxy_protocol::write::Tlvs;
pub use crate::proxy_protocol::write::write_local;
pub use crate::proxy_protocol::write::write_v2;

/// A whole header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// Bytes that it took; what follows is the connection's own.
    pub len: usize,
    /// What the sender says that the connection is.
    pub command: Command,
    /// Who connected to the sender. `None`: not said (UNKNOWN, LOCAL, a Unix socket); the connection's
    /// own addresses hold then.
    pub source: Option<SocketAddr>,
    /// Where to. There exactly when the source is.
    pub destination: Option<SocketAddr>,
    /// Where the type-length-value vectors are.
    tlvs: Range<usize>,
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    /// The sender's own: a health check, for example.
    Local,
    /// Someone else's.
    Proxy,
}

/// Looks for a header at the beginning of `bytes`, which may be more or less than it.
///
/// `Continue(needed)` says how many bytes of the connection must be there for an answer, at least:
/// more than there are, and never more than belong to the header.
///
/// # Errors
///
/// When these bytes cannot become a header, whatever follows them.
pub fn parse(bytes: &[u8]) -> Result<ControlFlow<Header, usize>, HeaderError> {
    if begins_alike(bytes, &v2::SIGNATURE) && !bytes.is_empty() {
        v2::parse(bytes)
    } else if begins_alike(bytes, v1::SIGNATURE) {
        v1::parse(bytes)
    } else {
        Err(HeaderError::Absent)
    }
}

impl Header {
    /// The vectors of a version 2 header, as they were sent: type and value. `bytes` are those that the
    /// header was found in.
    pub fn tlvs<'bytes>(
        &self,
        bytes: &'bytes [u8],
    ) -> impl Iterator<Item = (u8, &'bytes [u8])> + use<'bytes> {
        let vectors = bytes.get(self.tlvs.clone()).unwrap_or_default();
        v2::vectors(vectors).map_while(Result::ok)
    }
}

/// Why a connection does not begin with a header that can be believed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HeaderError {
    /// The first bytes are something else.
    #[error("the connection does not begin with a PROXY protocol header")]
    Absent,
    /// Not two addresses and two ports of the family that was named.
    #[error("the addresses of the PROXY protocol header are malformed")]
    Addresses,
    /// A command that the specification does not have.
    #[error("the PROXY protocol header has an unknown command")]
    Command,
    /// A family or protocol that the specification does not have.
    #[error("the PROXY protocol header names an unknown address family or protocol")]
    Family,
    /// Longer than a header may be.
    #[error("the PROXY protocol header is too long")]
    Length,
    /// A vector that is longer than what is left of the header.
    #[error("a vector of the PROXY protocol header is longer than the header")]
    Vector,
    /// Neither version 1 nor version 2.
    #[error("the version of the PROXY protocol header is unknown")]
    Version,
}

impl HeaderError {
    /// One stable word for logs, metrics and tests.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Absent => "proxy_header_absent",
            Self::Addresses => "proxy_header_addresses",
            Self::Command => "proxy_header_command",
            Self::Family => "proxy_header_family",
            Self::Length => "proxy_header_length",
            Self::Vector => "proxy_header_vector",
            Self::Version => "proxy_header_version",
        }
    }
}

/// Types of vectors (section 2.2).
pub mod tlv {
    /// The protocol that ALPN agreed on.
    pub const ALPN: u8 = 0x01;
    /// The name that the client asked for.
    pub const AUTHORITY: u8 = 0x02;
    /// What TLS agreed on: flags, a verification result, and vectors of its own.
    pub const SSL: u8 = 0x20;
    /// In [`SSL`]: the version, such as `TLSv1.3`.
    pub const SSL_VERSION: u8 = 0x21;
    /// In [`SSL`]: the common name of the client's certificate.
    pub const SSL_COMMON_NAME: u8 = 0x22;
    /// In [`SSL`]: the cipher suite.
    pub const SSL_CIPHER: u8 = 0x23;
}

/// Whether one of them begins with the other.
fn begins_alike(bytes: &[u8], signature: &[u8]) -> bool {
    let shared = bytes.len().min(signature.len());
    bytes[..shared] == signature[..shared]
}

#[cfg(test)]
mod tests;
