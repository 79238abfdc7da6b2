//! The gate: what is no proper request goes no further. Pure functions on a request's head.

use h2::ext::Protocol;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Uri;
use http::Version;
use http::header;
use http::uri::PathAndQuery;

use crate::http::error::Rejection;
use crate::service::host::Host;

/// Checks a request and brings its target into one shape: HTTP/1.1 in origin form with one Host
/// field, HTTP/2 with `:authority` and no Host field. Returns the host as a field value, with the
/// port if one was written.
pub fn admit<B>(request: &mut Request<B>) -> Result<HeaderValue, Rejection> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        if request.extensions().get::<Protocol>().is_some() {
            return Err(Rejection::Protocol);
        }
        return Err(Rejection::Method);
    }
    check_transfer_coding(request.headers())?;
    check_length(request)?;
    let host = match request.version() {
        Version::HTTP_2 => host_of_http2(request)?,
        _ => host_of_http1(request)?,
    };
    if !is_path(request.uri()) && !is_asterisk(request) {
        return Err(Rejection::Target);
    }
    drop_ambiguous(request.headers_mut());
    Ok(host)
}

/// The host as it was checked by [`admit`].
pub fn host(value: &HeaderValue) -> Option<Host<'_>> {
    Host::parse(value.to_str().ok()?)
}

/// RFC 9112, section 3.2: exactly one Host; the target's authority, where there is one, is the same.
fn host_of_http1<B>(request: &mut Request<B>) -> Result<HeaderValue, Rejection> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(value), None) = (hosts.next(), hosts.next()) else {
        return Err(Rejection::Host);
    };
    let named = host(value).ok_or(Rejection::Host)?;
    let value = value.clone();
    if let Some(authority) = request.uri().authority() {
        let target = Host::parse(authority.as_str()).ok_or(Rejection::Target)?;
        if !is_same(target, named) {
            return Err(Rejection::HostConflict);
        }
        if request.uri().scheme().is_none() {
            // Authority form belongs to CONNECT.
            return Err(Rejection::Target);
        }
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    }
    Ok(value)
}

/// RFC 9113, section 8.3.1: `:authority`, or Host in its place; both only if they agree.
fn host_of_http2<B>(request: &mut Request<B>) -> Result<HeaderValue, Rejection> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (field, more) = (hosts.next().cloned(), hosts.next().is_some());
    if more {
        return Err(Rejection::Host);
    }
    let Some(authority) = request.uri().authority() else {
        // Host stays where it is: it becomes the authority of an HTTP/2 endpoint.
        return field.filter(|value| host(value).is_some()).ok_or(Rejection::Host);
    };
    let target = Host::parse(authority.as_str()).ok_or(Rejection::Host)?;
    if let Some(field) = &field
        && !host(field).is_some_and(|named| is_same(target, named))
    {
        return Err(Rejection::HostConflict);
    }
    let value = HeaderValue::from_str(authority.as_str()).map_err(|_| Rejection::Host)?;
    if field.is_some() {
        request.headers_mut().remove(header::HOST);
    }
    Ok(value)
}

fn is_same(one: Host<'_>, other: Host<'_>) -> bool {
    one.port == other.port && one.normalised() == other.normalised()
}

/// Exactly `chunked`, once. hyper refuses what does not end in `chunked`, HTTP/1.0 with any coding,
/// and contradicting lengths; where both a coding and a length came, it reads chunks, drops the
/// length, and closes the connection after the response (RFC 9112, section 6.3).
fn check_transfer_coding(fields: &HeaderMap) -> Result<(), Rejection> {
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), _) => Err(Rejection::TransferCoding),
    }
}

/// HTTP/1.1 with two lengths is refused or made one by hyper; h2 looks at the first one alone, and an
/// endpoint might look at the last (RFC 9113, section 8.1.1).
fn check_length<B>(request: &Request<B>) -> Result<(), Rejection> {
    if request.version() != Version::HTTP_2 {
        return Ok(());
    }
    let mut lengths = request.headers().get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (Some(_), Some(_)) => Err(Rejection::Length),
        _ => Ok(()),
    }
}

fn is_path(uri: &Uri) -> bool {
    uri.path().starts_with('/')
}

fn is_asterisk<B>(request: &Request<B>) -> bool {
    *request.method() == Method::OPTIONS && request.uri().path() == "*"
}

/// Fields with an underscore: some servers read `x_forwarded_for` and `x-forwarded-for` as one.
fn drop_ambiguous(fields: &mut HeaderMap) {
    if !fields.keys().any(|name| name.as_str().contains('_')) {
        return;
    }
    let ambiguous: Vec<_> =
        fields.keys().filter(|name| name.as_str().contains('_')).cloned().collect();
    for name in ambiguous {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, target: &str, fields: &[(&'static str, &str)]) -> Request<()> {
        let mut request = Request::new(());
        *request.version_mut() = version;
        *request.uri_mut() = target.parse().expect("a target");
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().expect("a value"));
        }
        request
    }

    fn http1(target: &str, fields: &[(&'static str, &str)]) -> Result<HeaderValue, Rejection> {
        admit(&mut request(Version::HTTP_11, target, fields))
    }

    #[test]
    fn http1_needs_exactly_one_host() {
        assert_eq!(
            http1("/", &[("host", "a.example.com:8443")]).expect("fine"),
            "a.example.com:8443"
        );
        assert_eq!(http1("/", &[]), Err(Rejection::Host));
        assert_eq!(http1("/", &[("host", "a"), ("host", "a")]), Err(Rejection::Host));
        assert_eq!(http1("/", &[("host", "a, b")]), Err(Rejection::Host));
        assert_eq!(http1("/", &[("host", "user@a")]), Err(Rejection::Host));
    }

    #[test]
    fn absolute_form_becomes_origin_form_and_must_agree_with_host() {
        let mut absolute =
            request(Version::HTTP_11, "http://A.example.com/p?q", &[("host", "a.example.com")]);
        assert!(admit(&mut absolute).is_ok());
        assert_eq!(absolute.uri(), "/p?q");
        assert_eq!(
            http1("http://b.example.com/", &[("host", "a.example.com")]),
            Err(Rejection::HostConflict)
        );
        assert_eq!(
            http1("a.example.com:443", &[("host", "a.example.com:443")]),
            Err(Rejection::Target)
        );
    }

    #[test]
    fn http2_takes_the_authority_and_a_host_that_agrees() {
        let http2 = |fields: &[(&'static str, &str)]| {
            admit(&mut request(Version::HTTP_2, "https://a.example.com/", fields))
        };
        assert_eq!(http2(&[]).expect("fine"), "a.example.com");
        assert_eq!(http2(&[("host", "A.example.com")]).expect("fine"), "a.example.com");
        assert_eq!(http2(&[("host", "b.example.com")]), Err(Rejection::HostConflict));
        let mut without = request(Version::HTTP_2, "/", &[("host", "a.example.com")]);
        assert_eq!(admit(&mut without).expect("fine"), "a.example.com");
    }

    #[test]
    fn methods_targets_and_codings_that_a_proxy_does_not_pass_on() {
        let host = ("host", "a.example.com");
        let with_method = |method: Method, target: &str| {
            let mut request = request(Version::HTTP_11, target, &[host]);
            *request.method_mut() = method;
            admit(&mut request)
        };
        assert_eq!(with_method(Method::TRACE, "/"), Err(Rejection::Method));
        assert_eq!(with_method(Method::CONNECT, "a.example.com:443"), Err(Rejection::Method));
        assert_eq!(with_method(Method::GET, "*"), Err(Rejection::Target));
        assert!(with_method(Method::OPTIONS, "*").is_ok());
        for codings in ["gzip, chunked", "identity", "chunked, chunked", "xchunked"] {
            let refused = http1("/", &[host, ("transfer-encoding", codings)]);
            assert_eq!(refused, Err(Rejection::TransferCoding), "{codings}");
        }
        let twice = [host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert_eq!(http1("/", &twice), Err(Rejection::TransferCoding));
        assert!(http1("/", &[host, ("transfer-encoding", "Chunked")]).is_ok());
    }

    #[test]
    fn two_lengths_over_http2_are_refused() {
        let lengths = [("content-length", "4"), ("content-length", "5")];
        let refused = admit(&mut request(Version::HTTP_2, "https://a.example.com/", &lengths));
        assert_eq!(refused, Err(Rejection::Length));
    }

    #[test]
    fn fields_with_underscores_are_dropped() {
        let mut request = request(
            Version::HTTP_11,
            "/",
            &[("host", "a.example.com"), ("x_forwarded_for", "1.2.3.4"), ("x-other", "stays")],
        );
        assert!(admit(&mut request).is_ok());
        assert!(!request.headers().contains_key("x_forwarded_for"));
        assert!(request.headers().contains_key("x-other"));
    }
}
