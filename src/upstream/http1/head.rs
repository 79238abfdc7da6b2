//! The head of a response over HTTP/1.1, from bytes, and what it says about its body and its connection.
//! Pure; must not know connections.
//!
//! A line may end in a bare LF: what is written to clients has ends of our own. All else is as strict as
//! with requests; and what two readers could see in two ways is refused behind this, for HTTP/1.1 and
//! HTTP/2 alike ([`crate::upstream::forward`]).

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;
use http::Method;
use http::StatusCode;
use http::Version;
use http::header;
use thiserror::Error;

use crate::message::Response;
use crate::upstream::http1::decoder::Framing;
use crate::upstream::http1::line;

/// Why a response is none.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadHead {
    /// A line that is no field.
    #[error("a line of its head is no field")]
    Field,
    /// A length that is no number, or several.
    #[error("its length is not one number")]
    Length,
    /// Nothing that HTTP/1.1 begins a response with.
    #[error("it does not begin like one of HTTP/1.1")]
    Malformed,
    /// A status that HTTP does not know.
    #[error("its status is none")]
    Status,
    /// More fields, or more bytes, than are taken.
    #[error("its head is too large")]
    TooLarge,
    /// A transfer coding over HTTP/1.0.
    #[error("HTTP/1.0 has no transfer codings")]
    TransferCoding,
}

/// Takes a head off a buffer; `None` if it is not complete, which leaves the buffer as it is. It may have
/// `most` bytes. Values of fields are slices of a copy, because some are kept for long.
///
/// # Errors
///
/// See [`BadHead`]; nothing that follows can be trusted.
pub fn parse(input: &mut BytesMut, most: usize) -> Result<Option<Response<()>>, BadHead> {
    let mut ends = [0; MOST_FIELDS + 1];
    let begins = input.len().min(BEGIN.len());
    if input[..begins] != BEGIN[..begins] {
        return Err(BadHead::Malformed);
    }
    let found = lines(input, most, &mut ends);
    if ends[0] > 0 && !matches!(found, Ok(Some(_))) {
        // Not waited for the rest of what is no response.
        status_line(&Bytes::copy_from_slice(&input[..ends[0]]), ends[0])?;
    }
    let Some((lines, length)) = found? else { return Ok(None) };
    let text = Bytes::copy_from_slice(&input[..length]);
    input.advance(length);
    let mut response = status_line(&text, ends[0])?;
    let fields = response.fields_mut();
    for line in 1..lines {
        let (start, end) = (ends[line - 1] + 1, ends[line]);
        let end = end - usize::from(text[start..end].ends_with(b"\r"));
        let (name, value) = line::field(text.slice(start..end)).ok_or(BadHead::Field)?;
        fields.append(name, value);
    }
    Ok(Some(response))
}

/// Whether another response follows to the same request.
pub fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// How the end of a body is told (RFC 9112, section 6.3).
///
/// # Errors
///
/// `Length` or `TransferCoding`.
pub fn framing(head: &Response<()>, method: &Method) -> Result<Framing, BadHead> {
    let fields = head.fields();
    let is_bodyless = head.status().is_informational()
        || matches!(head.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if is_bodyless || *method == Method::HEAD {
        return Ok(Framing::Empty);
    }
    if fields.contains(header::TRANSFER_ENCODING) {
        return match head.version() {
            Version::HTTP_11 => Ok(Framing::Chunked),
            _ => Err(BadHead::TransferCoding),
        };
    }
    // That it is said once is looked at with what HTTP/2 says.
    let lengths = fields.get_all(header::CONTENT_LENGTH);
    let mut lengths = lengths.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let Some(first) = lengths.next() else { return Ok(Framing::UntilClose) };
    let first = number(first).ok_or(BadHead::Length)?;
    match (lengths.all(|another| number(another) == Some(first)), first) {
        (false, _) => Err(BadHead::Length),
        (true, 0) => Ok(Framing::Empty),
        (true, _) => Ok(Framing::Length(first)),
    }
}

/// Whether the connection can be used again. One of HTTP/1.0 never is: it would have to be asked for with
/// a field that our requests do not have.
pub fn keeps_alive(head: &Response<()>) -> bool {
    let values = head.fields().get_all(header::CONNECTION);
    let mut words = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    head.version() == Version::HTTP_11
        && !words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// Where the lines of a head end, how many there are, and how long it is; `None` if its empty line is not
/// there yet.
fn lines(bytes: &[u8], most: usize, ends: &mut [usize]) -> Result<Option<(usize, usize)>, BadHead> {
    let (mut count, mut start) = (0, 0);
    for end in memchr::memchr_iter(b'\n', bytes) {
        if end >= most {
            return Err(BadHead::TooLarge);
        }
        if matches!(bytes[start..end], [] | [b'\r']) {
            return Ok(Some((count, end + 1)));
        }
        *ends.get_mut(count).ok_or(BadHead::TooLarge)? = end;
        count += 1;
        start = end + 1;
    }
    if bytes.len() < most { Ok(None) } else { Err(BadHead::TooLarge) }
}

/// RFC 9112, section 4: version, three digits, and words that nobody needs.
fn status_line(text: &Bytes, end: usize) -> Result<Response<()>, BadHead> {
    let line = text[..end].strip_suffix(b"\r").unwrap_or(&text[..end]);
    let version = match line.get(BEGIN.len()..BEGIN.len() + 2) {
        Some(b"1 ") => Version::HTTP_11,
        Some(b"0 ") => Version::HTTP_10,
        _ => return Err(BadHead::Malformed),
    };
    let (code, words) = line[BEGIN.len() + 2..].split_at_checked(3).ok_or(BadHead::Status)?;
    let words = match words {
        [] => words,
        [b' ', words @ ..] => words,
        _ => return Err(BadHead::Status),
    };
    let status = StatusCode::from_bytes(code).map_err(|_| BadHead::Status)?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = version;
    if status.canonical_reason().map(str::as_bytes) != Some(words) {
        if words.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(BadHead::Malformed);
        }
        *response.reason_mut() = Some(text.slice_ref(words));
    }
    Ok(response)
}

fn number(digits: &[u8]) -> Option<u64> {
    let digits = digits.trim_ascii();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// What a response begins with, but for the last digit of the version.
const BEGIN: &[u8] = b"HTTP/1.";

/// Fields of one head.
const MOST_FIELDS: usize = 100;

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
