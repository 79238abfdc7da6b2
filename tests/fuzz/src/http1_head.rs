//! Heads of requests over HTTP/1.1: the same in one piece and in many, strictly what RFC 9112 has, and
//! never more of the connection than belongs to them.

use bytes::BytesMut;
use http::header;
use portcullis::config::limits::Limits;
use portcullis::http::gate;
use portcullis::http::http1::head;
use portcullis::http::http1::head::Parser;
use portcullis::http::http1::head::RequestHead;
use portcullis::upstream::http1::decoder::Framing;

pub(crate) fn check(bytes: &[u8]) {
    let limits = Limits::default();
    let mut buffer = BytesMut::from(bytes);
    let whole = head::parse(&mut buffer, &limits);
    check_pieces(bytes, &whole, &limits);
    let Ok(Some(mut head)) = whole else {
        return assert_eq!(buffer, bytes, "nothing is taken of what is no head");
    };
    let taken = &bytes[..bytes.len() - buffer.len()];
    assert!(taken.ends_with(b"\r\n\r\n"));
    assert_eq!(buffer, bytes[taken.len()..]);
    let inner = taken.strip_prefix(b"\r\n").unwrap_or(taken);
    let inner = &inner[..inner.len() - 4];
    assert!(!inner.windows(4).any(|four| four == b"\r\n\r\n"), "two heads in one");
    let bare = |at: usize| match inner[at] {
        b'\n' => at == 0 || inner[at - 1] != b'\r',
        b'\r' => inner.get(at + 1) != Some(&b'\n'),
        byte => byte == 0,
    };
    assert!(!(0..inner.len()).any(bare), "a bare CR, LF or NUL");
    check_framing(&head);
    // The gate and the parser agree on what is refused for its end.
    if let Ok(admitted) = gate::admit(&mut head.request) {
        assert!(!admitted.host.host().name.is_empty());
    }
}

fn check_framing(head: &RequestHead) {
    let fields = head.request.fields();
    let is_chunked = fields.contains(header::TRANSFER_ENCODING);
    let length = fields.get(header::CONTENT_LENGTH).map(|it| it.to_str().expect("digits"));
    assert!(!(is_chunked && length.is_some()));
    match head.framing {
        Framing::Chunked => assert!(is_chunked),
        Framing::Length(number) => assert_eq!(length.map(str::parse), Some(Ok(number))),
        Framing::UntilClose => panic!("no request ends with its connection"),
        Framing::Empty => assert!(!is_chunked && length.is_none_or(|it| it.parse() == Ok(0_u64))),
    }
}

fn check_pieces<E>(bytes: &[u8], whole: &Result<Option<RequestHead>, E>, limits: &Limits) {
    for size in [1, 2, 13] {
        let mut parser = Parser::default();
        let mut buffer = BytesMut::new();
        let mut parsed = Ok(None);
        for piece in bytes.chunks(size) {
            buffer.extend_from_slice(piece);
            parsed = parser.parse(&mut buffer, limits);
            if !matches!(parsed, Ok(None)) {
                break;
            }
        }
        let text = |head: &Option<RequestHead>| head.as_ref().map(|head| format!("{head:?}"));
        let same = match (&parsed, whole) {
            (Ok(pieces), Ok(whole)) => text(pieces) == text(whole),
            (Err(_), Err(_)) => true,
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        assert!(same, "in pieces of {size}");
    }
}
