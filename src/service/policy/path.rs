//! The path of a request in the form that rules are compared with, and that is sent on.
//!
//! An endpoint decodes a path before it decides on it. A rule that compared raw text could be passed
//! by: with `/%61dmin`, `//admin` or `/x/../admin` instead of `/admin`. So a path is brought into its
//! normal form first (RFC 3986, section 6.2.2), and that form is what the endpoint gets: what was
//! matched is what is sent. What servers are known to read in two ways is refused: some decode twice,
//! some take a backslash for a slash, and some (Java's, above all) cut off what follows a `;` in each
//! segment, as RFC 3986, section 3.3, lets them. Parameters of that kind are sent on and not compared.
//!
//! Two things are left to whoever writes rules: servers that do not tell capital letters from small
//! ones, and those that drop dots and blanks at the end of a name (Windows).

use std::borrow::Cow;

use thiserror::Error;

/// A path in its normal form. The usual one is borrowed, and nothing is written anew.
#[derive(Debug, Eq, PartialEq)]
pub struct Normalised<'a> {
    /// For the endpoint: unreserved characters as they are, no dot segments, no empty segments but
    /// the last. What else was encoded stays so.
    pub sent: Cow<'a, str>,
    /// The same with everything decoded and without parameters, for comparisons. It has the slashes of
    /// `sent`, no others.
    pub matched: Cow<'a, [u8]>,
}

impl<'a> Normalised<'a> {
    /// A path that nobody compares with anything.
    pub fn as_it_is(path: &'a str) -> Self {
        Self { sent: Cow::Borrowed(path), matched: Cow::Borrowed(path.as_bytes()) }
    }
}

/// A path that a rule and an endpoint might read differently.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error(
    "the path is ambiguous: it has a backslash, an encoded slash or control character, a broken or \
     doubled escape, or a dot segment with parameters"
)]
pub struct Ambiguous;

/// Normalises a path that begins with a slash; any other (`*`) is left as it is.
///
/// # Errors
///
/// Encoded slashes and control characters, backslashes in either form, `%` without two hex digits
/// behind it, escapes of escapes, characters encoded with more bytes than they need (RFC 3629, section
/// 3), and parameters of segments that are empty or dots.
pub fn normalise(path: &str) -> Result<Normalised<'_>, Ambiguous> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Ok(Normalised::as_it_is(path));
    }
    let look = Look::at(bytes);
    if look.has_backslash {
        return Err(Ambiguous);
    }
    let decoded = if look.has_escapes { Some(decode_unreserved(bytes)?) } else { None };
    let has_parameters = look.has_semicolon || decoded.as_deref().is_some_and(has_semicolon);
    if has_parameters && !has_plain_parameters(decoded.as_deref().unwrap_or(bytes)) {
        return Err(Ambiguous);
    }
    let is_moved = look.may_have_dots || decoded.as_deref().is_some_and(has_dots_or_gaps);
    let sent = match decoded {
        None if !is_moved => Cow::Borrowed(path),
        None => Cow::Owned(text(remove_dots(bytes))),
        Some(decoded) if is_moved => Cow::Owned(text(remove_dots(&decoded))),
        Some(decoded) if decoded == bytes => Cow::Borrowed(path),
        Some(decoded) => Cow::Owned(text(decoded)),
    };
    let matched = match &sent {
        sent if has_parameters => Cow::Owned(without_parameters(&decode(sent.as_bytes()))),
        sent if sent.contains('%') => Cow::Owned(decode(sent.as_bytes())),
        Cow::Borrowed(sent) => Cow::Borrowed(sent.as_bytes()),
        Cow::Owned(sent) => Cow::Owned(sent.clone().into_bytes()),
    };
    Ok(Normalised { sent, matched })
}

/// What a path has in it that needs work; one pass over it.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    has_escapes: bool,
    has_backslash: bool,
    has_semicolon: bool,
    may_have_dots: bool,
}

impl Look {
    fn at(bytes: &[u8]) -> Self {
        let mut look = Self::default();
        let mut before = 0;
        for byte in bytes {
            match byte {
                b'%' => look.has_escapes = true,
                b'\\' => look.has_backslash = true,
                b';' => look.has_semicolon = true,
                // `/.well-known` is looked at more closely than it needs, and comes out the same.
                b'/' | b'.' if before == b'/' => look.may_have_dots = true,
                _ => {}
            }
            before = *byte;
        }
        look
    }
}

fn has_dots_or_gaps(bytes: &[u8]) -> bool {
    Look::at(bytes).may_have_dots
}

/// Decodes what stands for itself anyway, and writes the digits of all else in capitals.
fn decode_unreserved(bytes: &[u8]) -> Result<Vec<u8>, Ambiguous> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut before = 0;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            out.push(*first);
            before = 0;
            continue;
        }
        let [high, low, behind @ ..] = rest else { return Err(Ambiguous) };
        let byte = escape(*high, *low).ok_or(Ambiguous)?;
        rest = behind;
        match byte {
            b'/' | b'\\' => return Err(Ambiguous),
            _ if byte.is_ascii_control() || is_overlong(before, byte) => return Err(Ambiguous),
            b'-' | b'.' | b'_' | b'~' => out.push(byte),
            _ if byte.is_ascii_alphanumeric() => out.push(byte),
            _ => out.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
        }
        before = byte;
    }
    let is_doubled = |it: &[u8]| it.starts_with(b"%25") && escape(it[3], it[4]).is_some();
    if out.windows(5).any(is_doubled) { Err(Ambiguous) } else { Ok(out) }
}

/// Whether two encoded bytes begin a character that has a shorter form, and that a decoder without
/// care takes for an ASCII one.
fn is_overlong(before: u8, byte: u8) -> bool {
    matches!((before, byte), (_, 0xC0 | 0xC1) | (0xE0, 0x80..=0x9F) | (0xF0, 0x80..=0x8F))
}

fn has_semicolon(bytes: &[u8]) -> bool {
    bytes.contains(&b';') || bytes.windows(3).any(|it| it == b"%3B")
}

/// Whether segments with parameters are names: `..;` is a segment for some, and two dots for others;
/// an empty one is a gap for some, unless nothing follows.
fn has_plain_parameters(bytes: &[u8]) -> bool {
    let mut segments = bytes.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if has_semicolon(segment) {
            let segment = decode(segment);
            let name = without_parameters(&segment);
            let is_gap = name.is_empty() && segments.peek().is_some();
            if is_gap || name == b"." || name == b".." {
                return false;
            }
        }
    }
    true
}

/// Cuts each segment at its first semicolon. `decoded` has no escapes.
fn without_parameters(decoded: &[u8]) -> Vec<u8> {
    let mut is_parameter = false;
    let is_name = |byte: &u8| {
        is_parameter = (is_parameter || *byte == b';') && *byte != b'/';
        !is_parameter
    };
    decoded.iter().copied().filter(is_name).collect()
}

/// Decodes everything; a `%` without digits stays.
fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if let (b'%', [high, low, behind @ ..]) = (first, rest)
            && let Some(byte) = escape(*high, *low)
        {
            out.push(byte);
            rest = behind;
        } else {
            out.push(*first);
        }
    }
    out
}

fn escape(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// RFC 3986, section 5.2.4, and empty segments are gone as well: file systems know none.
fn remove_dots(bytes: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut segments = bytes.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => out.truncate(out.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
                continue;
            }
        }
        if is_last {
            out.push(b'/');
        }
    }
    out
}

/// What was text before a few ASCII characters were taken out of it is text.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
