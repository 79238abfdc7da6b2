//! Reads the ClientHello from a connection, keeping the bytes for the TLS library.

use std::io;
use std::ops::ControlFlow;

use thiserror::Error;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;

use crate::tls::alert::Alert;
use crate::tls::hello::ClientHello;
use crate::tls::hello::Locator;
use crate::tls::reason::Reason;

/// A ClientHello, parsed and as it came.
#[derive(Clone, Debug)]
pub struct Hello {
    /// What the client offers.
    pub offer: ClientHello,
    /// All that was read so far; there may be a little more than the ClientHello.
    pub bytes: Vec<u8>,
}

/// Reads until the ClientHello is complete. Has no deadline of its own.
pub async fn read_hello<IO>(io: &mut IO) -> Result<Hello, HelloError>
where
    IO: AsyncRead + Unpin,
{
    read_hello_after(io, Vec::new()).await
}

/// The same where the first bytes have been read already.
pub async fn read_hello_after<IO>(io: &mut IO, mut bytes: Vec<u8>) -> Result<Hello, HelloError>
where
    IO: AsyncRead + Unpin,
{
    bytes.reserve(TYPICAL_HELLO.saturating_sub(bytes.len()));
    let mut locator = Locator::default();
    let mut needed = 1;
    let offer = loop {
        while bytes.len() < needed {
            if io.read_buf(&mut bytes).await.map_err(HelloError::Io)? == 0 {
                return Err(if bytes.is_empty() {
                    HelloError::Closed
                } else {
                    HelloError::Truncated
                });
            }
        }
        match bytes[0] {
            HANDSHAKE => {}
            _ if is_http(&bytes) => return Err(HelloError::PlainHttp),
            _ => return Err(HelloError::NotTls),
        }
        needed = match locator.advance(&bytes)? {
            ControlFlow::Break(body) => break ClientHello::of_body(&body)?,
            ControlFlow::Continue(needed) if needed > MAX_HELLO => {
                return Err(HelloError::TooLarge);
            }
            ControlFlow::Continue(needed) => needed,
        };
    };
    Ok(Hello { offer, bytes })
}

/// Why there is no ClientHello.
#[derive(Debug, Error)]
pub enum HelloError {
    /// The client went away without a byte; health checks and port scanners do.
    #[error("the connection was closed before anything was sent")]
    Closed,
    /// Reading failed.
    #[error("reading failed: {0}")]
    Io(#[source] io::Error),
    /// The records or the message contradict themselves.
    #[error("the ClientHello is malformed: {0}")]
    Malformed(&'static str),
    /// Something else than TLS.
    #[error("the first bytes are not TLS")]
    NotTls,
    /// A request in plain text; it deserves an answer in plain text.
    #[error("plain HTTP was sent to a TLS port")]
    PlainHttp,
    /// Larger than any client needs.
    #[error("the ClientHello is larger than {} KiB", MAX_HELLO / 1024)]
    TooLarge,
    /// The client went away in the middle.
    #[error("the connection was closed within the ClientHello")]
    Truncated,
}

impl HelloError {
    /// The reason for logs and metrics.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Closed | Self::Io(_) | Self::Truncated => Reason::Eof,
            Self::Malformed(_) | Self::TooLarge => Reason::ProtocolViolation,
            Self::NotTls => Reason::NotTls,
            Self::PlainHttp => Reason::PlainHttp,
        }
    }

    /// The alert record to send, where the other side may speak TLS.
    pub fn alert(&self) -> Option<[u8; 7]> {
        match self {
            Self::Malformed(_) | Self::TooLarge => Some(Alert::DecodeError.record()),
            _ => None,
        }
    }
}

/// Whether this is the beginning of a request in plain text, or of HTTP/2 with prior knowledge. A
/// client that sends its first word in pieces is not recognised, which costs it a sentence.
fn is_http(bytes: &[u8]) -> bool {
    METHODS.iter().any(|method| {
        bytes.strip_prefix(method.as_bytes()).is_some_and(|rest| rest.starts_with(b" "))
    })
}

/// RFC 9110, section 9.3, RFC 5789, and the preface of RFC 9113, section 3.4.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"];

const HANDSHAKE: u8 = 22;

/// A hello with a post-quantum share and a ticket; one read and one allocation.
const TYPICAL_HELLO: usize = 2048;

/// The wire bytes of a ClientHello. The TLS library has the same bound.
const MAX_HELLO: usize = 64 * 1024;
