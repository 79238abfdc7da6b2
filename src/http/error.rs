//! Why a request was not served as it was meant.

use http::StatusCode;
use thiserror::Error;

use crate::service::policy::Refusal;
use crate::upstream::Side;
use crate::upstream::UpstreamError;

/// What stopped a request before a response came.
#[derive(Debug, Error)]
pub enum ForwardError {
    /// The host is not one of the selected service's (SPEC VS-6).
    #[error("this connection was made for another host")]
    HostMismatch,
    /// The service has neither pool nor answer.
    #[error("nothing is served here")]
    NoPool,
    /// The service's policy does not let it pass.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request is not one that a proxy may pass on.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The pool did not answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Rejection {
    /// Not exactly one host, or not a host.
    #[error("the request needs exactly one valid Host")]
    Host,
    /// Host says something else than the target.
    #[error("Host and the request's target name different hosts")]
    HostConflict,
    /// More than one length of one body.
    #[error("a request has one length")]
    Length,
    /// CONNECT or TRACE.
    #[error("this method is not served")]
    Method,
    /// Extended CONNECT (RFC 8441) to anything but WebSocket.
    #[error("this protocol is not served")]
    Protocol,
    /// Neither a path, nor `*` with OPTIONS.
    #[error("the request's target is not a path")]
    Target,
    /// Anything but exactly `chunked`.
    #[error("the only transfer coding is chunked")]
    TransferCoding,
}

impl ForwardError {
    /// One stable word: metric label and log field.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::HostMismatch => "host_mismatch",
            Self::NoPool => "no_pool",
            Self::Refused(refusal) => refusal.reason(),
            Self::Rejected(Rejection::Host) => "bad_host",
            Self::Rejected(Rejection::HostConflict) => "host_conflict",
            Self::Rejected(Rejection::Length) => "bad_length",
            Self::Rejected(Rejection::Method) => "method_not_allowed",
            Self::Rejected(Rejection::Protocol) => "protocol_not_served",
            Self::Rejected(Rejection::Target) => "bad_target",
            Self::Rejected(Rejection::TransferCoding) => "bad_transfer_coding",
            Self::Upstream(error) => error.reason(),
        }
    }

    /// What the client gets.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::HostMismatch => StatusCode::MISDIRECTED_REQUEST,
            Self::NoPool => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused(Refusal::Address) => StatusCode::FORBIDDEN,
            Self::Refused(Refusal::BadPath(_)) => StatusCode::BAD_REQUEST,
            Self::Refused(Refusal::BodyTooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Refused(Refusal::RateLimited(_)) => StatusCode::TOO_MANY_REQUESTS,
            Self::Rejected(Rejection::Method) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Rejected(Rejection::Protocol) => StatusCode::NOT_IMPLEMENTED,
            Self::Rejected(
                Rejection::Host
                | Rejection::HostConflict
                | Rejection::Length
                | Rejection::Target
                | Rejection::TransferCoding,
            ) => StatusCode::BAD_REQUEST,
            Self::Upstream(error) => error.status(),
        }
    }

    /// Whose doing it is.
    pub fn side(&self) -> Side {
        match self {
            Self::HostMismatch | Self::Refused(_) | Self::Rejected(_) => Side::Client,
            Self::NoPool => Side::Proxy,
            Self::Upstream(error) => error.side(),
        }
    }

    /// Whether nothing of the request was sent to an endpoint.
    pub fn unsent(&self) -> bool {
        match self {
            // Of a body that grew too large a part was sent.
            Self::Refused(refusal) => *refusal != Refusal::BodyTooLarge,
            Self::HostMismatch | Self::NoPool | Self::Rejected(_) => true,
            Self::Upstream(error) => error.unsent(),
        }
    }

    /// After how many seconds the client may come again, where that is all that is left.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Refused(Refusal::RateLimited(over)) => Some(over.seconds()),
            Self::HostMismatch | Self::NoPool | Self::Refused(_) | Self::Rejected(_) => None,
            Self::Upstream(error) => error.retry_after(),
        }
    }

    /// Whether an HTTP/1.1 connection ends with the answer: after a request whose end may be
    /// understood in two ways, nothing that follows can be trusted.
    pub fn closes(&self) -> bool {
        match self {
            Self::HostMismatch | Self::Rejected(Rejection::Method) => false,
            // Nobody waits for the rest of a body that is too large.
            Self::Refused(refusal) => *refusal == Refusal::BodyTooLarge,
            Self::NoPool | Self::Rejected(_) => true,
            Self::Upstream(error) => error.side() == Side::Client,
        }
    }
}
