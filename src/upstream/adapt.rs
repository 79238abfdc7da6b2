//! What differs between a request to an HTTP/1.1 endpoint and one to an HTTP/2 endpoint.
//!
//! Both functions may be applied to a request that the other one has been applied to: a retry may
//! meet an endpoint of the other kind.

use http::HeaderValue;
use http::Uri;
use http::Version;
use http::header;
use http::uri::Authority;
use http::uri::PathAndQuery;
use http::uri::Scheme;

use crate::message::Request;
use crate::upstream::body::RequestBody;
use crate::upstream::error::UpstreamError;

/// Origin form with a Host field. Where its body ends is said when it is sent.
pub fn for_http1(request: &mut Request<RequestBody>) {
    *request.version_mut() = Version::HTTP_11;
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str());
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
        if let (Ok(host), false) = (host, request.fields().contains(header::HOST)) {
            request.fields_mut().insert(header::HOST, host);
        }
    }
}

/// `:scheme` and `:authority` instead of Host (RFC 9113, section 8.3.1).
pub fn for_http2(request: &mut Request<RequestBody>) -> Result<(), UpstreamError> {
    *request.version_mut() = Version::HTTP_2;
    request.fields_mut().remove(header::TRANSFER_ENCODING);
    let Some(host) = request.fields_mut().remove(header::HOST) else {
        return Ok(());
    };
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    // The scheme that the client asked with, whatever is spoken to the endpoint.
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = Authority::from_maybe_shared(host).ok();
    parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    match Uri::from_parts(parts) {
        Ok(uri) => {
            *request.uri_mut() = uri;
            Ok(())
        }
        // The host has been checked at the front door, so that this is a caller's mistake.
        Err(_) => Err(UpstreamError::Protocol(None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::Empty);
        *request.uri_mut() = uri.parse().expect("a URI");
        request.fields_mut().insert(header::HOST, HeaderValue::from_static("a.example.com:8443"));
        request
    }

    #[test]
    fn a_request_can_go_to_one_kind_of_endpoint_and_then_to_the_other() {
        let mut request = request("/path?query");
        for_http2(&mut request).expect("a valid authority");
        assert_eq!(request.uri().to_string(), "https://a.example.com:8443/path?query");
        assert!(!request.fields().contains(header::HOST));
        for_http1(&mut request);
        assert_eq!(request.uri().to_string(), "/path?query");
        assert_eq!(request.fields().get(header::HOST).expect("there"), "a.example.com:8443");
    }
}
