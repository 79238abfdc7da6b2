//! Blocks of fields in HTTP/2, one after the other, each behind its length in two bytes: what is read is
//! bounded by what has come, and says the same when it is written and read again.

use http::HeaderValue;
use portcullis::http2::hpack::Field;
use portcullis::http2::hpack::decoder::Decoder;
use portcullis::http2::hpack::encoder;

pub(crate) fn check(mut bytes: &[u8]) {
    let (mut decoder, mut again) = (Decoder::new(MOST), Decoder::new(MOST));
    while let Some(([high, low], behind)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (block, rest) = behind.split_at(length.min(behind.len()));
        bytes = rest;
        let found = decode(&mut decoder, block);
        assert_eq!(found, decode(&mut again, block), "the same twice");
        assert_eq!(decoder.table_size(), again.table_size());
        assert!(decoder.table_size() <= MOST);
        let Some(found) = found else { return };
        assert!(found.len() <= block.len(), "a byte for each field at least");
        for (field, size) in &found {
            check_field(field, *size);
        }
        check_written(&found);
    }
}

fn check_field(field: &Field, size: usize) {
    let (name, value) = match field {
        Field::Pseudo(pseudo, value) => (format!(":{pseudo:?}").len(), &value[..]),
        Field::Regular(name, value) => {
            let is_lower = !name.as_str().bytes().any(|byte| byte.is_ascii_uppercase());
            assert!(is_lower && !name.as_str().starts_with(':') && !name.as_str().contains('"'));
            (name.as_str().len(), value.as_bytes())
        }
        Field::Malformed(_) => return assert!(size >= OVERHEAD),
    };
    assert_eq!(size, name + value.len() + OVERHEAD);
    assert!(!value.iter().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n')));
    if let Field::Pseudo(..) = field {
        assert_eq!(value, value.trim_ascii());
    }
}

/// What may be sent on is read as it was.
fn check_written(found: &[(Field, usize)]) {
    let mut block = Vec::new();
    let is_regular = |(field, _): &&(Field, usize)| matches!(field, Field::Regular(..));
    for (field, _) in found {
        if let Field::Regular(name, value) = field {
            encoder::field(&mut block, name, value);
        }
    }
    let read = decode(&mut Decoder::new(0), &block).expect("a block of our own");
    assert!(read.iter().eq(found.iter().filter(is_regular)));
    let was_sensitive = |(field, _): &(Field, usize)| match field {
        Field::Regular(_, value) => HeaderValue::is_sensitive(value),
        Field::Pseudo(..) | Field::Malformed(_) => false,
    };
    let sensitive = found.iter().filter(is_regular).map(was_sensitive);
    assert!(read.iter().map(was_sensitive).zip(sensitive).all(|(is, was)| is >= was));
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Option<Vec<(Field, usize)>> {
    let mut found = Vec::new();
    decoder.decode(block, |field, size| found.push((field, size))).ok()?;
    Some(found)
}

/// Bytes of the table: few, so that entries are dropped.
const MOST: usize = 256;

/// What a field counts beside its name and its value.
const OVERHEAD: usize = 32;
