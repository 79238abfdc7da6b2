//! What holds of all blocks: of what the encoder writes, of what another would, and of any bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use proptest::prelude::*;

use super::Broken;
use super::Field;
use super::Malformed;
use super::Name;
use super::Pseudo;
use super::decoder::Decoder;
use super::encoder;
use super::huffman;
use super::integer;

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(Field, usize)>, Broken> {
    let mut fields = Vec::new();
    decoder.decode(block, |field, size| fields.push((field, size)))?;
    Ok(fields)
}

/// Fields without their sizes.
fn fields(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Field>, Broken> {
    Ok(decoded(decoder, block)?.into_iter().map(|(field, _)| field).collect())
}

fn path(value: &'static str) -> Field {
    Field::Pseudo(Pseudo::Path, Bytes::from_static(value.as_bytes()))
}

fn custom(value: &'static str) -> Field {
    Field::Regular(HeaderName::from_static("x-a"), HeaderValue::from_static(value))
}

#[test]
fn what_breaks_a_block_is_told() {
    let broken = |block: &[u8]| decoded(&mut Decoder::new(4096), block).err();
    for (block, expected) in [
        (&b"\x80"[..], Some(Broken::Index)),
        (b"\xbe", Some(Broken::Index)),
        (b"\x7f\x00\x00", Some(Broken::Index)),
        (b"\x0f\x2f\x00", Some(Broken::Index)),
        (b"\xff\xff\xff\xff\xff\x00", Some(Broken::Integer)),
        (b"\xff", Some(Broken::Truncated)),
        (b"\x00", Some(Broken::Truncated)),
        (b"\x44\x02/", Some(Broken::Truncated)),
        (b"\x44\xff\xff\xff\xff\x7f", Some(Broken::Truncated)),
        (b"\x44\x81\x00", Some(Broken::Huffman)),
        (b"\x3f\xe2\x1f", Some(Broken::SizeUpdate)),
        (b"\x82\x20", Some(Broken::SizeUpdate)),
        (b"\x20\x82\x3f\xe1\x1f", Some(Broken::SizeUpdate)),
        (b"\x20\x3f\xe1\x1f\x20\x20\x3f\xe1\x1f\x82", None),
        (b"", None),
    ] {
        assert_eq!(broken(block), expected, "{block:x?}");
    }
}

#[test]
fn malformed_fields_are_the_streams_and_take_their_places_in_the_table() {
    let malformed_value = Field::Malformed(Malformed::Value(Name::Pseudo(Pseudo::Path)));
    let mut decoder = Decoder::new(4096);
    let first = b"\x40\x03X-A\x01b\x44\x02/\r\x40\x02:x\x01y\x40\x03x-a\x02b\0";
    let found = fields(&mut decoder, first).expect("a block");
    let name = Name::Regular(HeaderName::from_static("x-a"));
    let malformed = [
        Field::Malformed(Malformed::Name),
        malformed_value,
        Field::Malformed(Malformed::Pseudo),
        Field::Malformed(Malformed::Value(name)),
    ];
    assert_eq!(found, malformed);
    assert_eq!(decoder.table_size(), (3 + 1) + (5 + 2) + (2 + 1) + (3 + 2) + 4 * 32);
    // From the newest on.
    let again = fields(&mut decoder, b"\xc1\xc0\xbf\xbe").expect("indices");
    assert_eq!(again, malformed);
    // Their names, with other values: a good name stays good.
    let renewed = fields(&mut decoder, b"\x0f\x32\x01c\x0f\x31\x02/b\x0f\x30\x01c\x0f\x2f\x01c");
    let expected = vec![
        Field::Malformed(Malformed::Name),
        path("/b"),
        Field::Malformed(Malformed::Pseudo),
        custom("c"),
    ];
    assert_eq!(renewed, Ok(expected));
}

#[test]
fn names_are_tokens_in_lower_case_and_values_of_pseudo_fields_are_trimmed() {
    let one = |name: &str, value: &[u8]| {
        let mut block = vec![0];
        string(&mut block, name.as_bytes(), false);
        string(&mut block, value, false);
        let mut found = fields(&mut Decoder::new(4096), &block).expect("a block");
        found.pop().expect("a field")
    };
    for name in ["", "X", "x y", "x:", "x\"", "x\u{e9}", "x\0", "x(", "x\r", " x"] {
        assert_eq!(one(name, b"a"), Field::Malformed(Malformed::Name), "{name:?}");
    }
    for name in [":", ":Path", ":path ", ":version"] {
        assert_eq!(one(name, b"a"), Field::Malformed(Malformed::Pseudo), "{name:?}");
    }
    for (name, its) in [
        ("x-a", Name::Regular(HeaderName::from_static("x-a"))),
        (":authority", Name::Pseudo(Pseudo::Authority)),
    ] {
        let malformed = Field::Malformed(Malformed::Value(its.clone()));
        for value in [&b"a\0"[..], b"a\rb", b"a\nb", b"\x7f"] {
            assert_eq!(one(name, value), malformed, "{name:?} {value:?}");
        }
        for value in [&b" a"[..], b"a ", b"\ta", b"a\t", b" "] {
            // Those of other fields are let through.
            let is_refused = one(name, value) == malformed;
            assert_eq!(is_refused, matches!(its, Name::Pseudo(_)), "{name:?} {value:?}");
        }
        for value in [&b""[..], b"a b", b"a\tb", b"\xe9"] {
            assert!(!matches!(one(name, value), Field::Malformed(_)), "{name:?} {value:?}");
        }
    }
}

#[test]
fn an_entry_that_is_too_large_is_reported_and_not_kept() {
    let mut decoder = Decoder::new(40);
    assert_eq!(fields(&mut decoder, b"\x44\x03/bc"), Ok(vec![path("/bc")]));
    assert_eq!(decoder.table_size(), 40);
    assert_eq!(fields(&mut decoder, b"\x44\x04/bcd"), Ok(vec![path("/bcd")]));
    assert_eq!(decoder.table_size(), 0);
    // The entry whose name is referred to may be dropped for the new one.
    assert_eq!(
        fields(&mut decoder, b"\x40\x03x-a\x00\x7e\x01b"),
        Ok(vec![custom(""), custom("b")])
    );
    assert_eq!(fields(&mut decoder, b"\xbe"), Ok(vec![custom("b")]));
}

fn string(out: &mut Vec<u8>, text: &[u8], in_huffman_code: bool) {
    if in_huffman_code {
        let code = huffman::encode(text);
        integer::write(out, 0x80, 7, code.len());
        out.extend(code);
    } else {
        integer::write(out, 0, 7, text.len());
        out.extend(text);
    }
}

/// An encoder that uses all there is, and knows what the decoder should have in its table.
#[derive(Default)]
struct Other {
    entries: VecDeque<(String, String)>,
    most: usize,
}

impl Other {
    fn field(&mut self, out: &mut Vec<u8>, (name, value): &(String, String), choice: u8) {
        let place = self.entries.iter().position(|entry| entry.0 == *name && entry.1 == *value);
        if let Some(place) = place {
            return integer::write(out, 0x80, 7, 62 + place);
        }
        let place = self.entries.iter().position(|entry| entry.0 == *name);
        let (pattern, bits) = [(0x40, 6), (0, 4), (0x10, 4)][usize::from(choice % 3)];
        integer::write(out, pattern, bits, place.map_or(0, |place| 62 + place));
        if place.is_none() {
            string(out, name.as_bytes(), choice & 4 != 0);
        }
        string(out, value.as_bytes(), choice & 8 != 0);
        if pattern == 0x40 {
            self.entries.push_front((name.clone(), value.clone()));
            self.evict();
        }
    }

    fn size(&self) -> usize {
        self.entries.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
    }

    fn evict(&mut self) {
        while self.size() > self.most {
            self.entries.pop_back();
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["x-[a-d]", "(accept|age|cookie|priority|sec-fetch-mode)", "[a-z][a-z0-9-]{0,40}"]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]?", "([!-~]([ -~]{0,80}[!-~])?)?"]
}

proptest! {
    #[test]
    fn what_the_encoder_writes_is_read(
        code in 100_u16..1000,
        list in proptest::collection::vec((name(), value(), any::<bool>()), 0..20),
    ) {
        let mut block = Vec::new();
        encoder::size_update(&mut block, 0);
        encoder::status(&mut block, StatusCode::from_u16(code).expect("a status"));
        let mut expected = vec![Field::Pseudo(Pseudo::Status, code.to_string().into())];
        for (name, value, is_sensitive) in list {
            let name = HeaderName::try_from(name).expect("a name");
            let mut value = HeaderValue::try_from(value).expect("a value");
            value.set_sensitive(is_sensitive);
            encoder::field(&mut block, &name, &value);
            expected.push(Field::Regular(name, value));
        }
        let mut decoder = Decoder::new(4096);
        let found = fields(&mut decoder, &block);
        prop_assert_eq!(decoder.table_size(), 0);
        // Two values are equal whether or not they are sensitive.
        let is_sensitive = |field: &Field| match field {
            Field::Regular(name, value) => *name == header::COOKIE || value.is_sensitive(),
            Field::Pseudo(..) | Field::Malformed(_) => false,
        };
        let sensitive = |list: &[Field]| list.iter().map(is_sensitive).collect::<Vec<_>>();
        prop_assert_eq!(found.as_deref().map(sensitive), Ok(sensitive(&expected)));
        prop_assert_eq!(found, Ok(expected));
    }

    #[test]
    fn what_another_encoder_writes_is_read(
        blocks in proptest::collection::vec(
            (
                proptest::option::of(0_usize..600),
                proptest::collection::vec((name(), value(), any::<u8>()), 0..12),
            ),
            1..8,
        ),
    ) {
        let mut decoder = Decoder::new(600);
        let mut other = Other { most: 600, ..Other::default() };
        for (most, list) in blocks {
            let mut block = Vec::new();
            if let Some(most) = most {
                encoder::size_update(&mut block, most);
                other.most = most;
                other.evict();
            }
            let mut expected = Vec::new();
            for (name, value, choice) in list {
                let size = name.len() + value.len() + 32;
                let pair = (name, value);
                other.field(&mut block, &pair, choice);
                let name = HeaderName::try_from(pair.0).expect("a name");
                let value = HeaderValue::try_from(pair.1).expect("a value");
                expected.push((Field::Regular(name, value), size));
            }
            prop_assert_eq!(decoded(&mut decoder, &block), Ok(expected));
            prop_assert_eq!(decoder.table_size(), other.size());
        }
    }

    #[test]
    fn no_bytes_are_too_strange(
        blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..5),
    ) {
        let mut decoder = Decoder::new(256);
        for block in blocks {
            // The decoder asserts that one buffer, bounded by the block, is enough for its strings.
            let mut count = 0;
            let found = decoder.decode(&block, |_, size| {
                assert!(size >= 32);
                count += 1;
            });
            prop_assert!(count <= block.len());
            prop_assert!(decoder.table_size() <= 256);
            if found.is_err() {
                break;
            }
        }
    }
}
