//! WebSocket's opening handshake, as far as a proxy has a part in it: RFC 6455 over HTTP/1.1, and
//! RFC 8441 over HTTP/2, which becomes the former for an endpoint. Pure functions on heads.

use std::hash::BuildHasher;
use std::hash::RandomState;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Version;
use http::header;
use http_body::Body;

use crate::message::Fields;
use crate::message::Request;
use crate::message::ResponseHead;

/// Whether the request asks for a WebSocket: GET without a body and `upgrade: websocket`. Any other
/// upgrade is not passed on, and the request is served without it (RFC 9110, section 7.8).
pub fn is_asked_for<B: Body>(request: &Request<B>) -> bool {
    let fields = request.fields();
    fields.contains(header::UPGRADE)
        && has_token(fields, &header::UPGRADE, WEBSOCKET)
        && has_token(fields, &header::CONNECTION, "upgrade")
        && *request.method() == Method::GET
        && matches!(request.version(), Version::HTTP_11 | Version::HTTP_2)
        && request.body().is_end_stream()
}

/// Asks an endpoint, or tells a client of HTTP/1.1 that the endpoint agrees; to be done after the
/// hop-by-hop fields were removed.
pub fn switch(fields: &mut Fields) {
    fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(header::UPGRADE, HeaderValue::from_static(WEBSOCKET));
}

/// Whether an endpoint that switches protocols switches to WebSocket.
pub fn is_agreed(fields: &Fields) -> bool {
    has_token(fields, &header::UPGRADE, WEBSOCKET)
}

/// Whether the request is `:method CONNECT` with `:protocol websocket` (RFC 8441, section 5).
pub fn is_extended_connect<B>(request: &Request<B>) -> bool {
    *request.method() == Method::CONNECT
        && request.version() == Version::HTTP_2
        && request.protocol().is_some_and(|protocol| protocol == WEBSOCKET.as_bytes())
}

/// Makes of it what it would be over HTTP/1.1.
pub fn from_extended_connect<B>(request: &mut Request<B>) {
    *request.method_mut() = Method::GET;
    let fields = request.fields_mut();
    // Data follows, but no content of the GET.
    fields.remove(header::CONTENT_LENGTH);
    fields.insert(header::SEC_WEBSOCKET_KEY, fresh_key());
    switch(fields);
}

/// What the client of RFC 8441 gets in place of 101.
pub fn to_extended_connect(head: &mut ResponseHead) {
    head.status = StatusCode::OK;
    for name in [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_ACCEPT] {
        head.fields.remove(name);
    }
    head.fields.remove(header::CONTENT_LENGTH);
}

/// Whether `fields` hold the answer to this key (RFC 6455, section 4.2.2).
pub fn accepts(fields: &Fields, key: &HeaderValue) -> bool {
    let mut text = key.as_bytes().to_vec();
    text.extend_from_slice(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let expected = base64(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &text).as_ref());
    fields.get(header::SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| *accept == *expected)
}

/// Sixteen bytes that no cache could know: unique, not secret.
fn fresh_key() -> HeaderValue {
    let mut nonce = [0; 16];
    for half in nonce.chunks_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(half.len()).to_ne_bytes());
    }
    HeaderValue::from_maybe_shared(Bytes::from(base64(&nonce)))
        .unwrap_or_else(|_| HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA=="))
}

fn has_token(fields: &Fields, name: &HeaderName, token: &str) -> bool {
    let values = fields.get_all(name).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|it| it.trim().eq_ignore_ascii_case(token))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let number = number << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[(number >> (18 - 6 * place) & 63) as usize]);
            text.push(if place <= group.len() { digit } else { '=' });
        }
    }
    text
}

const WEBSOCKET: &str = "websocket";
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use http_body_util::Full;

    use super::*;
    use crate::message::testing;

    fn asking() -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.fields_mut() =
            testing::fields(&[("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade")]);
        request
    }

    #[test]
    fn a_get_that_asks_for_websocket_is_one() {
        assert!(is_asked_for(&asking()));
        let mut post = asking();
        *post.method_mut() = Method::POST;
        assert!(!is_asked_for(&post));
        let mut old = asking();
        *old.version_mut() = Version::HTTP_10;
        assert!(!is_asked_for(&old));
        let mut unnamed = asking();
        unnamed.fields_mut().remove("connection");
        assert!(!is_asked_for(&unnamed));
        let mut other = asking();
        other.fields_mut().insert(header::UPGRADE, HeaderValue::from_static("h2c"));
        assert!(!is_asked_for(&other));
        assert!(!is_asked_for(&asking().map(|_| Full::new(Bytes::from_static(b"body")))));
    }

    #[test]
    fn the_answer_to_a_key_is_the_one_of_rfc_6455() {
        let mut fields = Fields::new();
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert!(!accepts(&fields, &key));
        let accept = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        fields.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        assert!(accepts(&fields, &key));
        assert!(!accepts(&fields, &fresh_key()));
    }

    #[test]
    fn a_key_is_sixteen_bytes_and_never_the_same() {
        assert_eq!(fresh_key().len(), 24);
        assert_ne!(fresh_key(), fresh_key());
        assert_eq!(base64(b"Ma"), "TWE=");
        assert_eq!(base64(b"Man"), "TWFu");
        assert_eq!(base64(b"M"), "TQ==");
    }
}
