//! Heads of requests, chunks and fields over HTTP/1.1, to bytes. Pure; must not know connections.
//!
//! Nothing here can contain a line end that is not its own: methods, paths, names and values of fields
//! are checked when they are made.

use bytes::BytesMut;
use http::HeaderMap;
use http::header;

use crate::message::Request;

/// How the end of a request's body is told (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// As its fields say, or there is none.
    Said,
    /// After so many bytes, which no field says.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// Writes the head of a request: path and fields as they are, but for how the end of its body is told.
pub fn head<B>(text: &mut BytesMut, request: &Request<B>, content: Content) {
    text.reserve(ROOM);
    text.extend_from_slice(request.method().as_str().as_bytes());
    text.extend_from_slice(b" ");
    let uri = request.uri();
    text.extend_from_slice(uri.path().as_bytes());
    if let Some(query) = uri.query() {
        text.extend_from_slice(b"?");
        text.extend_from_slice(query.as_bytes());
    }
    text.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.fields() {
        if name != header::TRANSFER_ENCODING {
            field(text, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    match content {
        Content::Said => {}
        Content::Length(length) => {
            let mut digits = itoa::Buffer::new();
            field(text, b"content-length", digits.format(length).as_bytes());
        }
        Content::Chunked => field(text, b"transfer-encoding", b"chunked"),
    }
    text.extend_from_slice(b"\r\n");
}

/// Begins a chunk.
pub fn chunk(text: &mut BytesMut, length: usize) {
    let mut digits = [0; 16];
    let mut left = length;
    let mut at = digits.len();
    while at > 0 && (left > 0 || at == digits.len()) {
        at -= 1;
        digits[at] = b"0123456789abcdef"[left & 15];
        left >>= 4;
    }
    text.extend_from_slice(&digits[at..]);
    text.extend_from_slice(b"\r\n");
}

/// Ends a body of chunks.
pub fn last_chunk(text: &mut BytesMut, trailers: Option<&HeaderMap>) {
    text.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        field(text, name.as_str().as_bytes(), value.as_bytes());
    }
    text.extend_from_slice(b"\r\n");
}

/// Writes one field.
pub fn field(text: &mut BytesMut, name: &[u8], value: &[u8]) {
    text.reserve(name.len() + value.len() + 4);
    text.extend_from_slice(name);
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// For most heads; allocators have pieces of up to 1 KiB at hand.
const ROOM: usize = 1000;

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::HeaderValue;
    use http::Method;

    use super::*;

    #[test]
    fn a_head_is_written_as_it_is() {
        for (uri, written) in [
            ("/", "/"),
            ("/a%2Fb?c=d&e", "/a%2Fb?c=d&e"),
            ("/?", "/?"),
            ("*", "*"),
            ("//x/..;y?", "//x/..;y?"),
        ] {
            let mut request = Request::new(());
            *request.method_mut() = Method::OPTIONS;
            *request.uri_mut() = uri.parse().expect("a path");
            request
                .fields_mut()
                .append(HeaderName::from_static("x-a"), HeaderValue::from_static("1"));
            request.fields_mut().append(header::HOST, HeaderValue::from_static("a.test"));
            request
                .fields_mut()
                .append(HeaderName::from_static("x-a"), HeaderValue::from_static(""));
            let mut text = BytesMut::new();
            head(&mut text, &request, Content::Said);
            let fields = "x-a: 1\r\nhost: a.test\r\nx-a: \r\n\r\n";
            assert_eq!(text, format!("OPTIONS {written} HTTP/1.1\r\n{fields}"));
        }
    }

    #[test]
    fn the_end_of_a_body_is_told_in_one_way() {
        let mut request = Request::new(());
        let lie = HeaderValue::from_static("gzip");
        request.fields_mut().insert(header::TRANSFER_ENCODING, lie);
        for (content, field) in [
            (Content::Said, ""),
            (Content::Length(5), "content-length: 5\r\n"),
            (Content::Chunked, "transfer-encoding: chunked\r\n"),
        ] {
            let mut text = BytesMut::new();
            head(&mut text, &request, content);
            assert_eq!(text, format!("GET / HTTP/1.1\r\n{field}\r\n"));
        }
    }

    #[test]
    fn chunks_are_counted_in_hexadecimal() {
        for length in [0, 1, 15, 16, 255, 4_096, usize::MAX] {
            let mut text = BytesMut::new();
            chunk(&mut text, length);
            assert_eq!(text, format!("{length:x}\r\n"));
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        let mut text = BytesMut::new();
        last_chunk(&mut text, Some(&trailers));
        last_chunk(&mut text, None);
        assert_eq!(text, "0\r\nx-sum: 1\r\n\r\n0\r\n\r\n");
    }
}
