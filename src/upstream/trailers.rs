//! Fields behind a body, in either direction: what decides about a message does not come after it.
//!
//! RFC 9110, section 6.5.1: framing, routing, authentication, and how content is to be read. Whoever
//! merges trailers into the head's fields, as some programs do, would be told another story than the
//! proxy was.

use http::HeaderMap;
use http::HeaderName;

/// Removes what has no place in trailers.
pub fn clean(trailers: &mut HeaderMap) {
    let misplaced: Vec<_> = trailers.keys().filter(|name| is_misplaced(name)).cloned().collect();
    for name in misplaced {
        trailers.remove(name);
    }
}

/// An underscore is read as a dash by CGI, and by all that does as it does.
fn is_misplaced(name: &HeaderName) -> bool {
    let dashed = |byte| if byte == b'_' { b'-' } else { byte };
    let is = |text: &&str| name.as_str().bytes().map(dashed).eq(text.bytes());
    let begins = |text: &&str| name.as_str().bytes().map(dashed).take(text.len()).eq(text.bytes());
    ALONE.iter().any(is) || BEGINNINGS.iter().any(begins)
}

const ALONE: [&str; 34] = [
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "warning",
    "www-authenticate",
];

/// Conditions, and what an endpoint takes from the proxy alone.
const BEGINNINGS: [&str; 5] = ["if-", "x-client-cert", "x-forwarded-", "x-real-ip", "x-request-id"];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn trailers_keep_what_is_about_the_content_that_was_sent() {
        let mut trailers = HeaderMap::new();
        let kept = ["grpc-status", "grpc-message", "x-checksum", "server-timing", "digest"];
        let gone = [
            "content-length",
            "content_length",
            "transfer-encoding",
            "host",
            "set-cookie",
            "authorization",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-client-cert-verify",
            "x-real-ip",
            "if-match",
            "forwarded",
            "te",
        ];
        for name in kept.into_iter().chain(gone) {
            trailers.append(name, HeaderValue::from_static("1"));
            trailers.append(name, HeaderValue::from_static("2"));
        }
        clean(&mut trailers);
        let mut left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        let mut kept = kept;
        kept.sort_unstable();
        assert_eq!(left, kept);
        assert_eq!(trailers.len(), 2 * kept.len(), "each as often as it came");
    }
}
