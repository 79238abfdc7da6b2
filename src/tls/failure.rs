//! A handshake that failed: its reason, and what was the matter.

use std::io;

use thiserror::Error;

use crate::hsm::SignError;
use crate::tls::reason::Reason;
use crate::tls::refusal::Refusal;
use crate::tls::stream::Failure;

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
    /// The token that the key is in made no signature.
    #[error("{0}")]
    Signing(#[source] SignError),
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
            Self::Signing(SignError::Late { .. }) => Reason::SigningTimeout,
            Self::Signing(SignError::QueueFull { .. }) => Reason::SigningQueueFull,
            Self::Signing(_) => Reason::SigningFailed,
            Self::TimedOut => Reason::Timeout,
        }
    }

    /// What was missing or wrong, as a sentence without a full stop.
    pub fn detail(&self) -> String {
        self.to_string()
    }
}

impl From<Failure> for HandshakeError {
    /// The library wraps the errors of a signer.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Io(error) => Self::Io(error),
            Failure::Tls(rustls::Error::Other(other)) => {
                match other.0.downcast_ref::<SignError>() {
                    Some(error) => Self::Signing(error.clone()),
                    None => Self::Library(rustls::Error::Other(other)),
                }
            }
            Failure::Tls(error) => Self::Library(error),
        }
    }
}
