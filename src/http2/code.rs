//! Why a stream or a connection ends: the codes that RST_STREAM and GOAWAY carry (RFC 9113, section 7), and
//! what whoever uses a stream is told.

use std::fmt;

use thiserror::Error;

/// An error code, known or not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Code(pub u32);

impl Code {
    /// Nothing is wrong.
    pub const NO_ERROR: Self = Self(0);
    /// A breach of the protocol that has no code of its own.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// The sender's own trouble.
    pub const INTERNAL_ERROR: Self = Self(2);
    /// More was sent than there was room for.
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    /// Something came on a stream that had ended.
    pub const STREAM_CLOSED: Self = Self(5);
    /// A frame has not the length that it should have.
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    /// Nothing was done with the stream: it may be tried again.
    pub const REFUSED_STREAM: Self = Self(7);
    /// Nobody wants the stream any more.
    pub const CANCEL: Self = Self(8);
    /// The state of the compression of fields is lost.
    pub const COMPRESSION_ERROR: Self = Self(9);
    /// The other side does too much of something.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::NO_ERROR => "NO_ERROR",
            Self::PROTOCOL_ERROR => "PROTOCOL_ERROR",
            Self::INTERNAL_ERROR => "INTERNAL_ERROR",
            Self::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
            Self::STREAM_CLOSED => "STREAM_CLOSED",
            Self::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
            Self::REFUSED_STREAM => "REFUSED_STREAM",
            Self::CANCEL => "CANCEL",
            Self::COMPRESSION_ERROR => "COMPRESSION_ERROR",
            Self::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
            Self(other) => return write!(f, "code {other}"),
        };
        f.write_str(name)
    }
}

/// Why a stream ended before its end.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum StreamError {
    /// The connection is gone.
    #[error("the connection is gone")]
    Gone,
    /// A response has a field that HTTP/2 does not know (RFC 9113, section 8.2.2).
    #[error("a field that HTTP/2 does not know")]
    Malformed,
    /// The client reset it.
    #[error("the client reset the stream: {0}")]
    Reset(Code),
    /// It was reset by us.
    #[error("the stream was reset: {0}")]
    Stopped(Code),
}
