//! Interim responses (1xx) of endpoints as clients are sent them: without what concerns one connection
//! only, and for HTTP/1.1 as text.

use bytes::BytesMut;

use crate::http::fields;
use crate::message::Response;

/// Writes the heads of interim responses as HTTP/1.1 does.
pub fn render(interims: &[Response<()>], text: &mut BytesMut) {
    for interim in interims {
        let mut fields = interim.fields().clone();
        fields::prepare_interim(&mut fields);
        text.extend_from_slice(b"HTTP/1.1 ");
        text.extend_from_slice(interim.status().as_str().as_bytes());
        text.extend_from_slice(b" ");
        text.extend_from_slice(interim.status().canonical_reason().unwrap_or("").as_bytes());
        text.extend_from_slice(b"\r\n");
        for (name, value) in &fields {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::message::testing;

    #[test]
    fn an_interim_response_keeps_its_links_and_loses_what_is_hop_by_hop() {
        let mut hints = Response::new(());
        *hints.status_mut() = StatusCode::EARLY_HINTS;
        *hints.fields_mut() = testing::fields(&[
            ("link", "</a.css>; rel=preload"),
            ("link", "</b.js>; rel=preload"),
            ("connection", "x-private"),
            ("x-private", "1"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
        ]);
        let mut text = BytesMut::new();
        render(&[hints], &mut text);
        render(&[], &mut text);
        let expected = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\
                        link: </b.js>; rel=preload\r\n\r\n";
        assert_eq!(text, expected);
    }
}
