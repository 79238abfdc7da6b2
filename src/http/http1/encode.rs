//! Responses over HTTP/1.1, to bytes. Pure; must not know connections.
//!
//! Nothing here can contain a line end that is not its own: names and values of fields, and reasons,
//! are checked when they are made.

use bytes::BytesMut;
use http::StatusCode;
use http::Version;
use http::header;

use crate::http::date;
use crate::message::ResponseHead;
use crate::upstream::http1::encode::field;

pub use crate::upstream::http1::encode::chunk;
pub use crate::upstream::http1::encode::last_chunk;

/// What a request says about its response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    /// HTTP/1.1 or HTTP/1.0.
    pub version: Version,
    /// The response has no body whatever its fields say.
    pub is_head: bool,
    /// The client wants to use the connection again.
    pub keeps_alive: bool,
    /// The client said `TE: trailers`.
    pub takes_trailers: bool,
}

/// How the end of a response's body is told (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// There is none, whatever the fields say.
    None,
    /// After so many bytes.
    Length(u64),
    /// By chunks.
    Chunked,
    /// By the end of the connection: to HTTP/1.0.
    UntilClose,
}

/// What the response says about the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Persistence {
    /// Nothing: it goes on.
    Implied,
    /// It goes on, and a client of HTTP/1.0 has to be told.
    Said,
    /// It ends.
    Close,
    /// It becomes something else.
    Switches,
}

impl Content {
    /// How the end of this response is told; `exact` is the length of its body, if that is known.
    pub fn of(terms: Terms, status: StatusCode, exact: Option<u64>) -> Self {
        let is_bodyless = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match exact {
            _ if terms.is_head || is_bodyless => Self::None,
            Some(length) => Self::Length(length),
            None if terms.version == Version::HTTP_11 => Self::Chunked,
            None => Self::UntilClose,
        }
    }
}

/// Writes the head of a final response, or of one that switches protocols. `said` is the length that a
/// HEAD request is told of where the fields do not say it.
pub fn head(
    text: &mut BytesMut,
    head: &ResponseHead,
    content: Content,
    persistence: Persistence,
    said: Option<u64>,
) {
    status_line(text, head);
    let may_have_length = content == Content::None && allows_length(head.status);
    let switches = persistence == Persistence::Switches;
    let (mut has_date, mut has_length) = (switches, false);
    for (name, value) in &head.fields {
        let is_length = name == header::CONTENT_LENGTH;
        if (is_length && !may_have_length)
            || name == header::TRANSFER_ENCODING
            || (name == header::CONNECTION && !switches)
        {
            continue;
        }
        has_length |= is_length;
        has_date |= name == header::DATE;
        field(text, name.as_str().as_bytes(), value.as_bytes());
    }
    match content {
        Content::Length(length) => say_length(text, length),
        Content::Chunked => text.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Content::None => {
            if let (true, false, Some(said)) = (may_have_length, has_length, said) {
                say_length(text, said);
            }
        }
        Content::UntilClose => {}
    }
    match persistence {
        Persistence::Said => text.extend_from_slice(b"connection: keep-alive\r\n"),
        Persistence::Close => text.extend_from_slice(b"connection: close\r\n"),
        Persistence::Implied | Persistence::Switches => {}
    }
    if !has_date {
        field(text, b"date", date::now().as_bytes());
    }
    text.extend_from_slice(b"\r\n");
}

/// RFC 9110, section 8.6.
fn allows_length(status: StatusCode) -> bool {
    !status.is_informational() && status != StatusCode::NO_CONTENT
}

fn status_line(text: &mut BytesMut, head: &ResponseHead) {
    if head.status == StatusCode::OK && head.reason.is_none() {
        text.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(head.status.as_str().as_bytes());
    text.extend_from_slice(b" ");
    // What an endpoint says in other words than usual.
    let reason = head.reason.as_deref();
    let usual = || head.status.canonical_reason().unwrap_or_default().as_bytes();
    text.extend_from_slice(reason.unwrap_or_else(usual));
    text.extend_from_slice(b"\r\n");
}

fn say_length(text: &mut BytesMut, length: u64) {
    field(text, b"content-length", itoa::Buffer::new().format(length).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::testing;

    const GET: Terms = Terms {
        version: Version::HTTP_11,
        is_head: false,
        keeps_alive: true,
        takes_trailers: false,
    };

    fn written(
        status: u16,
        fields: &[(&'static str, &'static str)],
        content: Content,
        persistence: Persistence,
    ) -> String {
        let of = ResponseHead {
            status: StatusCode::from_u16(status).expect("a status"),
            fields: testing::fields(&[&[("date", "now")], fields].concat()),
            ..ResponseHead::default()
        };
        let mut text = BytesMut::new();
        head(&mut text, &of, content, persistence, Some(7));
        String::from_utf8(text.to_vec()).expect("text")
    }

    #[test]
    fn the_end_of_a_body_is_told_in_one_way() {
        let of = |terms, status: u16, exact| {
            Content::of(terms, StatusCode::from_u16(status).expect("a status"), exact)
        };
        assert_eq!(of(GET, 200, Some(5)), Content::Length(5));
        assert_eq!(of(GET, 200, None), Content::Chunked);
        assert_eq!(of(Terms { version: Version::HTTP_10, ..GET }, 200, None), Content::UntilClose);
        for status in [101, 204, 304] {
            assert_eq!(of(GET, status, Some(5)), Content::None, "{status}");
        }
        assert_eq!(of(Terms { is_head: true, ..GET }, 200, Some(5)), Content::None);
    }

    #[test]
    fn framing_fields_are_ours() {
        let lies = [("content-length", "99"), ("transfer-encoding", "gzip"), ("x", "y")];
        let plain = |content| written(200, &lies, content, Persistence::Implied);
        let begin = "HTTP/1.1 200 OK\r\ndate: now\r\n";
        assert_eq!(plain(Content::Length(5)), format!("{begin}x: y\r\ncontent-length: 5\r\n\r\n"));
        let chunked = format!("{begin}x: y\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(plain(Content::Chunked), chunked);
        assert_eq!(plain(Content::UntilClose), format!("{begin}x: y\r\n\r\n"));
        // To a HEAD request, what the fields say stays.
        assert_eq!(plain(Content::None), format!("{begin}content-length: 99\r\nx: y\r\n\r\n"));
        let head = written(200, &[], Content::None, Persistence::Close);
        assert_eq!(head, format!("{begin}content-length: 7\r\nconnection: close\r\n\r\n"));
        let none = written(204, &lies, Content::None, Persistence::Said);
        let expected =
            "HTTP/1.1 204 No Content\r\ndate: now\r\nx: y\r\nconnection: keep-alive\r\n\r\n";
        assert_eq!(none, expected);
    }

    #[test]
    fn a_switch_keeps_its_connection_field() {
        let fields = [("connection", "upgrade"), ("upgrade", "websocket")];
        let switch = written(101, &fields, Content::None, Persistence::Switches);
        let expected = "HTTP/1.1 101 Switching Protocols\r\ndate: now\r\nconnection: upgrade\r\n\
                        upgrade: websocket\r\n\r\n";
        assert_eq!(switch, expected);
    }

    #[test]
    fn a_date_is_added_and_unusual_statuses_have_no_reason() {
        let status = StatusCode::from_u16(599).expect("a status");
        let of = ResponseHead { status, ..ResponseHead::default() };
        let mut text = BytesMut::new();
        head(&mut text, &of, Content::Length(0), Persistence::Implied, None);
        let text = String::from_utf8(text.to_vec()).expect("text");
        assert!(text.starts_with("HTTP/1.1 599 \r\ncontent-length: 0\r\ndate: "), "{text}");
        assert!(text.ends_with(" GMT\r\n\r\n"), "{text}");
    }
}
