//! Why a policy refuses a connection or a request.

use thiserror::Error;

use crate::service::policy::path::Ambiguous;
use crate::service::policy::rate::Over;

/// A connection that is closed before its handshake costs anything.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Denial {
    /// `allow` and `deny`.
    #[error("clients from this address are not served")]
    Address,
    /// `rate_limits` of connections.
    #[error("too many connections")]
    ConnectionRate,
    /// `handshakes`, of the service or the process.
    #[error("too many handshakes are under way")]
    HandshakeLimit,
    /// `handshakes_per_second`, of the service or the process.
    #[error("too many handshakes in this second")]
    HandshakeRate,
}

/// A request that is answered here with an error.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Refusal {
    /// `allow` and `deny`: 403.
    #[error("clients from this address are not served")]
    Address,
    /// Rules and endpoints might read its path differently: 400.
    #[error(transparent)]
    BadPath(#[from] Ambiguous),
    /// `request_body`: 413.
    #[error("the request body is too large")]
    BodyTooLarge,
    /// `rate_limits` of requests: 429.
    #[error("too many requests")]
    RateLimited(Over),
}

impl Denial {
    /// One stable word: metric label and log field.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Address => "address_denied",
            Self::ConnectionRate => "connection_rate_limited",
            Self::HandshakeLimit => "handshake_limit",
            Self::HandshakeRate => "handshake_rate",
        }
    }
}

impl Refusal {
    /// One stable word: metric label and log field.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Address => "address_denied",
            Self::BadPath(_) => "bad_path",
            Self::BodyTooLarge => "request_body_too_large",
            Self::RateLimited(_) => "rate_limited",
        }
    }
}
