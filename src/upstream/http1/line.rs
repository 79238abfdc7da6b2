//! Lines of a head or of trailers, taken off a buffer as they come. Pure; must not know what they say.

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderName;
use http::HeaderValue;

/// Takes one line after the other; each byte is looked at once, however few come at a time.
#[derive(Debug, Default)]
pub struct Lines {
    looked_at: usize,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadLine {
    /// It does not end in CR LF (RFC 9112, section 2.2, lets a recipient take a bare LF; two that do
    /// not agree on it see two different messages).
    End,
    /// It has more bytes than it may.
    TooLong,
}

impl Lines {
    /// The next line without its end; `None` if it is not there yet. With its end it may have `most`
    /// bytes. A CR within it is left for whoever looks at what it says.
    ///
    /// # Errors
    ///
    /// See [`BadLine`]; nothing that follows can be trusted.
    pub fn next(&mut self, buffer: &mut BytesMut, most: usize) -> Result<Option<Bytes>, BadLine> {
        let Some(found) = memchr::memchr(b'\n', &buffer[self.looked_at..]) else {
            self.looked_at = buffer.len();
            return if buffer.len() > most { Err(BadLine::TooLong) } else { Ok(None) };
        };
        let length = self.looked_at + found + 1;
        if length > most {
            return Err(BadLine::TooLong);
        }
        self.looked_at = 0;
        let mut line = buffer.split_to(length).freeze();
        if !line.ends_with(b"\r\n") {
            return Err(BadLine::End);
        }
        line.truncate(length - 2);
        Ok(Some(line))
    }
}

/// Name and value of a field's line; `None` if it is none (RFC 9112, section 5). Whitespace before the
/// colon, a folded line, control characters and an empty name are all no field.
pub fn field(mut line: Bytes) -> Option<(HeaderName, HeaderValue)> {
    let colon = memchr::memchr(b':', &line)?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let value = &line[colon + 1..];
    let before = value.iter().take_while(is_blank).count();
    let behind = value[before..].iter().rev().take_while(is_blank).count();
    line.truncate(line.len() - behind);
    line.advance(colon + 1 + before);
    Some((name, HeaderValue::from_maybe_shared(line).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_cr_lf_and_in_nothing_else() {
        let all = |text: &str, most| {
            let mut buffer = BytesMut::from(text);
            Lines::default().next(&mut buffer, most).map(|line| line.map(|line| line.to_vec()))
        };
        assert_eq!(all("one\r\ntwo", 5), Ok(Some(b"one".to_vec())));
        assert_eq!(all("\r\n", 5), Ok(Some(Vec::new())));
        assert_eq!(all("one\r", 5), Ok(None));
        assert_eq!(all("one\n", 5), Err(BadLine::End));
        assert_eq!(all("\n", 5), Err(BadLine::End));
        assert_eq!(all("four\r\n", 5), Err(BadLine::TooLong));
        assert_eq!(all("fourth", 5), Err(BadLine::TooLong));
    }

    #[test]
    fn a_field_has_a_name_and_a_value_without_control_characters() {
        let read = |text: &'static str| field(Bytes::from_static(text.as_bytes()));
        for (line, name, value) in [
            ("Host: a", "host", "a"),
            ("x:y", "x", "y"),
            ("x: \t a b \t", "x", "a b"),
            ("x:", "x", ""),
            ("x: : ", "x", ":"),
        ] {
            let (found, held) = read(line).expect("a field");
            assert_eq!((found.as_str(), held.as_bytes()), (name, value.as_bytes()), "{line:?}");
        }
        for line in [
            "",
            "x",
            ": y",
            "x : y",
            "x\t: y",
            " x: y",
            "\tx: y",
            "x: a\rb",
            "x: a\0b",
            "x: a\u{1}b",
            "x: \u{7f}",
            "x\r: y",
            "x(: y",
            "x y: z",
            "\u{e9}: y",
        ] {
            assert!(read(line).is_none(), "{line:?}");
        }
    }
}
