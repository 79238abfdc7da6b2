//! What goes wrong on a connection to an endpoint, over either protocol.

use std::error::Error;
use std::io;

use thiserror::Error;

use crate::upstream::http1::decoder::BadBody;
use crate::upstream::http1::head::BadHead;

/// How a connection failed, or what came over it.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// The chunks of a body are none.
    #[error(transparent)]
    Chunks(BadBody),
    /// It was closed.
    #[error("the connection was closed")]
    Ended,
    /// What h2 says.
    #[error(transparent)]
    Http2(hyper::Error),
    /// The socket, or TLS.
    #[error(transparent)]
    Io(io::Error),
}

/// Why a response is none.
#[derive(Debug, Error)]
pub enum BadResponse {
    /// Its head.
    #[error(transparent)]
    Http1(BadHead),
    /// What h2 says.
    #[error(transparent)]
    Http2(hyper::Error),
}

impl ConnectionError {
    /// Whether it is TLS that failed.
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Io(error) => is_tls(error),
            Self::Http2(error) => {
                let first = error as &dyn Error;
                let mut sources = std::iter::successors(Some(first), |error| (*error).source());
                sources.any(|source| source.downcast_ref::<io::Error>().is_some_and(is_tls))
            }
            Self::Chunks(_) | Self::Ended => false,
        }
    }
}

impl BadResponse {
    /// One stable word: metric label and log field.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Http1(BadHead::TooLarge) => "response_head_too_large",
            Self::Http1(BadHead::Status) => "invalid_status",
            Self::Http2(error) if error.is_parse_too_large() => "response_head_too_large",
            Self::Http2(error) if error.is_parse_status() => "invalid_status",
            Self::Http1(_) | Self::Http2(_) => "invalid_response",
        }
    }
}

fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}
