//! Heads of requests, over either protocol: what the gate lets through has one host and one end.
//!
//! The bytes are a head as text: `GET /path HTTP/1.1` (or `HTTP/2`), a field to a line, where
//! `:authority: ` and `:protocol: ` are the pseudo fields.

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Uri;
use http::Version;
use http::header;
use portcullis::config::virtual_service::UnderscoreFields;
use portcullis::http::gate;
use portcullis::http::gate::Admitted;
use portcullis::message::Request;

pub(crate) fn check(bytes: &[u8]) {
    let Some(mut request) = request(bytes) else { return };
    let asked = request.uri().path_and_query().map(ToString::to_string);
    let Ok(admitted) = gate::admit(&mut request) else { return };
    check_host(&request, &admitted);
    check_end(&request);
    let target = request.uri().path_and_query().map(ToString::to_string);
    assert_eq!(target, asked, "the path and the query are not touched");
    let target = target.expect("a path");
    let is_asterisk = target == "*" && request.method() == Method::OPTIONS;
    assert!(is_asterisk || target.starts_with('/'), "{target}");
    assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{target}");
    assert!(!request.uri().path().contains('\\'), "{target}");
    let is_tunnel = request.protocol().is_some();
    assert!(request.method() != Method::TRACE);
    assert!(request.method() != Method::CONNECT || is_tunnel);
    check_underscores(&mut request, &admitted);
    check_again(request, &admitted);
}

fn check_host(request: &Request<()>, admitted: &Admitted) {
    assert!(!admitted.host.host().name.is_empty());
    let fields = request.fields().get_all(header::HOST).count();
    let authorities = usize::from(request.uri().authority().is_some());
    assert_eq!(fields + authorities, 1);
}

fn check_end(request: &Request<()>) {
    let count = |name| request.fields().get_all(name).count();
    assert!(count(header::CONTENT_LENGTH) + count(header::TRANSFER_ENCODING) <= 1);
    let length = request.fields().get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    assert!(length.is_none_or(|length| length.iter().all(u8::is_ascii_digit)));
    if request.version() != Version::HTTP_11 {
        assert_eq!(count(header::TRANSFER_ENCODING), 0);
    }
    if request.fields().contains(header::UPGRADE) {
        assert_eq!(count(header::TRANSFER_ENCODING), 0);
        assert!(length.is_none_or(|length| length == b"0"));
    }
}

fn check_underscores(request: &mut Request<()>, admitted: &Admitted) {
    let has = |request: &Request<()>| request.fields().names().any(|it| it.as_str().contains('_'));
    assert_eq!(has(request), admitted.has_underscores);
    let settled = gate::settle_underscores(request.fields_mut(), UnderscoreFields::Drop);
    assert!(settled.is_ok() && !has(request));
}

/// What was let through is let through again, unchanged.
fn check_again(mut request: Request<()>, admitted: &Admitted) {
    let before = shown(&request);
    let again = gate::admit(&mut request).expect("let through before");
    assert_eq!(again.host, admitted.host);
    assert_eq!(shown(&request), before);
}

fn shown(request: &Request<()>) -> String {
    let fields: Vec<_> = request.fields().iter().collect();
    format!("{request:?} {fields:?}")
}

fn request(bytes: &[u8]) -> Option<Request<()>> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let mut words = first.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let mut request = Request::new(());
    *request.method_mut() = method.parse().ok()?;
    *request.version_mut() = match version {
        "HTTP/1.0" => Version::HTTP_10,
        "HTTP/1.1" => Version::HTTP_11,
        "HTTP/2" => Version::HTTP_2,
        _ => return None,
    };
    *request.uri_mut() = target.parse().ok()?;
    for line in lines.take(50) {
        let at = 1 + line.iter().skip(1).position(|byte| *byte == b':')?;
        let (name, value) = (&line[..at], line[at + 1..].strip_prefix(b" ")?);
        match name {
            b":authority" => authority(&mut request, value)?,
            b":protocol" => {
                let word = if value == b"websocket" { "websocket" } else { "other" };
                *request.protocol_mut() = Some(Bytes::from_static(word.as_bytes()));
            }
            _ => {
                let name = HeaderName::from_bytes(name).ok()?;
                request.fields_mut().append(name, HeaderValue::from_bytes(value).ok()?);
            }
        }
    }
    Some(request)
}

fn authority(request: &mut Request<()>, value: &[u8]) -> Option<()> {
    let mut parts = request.uri().clone().into_parts();
    parts.authority = Some(value.try_into().ok()?);
    parts.scheme.get_or_insert(http::uri::Scheme::HTTPS);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    Some(())
}
