//! Blocks of fields as they are sent, without a dynamic table.
//!
//! Nothing is kept for a connection, and nothing that one response says can be guessed from the length of
//! another (RFC 7541, section 7.1). Strings are not in Huffman code: that costs more time than the few
//! bytes which it saves in a response are worth. What is in the static table is written as its index.

use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;

use super::integer;
use super::static_table;

/// Begins a block that the dynamic table has another size from here on (RFC 7541, section 6.3).
///
/// The size is 4096 at first, and one that adds no entries need not change it. But when a peer's
/// SETTINGS_HEADER_TABLE_SIZE gets below it, the first block after the acknowledgement has to say a size
/// that the peer allows (section 4.2; RFC 9113, section 4.3.1), whether or not there are entries; a peer may
/// refuse a block that does not. To say 0 once, in the first block after a peer has sent that setting, is
/// enough for the whole connection: no later setting is below it.
pub fn size_update(out: &mut Vec<u8>, size: usize) {
    integer::write(out, SIZE_UPDATE, 5, size);
}

/// The status of a response, before all other fields.
pub fn status(out: &mut Vec<u8>, status: StatusCode) {
    let index = match status.as_u16() {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            out.extend_from_slice(&[STATUS, 3]);
            return out.extend_from_slice(status.as_str().as_bytes());
        }
    };
    out.push(INDEXED | index);
}

/// A field. Nobody on its way may put it in a table if its value is sensitive, or if it is one that is
/// by its name.
pub fn field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    let (name, is_sensitive) = (name.as_str(), value.is_sensitive());
    out.reserve(name.len() + value.len() + MOST_AROUND);
    match static_table::index_of(name) {
        Some(index) => {
            let is_sensitive = is_sensitive || SECRETS.contains(&index);
            integer::write(out, literal(is_sensitive), 4, index);
        }
        None => {
            out.push(literal(is_sensitive));
            string(out, name.as_bytes());
        }
    }
    string(out, value.as_bytes());
}

/// The first bits of a literal that is not added to the table.
fn literal(is_sensitive: bool) -> u8 {
    if is_sensitive { NEVER_INDEXED } else { 0 }
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    integer::write(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

/// An indexed field (section 6.1).
const INDEXED: u8 = 0x80;

/// A new size of the table (section 6.3).
const SIZE_UPDATE: u8 = 0x20;

/// A literal that is never to be indexed (section 6.2.3).
const NEVER_INDEXED: u8 = 0x10;

/// A literal that is not added to the table, and has the name of entry 8, `:status`.
const STATUS: u8 = 8;

/// Indices of `authorization`, `cookie`, `proxy-authorization` and `set-cookie`.
const SECRETS: [usize; 4] = [23, 32, 49, 55];

/// Bytes of a field beside name and value: a first byte, and two lengths.
const MOST_AROUND: usize = 16;

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn written(name: &HeaderName, value: &'static str) -> Vec<u8> {
        let mut out = Vec::new();
        field(&mut out, name, &HeaderValue::from_static(value));
        out
    }

    #[test]
    fn statuses_are_indices_or_three_digits() {
        for (code, expected) in [(200, &[0x88][..]), (500, &[0x8e]), (302, b"\x08\x03302")] {
            let mut out = Vec::new();
            status(&mut out, StatusCode::from_u16(code).expect("a status"));
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn names_are_indices_where_there_are_some() {
        assert_eq!(written(&header::AGE, "7"), b"\x0f\x06\x017");
        assert_eq!(written(&header::CONTENT_TYPE, "a/b"), b"\x0f\x10\x03a/b");
        let other = HeaderName::from_static("x-a");
        assert_eq!(written(&other, ""), b"\x00\x03x-a\x00");
        assert_eq!(written(&header::ACCEPT_ENCODING, "br"), b"\x0f\x01\x02br");
    }

    #[test]
    fn secrets_are_never_indexed() {
        for index in SECRETS {
            let name = static_table::entry(index).expect("there").name();
            let Ok(super::super::Name::Regular(name)) = name else { panic!("{name:?}") };
            assert_eq!(written(&name, "a")[0], 0x1f, "{name}");
        }
        assert_eq!(SECRETS.len(), 4);
        let mut value = HeaderValue::from_static("a");
        value.set_sensitive(true);
        let mut out = Vec::new();
        field(&mut out, &HeaderName::from_static("x-a"), &value);
        assert_eq!(out, b"\x10\x03x-a\x01a");
    }

    #[test]
    fn a_size_is_updated() {
        let mut out = Vec::new();
        size_update(&mut out, 0);
        size_update(&mut out, 4096);
        assert_eq!(out, [0x20, 0x3f, 0xe1, 0x1f]);
    }
}
