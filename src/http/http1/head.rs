//! The head of a request over HTTP/1.1, from bytes: strict where leniency lets two readers see two
//! different requests (request smuggling). Pure; must not know connections or answers.
//!
//! What a proper head asks for is not judged here but by the gate that all protocols have in common.

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderName;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::Version;
use http::header;
use thiserror::Error;

use crate::config::limits::Limits;
use crate::http::fields;
use crate::message::Fields;
use crate::message::Request;
use crate::upstream::http1::decoder::Framing;
use crate::upstream::http1::line;
use crate::upstream::http1::line::BadLine;
use crate::upstream::http1::line::Lines;

/// A request without its body, and what its head says about the connection.
#[derive(Debug)]
pub struct RequestHead {
    /// Method, target, version and fields, as they came.
    pub request: Request<()>,
    /// Where its body ends.
    pub framing: Framing,
    /// Whether the client wants to use the connection again.
    pub keeps_alive: bool,
    /// Whether it waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Whether it takes trailers (RFC 9110, section 10.1.4).
    pub takes_trailers: bool,
}

/// What is wrong with a head. Nothing that follows it can be trusted: the connection ends.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadHead {
    /// A length that is not one plain number, said once, or one beside a transfer coding.
    #[error("the length is not one plain number")]
    Length,
    /// The request line alone is too long.
    #[error("the request line is too long")]
    LongLine,
    /// Not what RFC 9112 calls a head.
    #[error("this is not a request of HTTP/1.1")]
    Malformed,
    /// A target with characters that no target has.
    #[error("the target is not one")]
    Target,
    /// More fields, or more bytes, than are taken.
    #[error("the head is too large")]
    TooLarge,
    /// Any transfer coding but `chunked`, or one in HTTP/1.0.
    #[error("the only transfer coding is chunked")]
    TransferCoding,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    #[error("this version of HTTP is not spoken here")]
    Version,
}

/// Reads heads, one after the other, from bytes as they come.
#[derive(Debug, Default)]
pub struct Parser {
    lines: Lines,
    /// Bytes of the head so far.
    taken: usize,
    /// An empty line before the head was skipped.
    has_skipped: bool,
    fields: usize,
    request: Option<Request<()>>,
}

/// Takes a request head off a buffer; `None` if it is not complete, which leaves the buffer as it is.
///
/// For bytes that come in pieces there is [`Parser`].
///
/// # Errors
///
/// See [`BadHead`].
pub fn parse(buffer: &mut BytesMut, limits: &Limits) -> Result<Option<RequestHead>, BadHead> {
    let mut tried = buffer.clone();
    let head = Parser::default().parse(&mut tried, limits)?;
    if head.is_some() {
        *buffer = tried;
    }
    Ok(head)
}

impl Parser {
    /// Takes what there is of a head off the buffer; `None` until all of it has come.
    ///
    /// # Errors
    ///
    /// See [`BadHead`]; the same for the same bytes, in whatever pieces they come.
    pub fn parse(
        &mut self,
        buffer: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Option<RequestHead>, BadHead> {
        loop {
            let Some(line) = self.next_line(buffer, limits)? else { return Ok(None) };
            match &mut self.request {
                None if line.is_empty() && !self.has_skipped => self.has_skipped = true,
                None => self.request = Some(request_line(&line)?),
                Some(_) if line.is_empty() => return self.finish().map(Some),
                Some(request) => {
                    self.fields += 1;
                    if self.fields > limits.request_fields {
                        return Err(BadHead::TooLarge);
                    }
                    let (name, value) = line::field(line).ok_or(BadHead::Malformed)?;
                    request.fields_mut().append(name, value);
                }
            }
        }
    }

    fn next_line(
        &mut self,
        buffer: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Option<Bytes>, BadHead> {
        let left = limits.request_head - self.taken;
        let of_line = limits.request_line + CR_LF;
        let (most, too_long) = match self.request {
            None if of_line < left => (of_line, BadHead::LongLine),
            _ => (left, BadHead::TooLarge),
        };
        let line = self.lines.next(buffer, most).map_err(|bad| match bad {
            BadLine::End => BadHead::Malformed,
            BadLine::TooLong => too_long,
        })?;
        self.taken += line.as_ref().map_or(0, |line| line.len() + CR_LF);
        Ok(line)
    }

    fn finish(&mut self) -> Result<RequestHead, BadHead> {
        let request = self.request.take().ok_or(BadHead::Malformed)?;
        *self = Self::default();
        let fields = request.fields();
        let version = request.version();
        Ok(RequestHead {
            framing: framing(fields, version)?,
            keeps_alive: keeps_alive(fields, version),
            expects_continue: version == Version::HTTP_11 && fields::expects_continue(fields),
            takes_trailers: has_word(fields, &header::TE, b"trailers"),
            request,
        })
    }
}

impl BadHead {
    /// One stable word: metric label and log field.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Length => "bad_length",
            Self::LongLine => "request_line_too_long",
            Self::Malformed => "malformed_request",
            Self::Target => "bad_target",
            Self::TooLarge => "request_head_too_large",
            Self::TransferCoding => "bad_transfer_coding",
            Self::Version => "version_not_served",
        }
    }

    /// What the client gets.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Length | Self::Malformed | Self::Target | Self::TransferCoding => {
                StatusCode::BAD_REQUEST
            }
            Self::LongLine => StatusCode::URI_TOO_LONG,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }
}

/// RFC 9112, section 3: three words, each followed by exactly one space or the end.
fn request_line(line: &Bytes) -> Result<Request<()>, BadHead> {
    let method_end = memchr::memchr(b' ', line).ok_or(BadHead::Malformed)?;
    let target_end = memchr::memrchr(b' ', line).ok_or(BadHead::Malformed)?;
    if method_end == target_end {
        return Err(BadHead::Malformed);
    }
    let method = Method::from_bytes(&line[..method_end]).map_err(|_| BadHead::Malformed)?;
    let version = version(&line[target_end + 1..])?;
    let target = line.slice(method_end + 1..target_end);
    // A fragment is never sent (RFC 9110, section 7.1), and would be dropped in silence.
    if target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f || *byte == b'#') {
        return Err(BadHead::Target);
    }
    if target.len() > LONGEST_TARGET {
        return Err(BadHead::LongLine);
    }
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_maybe_shared(target).map_err(|_| BadHead::Target)?;
    *request.version_mut() = version;
    Ok(request)
}

fn version(word: &[u8]) -> Result<Version, BadHead> {
    match word {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(BadHead::Version)
        }
        _ => Err(BadHead::Malformed),
    }
}

/// RFC 9112, section 6.3, without what it lets a server put up with.
fn framing(fields: &Fields, version: Version) -> Result<Framing, BadHead> {
    let has_length = fields.contains(header::CONTENT_LENGTH);
    let mut codings = fields.get_all(header::TRANSFER_ENCODING);
    match (codings.next(), codings.next()) {
        (None, _) if has_length => length(fields),
        (None, _) => Ok(Framing::Empty),
        (Some(coding), None)
            if coding.as_bytes().eq_ignore_ascii_case(b"chunked")
                && version == Version::HTTP_11 =>
        {
            if has_length {
                Err(BadHead::Length)
            } else {
                Ok(Framing::Chunked)
            }
        }
        (Some(_), _) => Err(BadHead::TransferCoding),
    }
}

/// One field, and nothing but digits in it: neither a sign, nor a list, nor leading zeros.
fn length(fields: &Fields) -> Result<Framing, BadHead> {
    let mut lengths = fields.get_all(header::CONTENT_LENGTH);
    let (Some(length), None) = (lengths.next(), lengths.next()) else {
        return Err(BadHead::Length);
    };
    let digits = length.as_bytes();
    let is_plain = digits.iter().all(u8::is_ascii_digit)
        && (1..=MOST_DIGITS).contains(&digits.len())
        && (digits[0] != b'0' || digits.len() == 1);
    if !is_plain {
        return Err(BadHead::Length);
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Ok(if number == 0 { Framing::Empty } else { Framing::Length(number) })
}

/// RFC 9112, section 9.3.
fn keeps_alive(fields: &Fields, version: Version) -> bool {
    let has = |word| has_word(fields, &header::CONNECTION, word);
    match version {
        Version::HTTP_11 => !has(b"close"),
        _ => has(b"keep-alive") && !has(b"close"),
    }
}

fn has_word(fields: &Fields, name: &HeaderName, word: &[u8]) -> bool {
    let values = fields.get_all(name);
    let mut words = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    words.any(|it| it.trim_ascii().eq_ignore_ascii_case(word))
}

const CR_LF: usize = 2;

/// All numbers with so many digits fit into 64 bits.
const MOST_DIGITS: usize = 19;

/// What [`Uri`] can hold.
const LONGEST_TARGET: usize = u16::MAX as usize - 2;

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
