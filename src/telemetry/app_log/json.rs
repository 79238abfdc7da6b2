//! One line of JSON, written field by field into a buffer, and the part of it that is rendered once.

use std::fmt::Display;
use std::fmt::Write;

use crate::telemetry::app_log::clock;

/// Fields of a JSON object, each as `,"key":value`.
///
/// Keys are written as they are: they come from code and are dotted words.
#[derive(Debug)]
pub struct JsonLine<'a>(&'a mut Vec<u8>);

impl<'a> JsonLine<'a> {
    /// Starts a line with the field `time`.
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(b"{\"time\":\"");
        clock::push_now(out);
        out.push(b'"');
        Self(out)
    }

    /// Ends the line.
    pub(super) fn end(self) {
        self.0.extend_from_slice(b"}\n");
    }

    /// A text; whatever is in it, the line stays one line of valid JSON.
    pub fn str(&mut self, key: &'static str, value: &str) -> &mut Self {
        self.key(key);
        self.0.push(b'"');
        push_escaped(self.0, value);
        self.0.push(b'"');
        self
    }

    /// A text, or no field at all.
    pub fn opt_str(&mut self, key: &'static str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.str(key, value),
            None => self,
        }
    }

    /// Bytes that should be text, such as a path or a header value; what is not UTF-8 in them becomes
    /// U+FFFD.
    pub fn bytes(&mut self, key: &'static str, value: &[u8]) -> &mut Self {
        self.key(key);
        self.0.push(b'"');
        for chunk in value.utf8_chunks() {
            push_escaped(self.0, chunk.valid());
            if !chunk.invalid().is_empty() {
                self.0.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
        self.0.push(b'"');
        self
    }

    /// What a value prints, such as an address. Slower than the others: for fragments.
    pub fn display(&mut self, key: &'static str, value: impl Display) -> &mut Self {
        self.str(key, &value.to_string())
    }

    /// A list of texts.
    pub fn list<T: Display>(
        &mut self,
        key: &'static str,
        values: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        self.key(key);
        self.0.push(b'[');
        for (index, value) in values.into_iter().enumerate() {
            self.0.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
            push_escaped(self.0, &value.to_string());
            self.0.push(b'"');
        }
        self.0.push(b']');
        self
    }

    /// A whole number.
    pub fn u64(&mut self, key: &'static str, value: u64) -> &mut Self {
        self.key(key);
        self.0.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        self
    }

    /// A whole number, or no field at all.
    pub fn opt_u64(&mut self, key: &'static str, value: Option<u64>) -> &mut Self {
        match value {
            Some(value) => self.u64(key, value),
            None => self,
        }
    }

    /// A number; JSON has no infinity and no NaN, so those are `null`.
    pub fn f64(&mut self, key: &'static str, value: f64) -> &mut Self {
        self.key(key);
        if value.is_finite() {
            let mut text = String::new();
            // Writing to a String cannot fail.
            let _ = write!(text, "{value}");
            self.0.extend_from_slice(text.as_bytes());
        } else {
            self.0.extend_from_slice(b"null");
        }
        self
    }

    /// A flag.
    pub fn bool(&mut self, key: &'static str, value: bool) -> &mut Self {
        self.key(key);
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// Fields that were rendered before.
    pub fn raw(&mut self, fragment: &JsonFragment) -> &mut Self {
        self.0.extend_from_slice(&fragment.0);
        self
    }

    fn key(&mut self, key: &'static str) {
        debug_assert!(key.bytes().all(|b| b.is_ascii_lowercase() || b"._0123456789".contains(&b)));
        self.0.reserve(key.len() + 4);
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

/// Fields that stay the same for many lines, such as those of a connection: rendered once.
///
/// ```
/// use portcullis::telemetry::app_log::JsonFragment;
/// let connection = JsonFragment::new(|line| {
///     line.str("client.address", "192.0.2.1").u64("client.port", 50_000);
/// });
/// assert_eq!(connection.as_str(), r#","client.address":"192.0.2.1","client.port":50000"#);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct JsonFragment(Box<[u8]>);

impl JsonFragment {
    /// Renders fields; another fragment may be one of them.
    pub fn new(build: impl FnOnce(&mut JsonLine<'_>)) -> Self {
        let mut bytes = Vec::with_capacity(512);
        build(&mut JsonLine(&mut bytes));
        Self(bytes.into_boxed_slice())
    }

    /// The rendered fields, each with a comma before it.
    pub fn as_str(&self) -> &str {
        // All that writes into it writes UTF-8.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// RFC 8259, section 7. Copies runs of what needs no escape.
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let clean = clean_prefix(rest);
        out.extend_from_slice(&rest[..clean]);
        let Some(&byte) = rest.get(clean) else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => {
                let [high, low] = [HEX[usize::from(other >> 4)], HEX[usize::from(other & 15)]];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        rest = &rest[clean + 1..];
    }
}

/// How many bytes can be copied as they are. Eight at a time: most of a log line is text of clients,
/// and a byte-wise loop over it costs more than all the rest.
fn clean_prefix(bytes: &[u8]) -> usize {
    let mut clean = 0;
    let (words, _) = bytes.as_chunks::<8>();
    for word in words {
        if needs_escape_in(u64::from_le_bytes(*word)) {
            break;
        }
        clean += 8;
    }
    clean + bytes[clean..].iter().take_while(|byte| !needs_escape(**byte)).count()
}

fn needs_escape(byte: u8) -> bool {
    // DEL is allowed by JSON and hidden by terminals: escaped, it is seen.
    byte < 0x20 || matches!(byte, b'"' | b'\\' | 0x7f)
}

/// Whether any of eight bytes needs an escape. The usual exact test for a zero byte, three times
/// over, and for a byte below 0x20; a false alarm above 0x7f is harmless, as the bytes are looked at
/// one by one then.
fn needs_escape_in(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let equal = |byte: u8| zero_byte(word ^ (ONES * u64::from(byte)));
    let below_space = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    (below_space | equal(b'"') | equal(b'\\') | equal(0x7f)) != 0
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn parsed(build: impl FnOnce(&mut JsonLine<'_>)) -> Value {
        let mut out = Vec::new();
        let mut line = JsonLine::begin(&mut out);
        build(&mut line);
        line.end();
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn fields_have_their_json_types_and_absent_ones_are_left_out() {
        let value = parsed(|line| {
            line.str("a", "x").opt_str("b", None).u64("c", u64::MAX).f64("d", 0.5);
            line.f64("e", f64::NAN).bool("f", true).list("g", ["p", "q\""]).opt_u64("h", Some(1));
        });
        assert_eq!(value["a"], "x");
        assert_eq!(value.get("b"), None);
        assert_eq!(value["c"], u64::MAX);
        assert_eq!(value["d"], 0.5);
        assert_eq!(value["e"], Value::Null);
        assert_eq!(value["f"], true);
        assert_eq!(value["g"], serde_json::json!(["p", "q\""]));
        assert_eq!(value["h"], 1);
    }

    #[test]
    fn bytes_that_are_not_utf8_become_replacement_characters() {
        let value = parsed(|line| {
            line.bytes("url.path", b"/a\xff\xfe\"\x00\xc3\xa9");
        });
        assert_eq!(value["url.path"], "/a\u{fffd}\u{fffd}\"\0\u{e9}");
    }

    #[test]
    fn a_fragment_is_copied_into_lines_and_other_fragments() {
        let inner = JsonFragment::new(|line| {
            line.str("tls.cipher", "TLS_AES_128_GCM_SHA256");
        });
        let outer = JsonFragment::new(|line| {
            line.str("event", "http").raw(&inner);
        });
        let value = parsed(|line| {
            line.raw(&outer).u64("x", 1);
        });
        assert_eq!(value["tls.cipher"], "TLS_AES_128_GCM_SHA256");
        assert_eq!(value["event"], "http");
    }

    proptest! {
        #[test]
        fn any_text_survives(text in any::<String>(), control in "[\\x00-\\x7f]{0,40}") {
            let both = format!("{text}{control}");
            let value = parsed(|line| { line.str("k", &both).bytes("b", both.as_bytes()); });
            prop_assert_eq!(&value["k"], &both);
            prop_assert_eq!(&value["b"], &both);
        }
    }
}
