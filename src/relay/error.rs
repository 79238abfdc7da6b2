//! Why a stream ended otherwise than by both ends saying so.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::upstream::UpstreamError;

/// What ended a stream.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The client's connection broke.
    #[error("the client broke the connection: {0}")]
    Client(#[source] io::Error),
    /// No endpoint could be connected to.
    #[error(transparent)]
    Connect(UpstreamError),
    /// The process ended, and its time to drain with it.
    #[error("the proxy stopped")]
    DrainTimeout,
    /// Silence in both directions.
    #[error("nothing moved for {0:?}")]
    Idle(Duration),
    /// The service has no pool.
    #[error("there is no pool to relay to")]
    NoPool,
    /// The client did not read.
    #[error("the client took nothing for {0:?}")]
    Unread(Duration),
    /// The endpoint's connection broke.
    #[error("the endpoint broke the connection: {0}")]
    Upstream(#[source] io::Error),
}

impl StreamError {
    /// One stable word: metric label and log field.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Client(_) => "client_closed",
            Self::Connect(error) => error.reason(),
            Self::DrainTimeout => "drain_timeout",
            Self::Idle(_) => "tunnel_idle",
            Self::NoPool => "no_pool",
            Self::Unread(_) => "client_write_timeout",
            Self::Upstream(_) => "upstream_closed",
        }
    }
}
