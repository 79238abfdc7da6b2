//! Why a request did not get a response from a pool.

use std::io;
use std::time::Duration;

use http::StatusCode;
use thiserror::Error;

use crate::http2::StreamError;
use crate::upstream::connection_error::BadResponse;
use crate::upstream::connection_error::ConnectionError;
use crate::upstream::piped::BodyFault;

/// A failed attempt, or the last of several.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// The health checks call all endpoints down; none can be up again before this time.
    #[error("all endpoints of the pool are down")]
    AllDown(Duration),
    /// The client's request body broke off or was malformed while it was being sent on.
    #[error(transparent)]
    ClientBody(BodyFault),
    /// The client stopped sending its request body for `first_byte_timeout`.
    #[error("the client sent nothing of its request body for {0:?}")]
    ClientBodyTimeout(Duration),
    /// The endpoint closed the connection before the head of a response.
    #[error("the endpoint closed the connection without a response: {0}")]
    Closed(#[from] ConnectionError),
    /// It switched protocols (101), but not to what it was asked for.
    #[error("the endpoint switched to another protocol than it was asked for")]
    BadSwitch,
    /// The TCP connection failed.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// Connecting, TLS included, took longer than `connect_timeout`.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// No head of a response within `first_byte_timeout`.
    #[error("no response within {0:?}")]
    FirstByteTimeout(Duration),
    /// What came is not an HTTP response, or its head is too large.
    #[error("the response is malformed: {0}")]
    InvalidResponse(#[from] BadResponse),
    /// More interim responses (1xx) than anybody can mean.
    #[error("the endpoint floods with interim responses")]
    InterimFlood,
    /// A status that HTTP does not know: 600 and above.
    #[error("the response has the status {0}, which is none")]
    InvalidStatus(u16),
    /// The response has a length and a transfer coding.
    #[error("the response has both a length and a transfer coding")]
    LengthAndCoding,
    /// The pool has no endpoint that was not tried.
    #[error("the pool has no endpoint")]
    NoEndpoint,
    /// A WebSocket for endpoints that are spoken to in HTTP/2 with prior knowledge.
    #[error("the pool's protocol has no WebSocket")]
    NoWebSocket,
    /// The HTTP/2 preface failed, or the endpoint did not agree to HTTP/2.
    #[error("the endpoint does not speak the pool's protocol")]
    Protocol(#[source] Option<hyper::Error>),
    /// As many requests wait for the pool as may.
    #[error("all endpoints have in flight what they may, and as many wait as may")]
    QueueFull,
    /// No endpoint had room for it in time.
    #[error("no endpoint had room within {0:?}")]
    QueueTimeout(Duration),
    /// The endpoint's name does not resolve.
    #[error("cannot resolve the endpoint's name: {0}")]
    Resolve(#[source] io::Error),
    /// The response has a transfer coding other than `chunked`, or one over HTTP/1.0.
    #[error("the response has a transfer coding that nobody asked for")]
    ResponseCoding,
    /// The response has several lengths, or one that is no number.
    #[error("the response's length is not one number")]
    ResponseLength,
    /// The TLS handshake failed; the endpoint's certificate may not verify.
    #[error("TLS with the endpoint failed: {0}")]
    Tls(#[source] io::Error),
    /// The server name to send is not a name.
    #[error("the pool's server name is not a name")]
    TlsName,
    /// A switch of protocols that nobody asked for (101).
    #[error("the endpoint switched protocols without being asked")]
    UnaskedSwitch,
}

/// Why a body broke off.
#[derive(Debug, Error)]
pub enum BodyError {
    /// An endpoint reset a stream before its end, with a reason that sounds like one.
    #[error("the endpoint cancelled its response")]
    Cancelled,
    /// The client did not send it as it should.
    #[error(transparent)]
    Client(BodyFault),
    /// The connection that it came over, or what came over it.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The endpoint was silent for too long in the middle of a response.
    #[error("nothing of the response for {0:?}")]
    Silent(Duration),
    /// The client's stream.
    #[error(transparent)]
    Stream(StreamError),
    /// More of a request than the service takes.
    #[error("the request body is too large")]
    TooLarge,
}

impl BodyError {
    /// One stable word for a response that broke off: metric label and log field.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Silent(_) => "response_body_timeout",
            Self::TooLarge => "request_body_too_large",
            Self::Client(fault) => fault.reason(),
            Self::Cancelled | Self::Connection(_) | Self::Stream(_) => "upstream_truncated",
        }
    }
}

/// Whose doing a failure is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The client sent what cannot be served, or went away.
    Client,
    /// The proxy itself, by its configuration.
    Proxy,
    /// An endpoint.
    Upstream,
}

impl UpstreamError {
    /// One stable word: metric label and log field.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ClientBody(fault) => fault.reason(),
            Self::ClientBodyTimeout(_) => "client_body_timeout",
            // TLS 1.3: a server that wants a client certificate says so after the handshake.
            Self::Closed(error) if error.is_tls() => "upstream_tls_failed",
            Self::Closed(_) => "upstream_closed",
            Self::Connect(error) if is_refused(error) => "connect_refused",
            Self::Connect(_) => "connect_failed",
            Self::ConnectTimeout(_) => "connect_timeout",
            Self::FirstByteTimeout(_) => "first_byte_timeout",
            Self::InvalidResponse(error) => error.reason(),
            Self::InvalidStatus(_) => "invalid_status",
            Self::LengthAndCoding => "length_and_coding",
            Self::AllDown(_) | Self::NoEndpoint => "no_endpoint",
            Self::InterimFlood => "interim_flood",
            Self::BadSwitch => "bad_switch",
            Self::NoWebSocket => "no_websocket",
            Self::Protocol(_) => "upstream_protocol",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout(_) => "queue_timeout",
            Self::Resolve(_) => "resolve_failed",
            Self::ResponseCoding => "bad_response_coding",
            Self::ResponseLength => "bad_response_length",
            Self::Tls(_) => "upstream_tls_failed",
            Self::TlsName => "upstream_tls_name",
            Self::UnaskedSwitch => "unasked_switch",
        }
    }

    /// What the client gets.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ClientBody(fault) if fault.is_late() => StatusCode::REQUEST_TIMEOUT,
            Self::ClientBody(_) => StatusCode::BAD_REQUEST,
            Self::ClientBodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::ConnectTimeout(_) | Self::FirstByteTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::AllDown(_) | Self::NoEndpoint | Self::QueueFull | Self::QueueTimeout(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::BadSwitch
            | Self::Closed(_)
            | Self::Connect(_)
            | Self::InterimFlood
            | Self::InvalidResponse(_)
            | Self::InvalidStatus(_)
            | Self::LengthAndCoding
            | Self::NoWebSocket
            | Self::Protocol(_)
            | Self::Resolve(_)
            | Self::ResponseCoding
            | Self::ResponseLength
            | Self::Tls(_)
            | Self::TlsName
            | Self::UnaskedSwitch => StatusCode::BAD_GATEWAY,
        }
    }

    /// After how many seconds it may go better, where all that is left is to come again (RFC 9110,
    /// section 10.2.3).
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::AllDown(after) => {
                let seconds = after.as_millis().div_ceil(1000).max(1);
                Some(u64::try_from(seconds).unwrap_or(u64::MAX))
            }
            Self::NoEndpoint | Self::QueueFull | Self::QueueTimeout(_) => Some(1),
            _ => None,
        }
    }

    /// Whose doing it is.
    pub fn side(&self) -> Side {
        match self {
            Self::ClientBody(_) | Self::ClientBodyTimeout(_) => Side::Client,
            Self::NoEndpoint
            | Self::NoWebSocket
            | Self::QueueFull
            | Self::QueueTimeout(_)
            | Self::TlsName => Side::Proxy,
            Self::AllDown(_)
            | Self::BadSwitch
            | Self::Closed(_)
            | Self::Connect(_)
            | Self::ConnectTimeout(_)
            | Self::FirstByteTimeout(_)
            | Self::InterimFlood
            | Self::InvalidResponse(_)
            | Self::InvalidStatus(_)
            | Self::LengthAndCoding
            | Self::Protocol(_)
            | Self::Resolve(_)
            | Self::ResponseCoding
            | Self::ResponseLength
            | Self::Tls(_)
            | Self::UnaskedSwitch => Side::Upstream,
        }
    }

    /// Whether it failed before any of the request was sent: another endpoint may be tried,
    /// whatever the method.
    pub fn unsent(&self) -> bool {
        match self {
            Self::AllDown(_)
            | Self::Connect(_)
            | Self::ConnectTimeout(_)
            | Self::NoEndpoint
            | Self::NoWebSocket
            | Self::Protocol(_)
            | Self::QueueFull
            | Self::QueueTimeout(_)
            | Self::Resolve(_)
            | Self::Tls(_)
            | Self::TlsName => true,
            Self::BadSwitch
            | Self::ClientBody(_)
            | Self::ClientBodyTimeout(_)
            | Self::Closed(_)
            | Self::FirstByteTimeout(_)
            | Self::InterimFlood
            | Self::InvalidResponse(_)
            | Self::InvalidStatus(_)
            | Self::LengthAndCoding
            | Self::ResponseCoding
            | Self::ResponseLength
            | Self::UnaskedSwitch => false,
        }
    }

    /// Whether another attempt makes sense for a request that may be repeated.
    ///
    /// A response that came too late or malformed is the endpoint's answer to this request: asking
    /// another endpoint would double the load of an overloaded pool.
    pub fn may_repeat(&self) -> bool {
        self.unsent() || matches!(self, Self::Closed(_))
    }
}

impl From<hyper::Error> for UpstreamError {
    /// Classifies what hyper says about a request that was handed to an HTTP/2 connection.
    fn from(error: hyper::Error) -> Self {
        if error.is_user() {
            // Which of them, the body has noted.
            Self::ClientBody(BodyFault::BrokenOff)
        } else if error.is_parse() {
            Self::InvalidResponse(BadResponse::Http2(error))
        } else {
            Self::Closed(ConnectionError::Http2(error))
        }
    }
}

fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}
