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
    /// A field that concerns one connection, over HTTP/2 (RFC 9113, section 8.2.2).
    #[error("HTTP/2 has no fields about the connection")]
    ConnectionField,
    /// A field's value with blanks around it, over HTTP/2 (RFC 9113, section 8.2.1).
    #[error("a field's value begins or ends with a blank")]
    FieldValue,
    /// Not exactly one host, or not a host.
    #[error("the request needs exactly one valid Host")]
    Host,
    /// Host says something else than the target.
    #[error("Host and the request's target name different hosts")]
    HostConflict,
    /// More than one length of one body, or one that is no plain number.
    #[error("a request has one length, a plain number")]
    Length,
    /// CONNECT or TRACE, in any spelling.
    #[error("this method is not served")]
    Method,
    /// Extended CONNECT (RFC 8441) to anything but WebSocket.
    #[error("this protocol is not served")]
    Protocol,
    /// Neither a path, nor `*` with OPTIONS.
    #[error("the request's target is not a path")]
    Target,
    /// Anything but exactly `chunked`, or beside a length, or not over HTTP/1.1.
    #[error("the only transfer coding is chunked, alone and over HTTP/1.1")]
    TransferCoding,
    /// A field with an underscore in its name, where the service wants none.
    #[error("a field has an underscore in its name")]
    UnderscoreField,
    /// It asks to switch protocols, and has a body.
    #[error("a request with a body cannot switch protocols")]
    UpgradeWithBody,
}

impl Rejection {
    /// One stable word: metric label and log field.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ConnectionField => "connection_field",
            Self::FieldValue => "bad_field",
            Self::Host => "bad_host",
            Self::HostConflict => "host_conflict",
            Self::Length => "bad_length",
            Self::Method => "method_not_allowed",
            Self::Protocol => "protocol_not_served",
            Self::Target => "bad_target",
            Self::TransferCoding => "bad_transfer_coding",
            Self::UnderscoreField => "underscore_field",
            Self::UpgradeWithBody => "upgrade_with_body",
        }
    }
}

impl ForwardError {
    /// One stable word: metric label and log field.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::HostMismatch => "host_mismatch",
            Self::NoPool => "no_pool",
            Self::Refused(refusal) => refusal.reason(),
            Self::Rejected(rejection) => rejection.reason(),
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
            Self::Rejected(_) => StatusCode::BAD_REQUEST,
            Self::Upstream(error) => error.status(),
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

    /// Whether an HTTP/1.1 connection ends with the answer: after a request that is none, or whose end
    /// may be understood in two ways, nothing that follows can be trusted.
    pub fn closes(&self) -> bool {
        match self {
            // A whole and clear request, for somebody else.
            Self::HostMismatch => false,
            // Nobody waits for the rest of a body that is too large.
            Self::Refused(refusal) => *refusal == Refusal::BodyTooLarge,
            Self::NoPool | Self::Rejected(_) => true,
            Self::Upstream(error) => error.side() == Side::Client,
        }
    }
}
