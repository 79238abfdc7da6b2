//! HPACK (RFC 7541): the fields of a head as a block of bytes.
//!
//! [`decoder`] reads what a peer sends, with the dynamic table that the peer fills. [`encoder`] writes
//! without one. A block that cannot be decoded is [`Broken`] and ends the connection, because nothing
//! after it can be decoded either. A field that HTTP/2 does not allow is [`Malformed`] and ends its
//! stream only. Pure; must not know frames.

pub mod decoder;
pub mod encoder;
#[cfg(test)]
mod examples;
mod huffman;
mod integer;
#[cfg(test)]
mod properties;
mod static_table;
mod table;

use std::fmt;

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;

/// One field of a block.
#[derive(Clone, Eq, PartialEq)]
pub enum Field {
    /// A pseudo-header field (RFC 9113, section 8.3). Its value has no byte that no field may have; what
    /// else must hold of it is not looked at.
    Pseudo(Pseudo, Bytes),
    /// Any other field. There may be whitespace at the ends of its value. The value is sensitive if the
    /// block says that it is never to be indexed (RFC 7541, section 6.2.3).
    Regular(HeaderName, HeaderValue),
    /// One that makes its message malformed (RFC 9113, section 8.1.1).
    Malformed(Malformed),
}

/// The pseudo-header fields that there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pseudo {
    /// `:authority`
    Authority,
    /// `:method`
    Method,
    /// `:path`
    Path,
    /// `:protocol` of an extended CONNECT (RFC 8441, section 4).
    Protocol,
    /// `:scheme`
    Scheme,
    /// `:status`, which no request has.
    Status,
}

/// The name of a field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Name {
    /// One that begins with a colon.
    Pseudo(Pseudo),
    /// Any other.
    Regular(HeaderName),
}

/// What is wrong with a field (RFC 9113, section 8.2.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Malformed {
    /// Its name is no token in lower case.
    Name,
    /// Its name begins with a colon, and is no [`Pseudo`].
    Pseudo,
    /// The value of this field has a control character, or, if it is a pseudo-header field, whitespace at
    /// one of its ends.
    Value(Name),
}

/// Why a block cannot be decoded: the connection's error COMPRESSION_ERROR.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Broken {
    /// It ends within a field.
    Truncated,
    /// An integer is longer than any that is needed (RFC 7541, section 5.1).
    Integer,
    /// There is no entry with this index (section 2.3.3).
    Index,
    /// A string is no Huffman code, or ends in the wrong padding (section 5.2).
    Huffman,
    /// The dynamic table is to be larger than it may be, or changes behind a field (sections 4.2 and 6.3).
    SizeUpdate,
}

impl fmt::Debug for Field {
    /// Values are left out: some of them are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pseudo(name, _) => f.debug_tuple("Pseudo").field(name).finish(),
            Self::Regular(name, _) => f.debug_tuple("Regular").field(name).finish(),
            Self::Malformed(malformed) => f.debug_tuple("Malformed").field(malformed).finish(),
        }
    }
}

/// What each field counts beside its name and its value (RFC 7541, section 4.1; RFC 9113, section 6.5.2).
const OVERHEAD: usize = 32;
