//! A handshake that failed: its reason, and what was the matter.

use std::io;

use thiserror::Error;

use crate::tls::reason::Reason;
use crate::tls::refusal::Refusal;

/// Why a handshake did not finish. Where the client can still hear it, it has been told.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The connection broke.
    #[error("the connection was closed during the handshake: {0}")]
    Io(#[source] io::Error),
    /// The TLS library ended it.
    #[error("{0}")]
    Library(#[source] rustls::Error),
    /// The chooser refused before anything was sent.
    #[error("{0}")]
    Refused(#[source] Refusal),
    /// The deadline of the caller passed.
    #[error("the handshake took too long")]
    TimedOut,
}

impl HandshakeError {
    /// The reason for logs and metrics.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Io(_) => Reason::Eof,
            Self::Library(error) => Reason::of(error),
            Self::Refused(refusal) => refusal.reason,
            Self::TimedOut => Reason::Timeout,
        }
    }

    /// What was missing or wrong, as a sentence without a full stop.
    pub fn detail(&self) -> String {
        self.to_string()
    }
}

impl From<io::Error> for HandshakeError {
    /// tokio-rustls wraps the errors of the library.
    fn from(error: io::Error) -> Self {
        match error.downcast::<rustls::Error>() {
            Ok(error) => Self::Library(error),
            Err(error) => Self::Io(error),
        }
    }
}
