//! The path of a request in the form that rules are compared with, and that is sent on.
//!
//! An endpoint decodes a path before it decides on it. A rule that compared raw text could be passed
//! by: with `/%61dmin`, `//admin` or `/x/../admin` instead of `/admin`. So a path is brought into its
//! normal form first (RFC 3986, section 6.2.2), and that form is what the endpoint gets: what was
//! matched is what is sent. What servers are known to read in two ways is refused.

use std::borrow::Cow;

use thiserror::Error;

/// A path in its normal form. The usual one is borrowed, and nothing is written anew.
#[derive(Debug, Eq, PartialEq)]
pub struct Normalised<'a> {
    /// For the endpoint: unreserved characters as they are, no dot segments, no empty segments but
    /// the last. What else was encoded stays so.
    pub sent: Cow<'a, str>,
    /// The same with everything decoded, for comparisons. It has the slashes of `sent`, no others.
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
    "the path is ambiguous: it has a backslash, or an encoded slash or NUL, or a broken escape"
)]
pub struct Ambiguous;

/// Normalises a path that begins with a slash; any other (`*`) is left as it is.
///
/// # Errors
///
/// Encoded slashes and NUL, backslashes in either form, and `%` without two hex digits behind it.
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
    let is_moved = look.may_have_dots || decoded.as_deref().is_some_and(has_dots_or_gaps);
    let sent = match decoded {
        None if !is_moved => Cow::Borrowed(path),
        None => Cow::Owned(text(remove_dots(bytes))),
        Some(decoded) if is_moved => Cow::Owned(text(remove_dots(&decoded))),
        Some(decoded) if decoded == bytes => Cow::Borrowed(path),
        Some(decoded) => Cow::Owned(text(decoded)),
    };
    let matched = match &sent {
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
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let [high, low, behind @ ..] = rest else { return Err(Ambiguous) };
        let byte = escape(*high, *low).ok_or(Ambiguous)?;
        rest = behind;
        match byte {
            b'/' | b'\\' | 0 => return Err(Ambiguous),
            b'-' | b'.' | b'_' | b'~' => out.push(byte),
            _ if byte.is_ascii_alphanumeric() => out.push(byte),
            _ => out.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
        }
    }
    Ok(out)
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(path: &str) -> String {
        normalise(path).expect("unambiguous").sent.into_owned()
    }

    #[test]
    fn the_usual_path_is_not_copied() {
        for path in ["/", "/a", "/a/b.html", "/a/", "/a/b..c/~x", "/;p=1/a:b@c", "*"] {
            let normalised = normalise(path).expect("unambiguous");
            assert!(matches!(normalised.sent, Cow::Borrowed(same) if same == path), "{path}");
            assert!(matches!(normalised.matched, Cow::Borrowed(_)), "{path}");
        }
    }

    #[test]
    fn spellings_of_one_path_are_one_path() {
        for path in [
            "/a/b",
            "//a/b",
            "/a//b",
            "/./a/b",
            "/a/./b",
            "/a/x/../b",
            "/../a/b",
            "/%61/b",
            "/a/%2e/b",
            "/a/x/%2E%2e/b",
            "/x/.%2e/a/b",
            "/a%2db/../a/b",
            "/../../a///./b",
        ] {
            assert_eq!(sent(path), "/a/b", "{path}");
        }
        for path in ["/a/", "/a/.", "/a/b/..", "/a//", "/a/%2e", "/a/b/%2e%2e"] {
            assert_eq!(sent(path), "/a/", "{path}");
        }
        for path in ["/", "//", "/.", "/..", "/a/..", "/a/../..", "/%2e%2E/"] {
            assert_eq!(sent(path), "/", "{path}");
        }
        assert_eq!(sent("/.well-known/x"), "/.well-known/x");
    }

    #[test]
    fn what_is_reserved_stays_encoded_for_the_endpoint_and_is_decoded_for_rules() {
        let normalised = normalise("/a%3bb%40c%c3%a9%25").expect("unambiguous");
        assert_eq!(normalised.sent, "/a%3Bb%40c%C3%A9%25");
        assert_eq!(&*normalised.matched, "/a;b@cé%".as_bytes());
        // Decoded once: what an endpoint would see as text is text here, too.
        let twice = normalise("/%252e%252e/a").expect("unambiguous");
        assert_eq!((&*twice.sent, &*twice.matched), ("/%252e%252e/a", &b"/%2e%2e/a"[..]));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for path in [
            "/a%2fb",
            "/a%2Fb",
            "/a%00",
            "/a\\b",
            "/a%5cb",
            "/..%5c..",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%u002e",
            "/a/%2e%2e%2fb",
            "/%+1",
        ] {
            assert_eq!(normalise(path), Err(Ambiguous), "{path}");
        }
    }

    /// Segments without regard to how they are written, read off literally.
    fn naive(path: &str) -> Vec<u8> {
        let decoded = decode(path.as_bytes());
        let mut stack: Vec<&[u8]> = Vec::new();
        let segments: Vec<_> = decoded.split(|byte| *byte == b'/').skip(1).collect();
        for segment in &segments {
            match *segment {
                b"" | b"." => {}
                b".." => drop(stack.pop()),
                name => stack.push(name),
            }
        }
        let ends = matches!(segments.last(), Some(&(b"" | b"." | b"..")));
        let mut out = stack.iter().flat_map(|name| [b"/", *name].concat()).collect::<Vec<_>>();
        if ends {
            out.push(b'/');
        }
        out
    }

    proptest! {
        #[test]
        fn any_spelling_matches_as_its_segments_do(
            path in "/(a|b|\\.|\\.\\.|/|%2e|%2E|%61|%40|%25|;){0,12}"
        ) {
            let normalised = normalise(&path).expect("unambiguous");
            prop_assert_eq!(&*normalised.matched, &*naive(&path));
        }

        #[test]
        fn what_is_sent_is_normal_already(path in "/[a-c./%0-9A-F;]{0,16}") {
            if let Ok(normalised) = normalise(&path) {
                prop_assert!(normalised.sent.starts_with('/'));
                prop_assert!(!normalised.sent.contains("//"), "{}", normalised.sent);
                let again = normalise(&normalised.sent).expect("still unambiguous");
                prop_assert_eq!(&again.sent, &normalised.sent);
                prop_assert_eq!(&again.matched, &normalised.matched);
                let slashes = |bytes: &[u8]| bytes.iter().filter(|b| **b == b'/').count();
                prop_assert_eq!(slashes(again.sent.as_bytes()), slashes(&again.matched));
            }
        }

        #[test]
        fn nothing_that_a_client_sends_panics(path in "\\PC*") {
            let _ = normalise(&path);
        }
    }
}
