//! Responses over HTTP/1.1 as endpoints may send them: the same head in one piece and in many, and never
//! more of the connection than belongs to it.

use bytes::BytesMut;
use http::Method;
use portcullis::message::Response;
use portcullis::upstream::http1::head;
use portcullis::upstream::http1::head::BadHead;

pub(crate) fn check(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    let whole = head::parse(&mut buffer, MOST);
    for size in [1, 2, 13] {
        assert_eq!(shown(&in_pieces(bytes, size)), shown(&whole), "in pieces of {size}");
    }
    let Ok(whole) = whole else { return };
    let Some(head) = whole else {
        return assert_eq!(buffer, bytes, "nothing is taken of what is not a whole head");
    };
    let taken = &bytes[..bytes.len() - buffer.len()];
    assert!(taken.len() <= MOST && taken.starts_with(b"HTTP/1."));
    assert!(taken.ends_with(b"\n\n") || taken.ends_with(b"\n\r\n"));
    assert_eq!(buffer, bytes[taken.len()..]);
    let inner = &taken[..taken.len() - 1];
    let is_end = |at: usize| inner[at..].starts_with(b"\n\n") || inner[at..].starts_with(b"\n\r\n");
    assert!(!(0..inner.len()).any(is_end), "two heads in one");
    for value in head.fields().iter().map(|field| field.1) {
        assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    // Neither panics; what they say is looked at elsewhere.
    let _ = head::framing(&head, &Method::GET);
    let _ = head::keeps_alive(&head);
}

fn in_pieces(bytes: &[u8], size: usize) -> Result<Option<Response<()>>, BadHead> {
    let mut buffer = BytesMut::new();
    for piece in bytes.chunks(size) {
        buffer.extend_from_slice(piece);
        match head::parse(&mut buffer, MOST) {
            Ok(None) => {}
            parsed => return parsed,
        }
    }
    Ok(None)
}

fn shown(parsed: &Result<Option<Response<()>>, BadHead>) -> String {
    format!("{parsed:?}")
}

/// Bytes of a head.
const MOST: usize = 4_000;
