//! Requests that are none, and those that are.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::message::testing;

type Pairs<'a> = &'a [(&'static str, &'a str)];

const HOST: (&str, &str) = ("host", "a.example.com");

fn request(version: Version, target: &str, fields: Pairs<'_>) -> Request<()> {
    let mut request = Request::new(());
    *request.version_mut() = version;
    *request.uri_mut() = target.parse().expect("a target");
    *request.fields_mut() = testing::fields(fields);
    request
}

fn host_or_refusal(mut request: Request<()>) -> Result<HeaderValue, Rejection> {
    admit(&mut request).map(|admitted| admitted.host.value().clone())
}

fn http1(target: &str, fields: Pairs<'_>) -> Result<HeaderValue, Rejection> {
    host_or_refusal(request(Version::HTTP_11, target, fields))
}

fn http2(fields: Pairs<'_>) -> Result<HeaderValue, Rejection> {
    host_or_refusal(request(Version::HTTP_2, "https://a.example.com/", fields))
}

fn with_method(version: Version, method: &str, target: &str) -> Result<HeaderValue, Rejection> {
    let fields = if version == Version::HTTP_2 { &[][..] } else { &[HOST] };
    let mut request = request(version, target, fields);
    *request.method_mut() = method.parse().expect("a method");
    host_or_refusal(request)
}

#[test]
fn http1_needs_exactly_one_host() {
    let port = http1("/", &[("host", "a.example.com:8443")]);
    assert_eq!(port.expect("fine"), "a.example.com:8443");
    assert_eq!(http1("/", &[]), Err(Rejection::Host));
    assert_eq!(http1("/", &[("host", "a"), ("host", "a")]), Err(Rejection::Host));
    for none in ["", "a, b", "a b", "user@a", "a/", "a:b", "a:99999", "a:+80", "[::1", "http://a"] {
        assert_eq!(http1("/", &[("host", none)]), Err(Rejection::Host), "{none}");
    }
}

#[test]
fn absolute_form_becomes_origin_form_and_must_agree_with_host() {
    let fields = [HOST];
    for (target, path) in [
        ("http://A.example.com/p?q", "/p?q"),
        ("https://a.example.com.", "/"),
        ("HTTP://a.example.com//b.example.com/", "//b.example.com/"),
    ] {
        let mut absolute = request(Version::HTTP_11, target, &fields);
        assert!(admit(&mut absolute).is_ok(), "{target}");
        assert_eq!(absolute.uri(), path, "{target}");
    }
    let conflict = http1("http://b.example.com/", &fields);
    assert_eq!(conflict, Err(Rejection::HostConflict));
    for target in ["a.example.com:443", "ftp://a.example.com/", "http://user@a.example.com/"] {
        let refused = http1(target, &[("host", "a.example.com")]);
        assert_eq!(refused, Err(Rejection::Target), "{target}");
    }
}

#[test]
fn http2_takes_the_authority_and_a_host_that_agrees() {
    assert_eq!(http2(&[]).expect("fine"), "a.example.com");
    assert_eq!(http2(&[("host", "A.example.com")]).expect("fine"), "a.example.com");
    assert_eq!(http2(&[("host", "b.example.com")]), Err(Rejection::HostConflict));
    assert_eq!(http2(&[HOST, HOST]), Err(Rejection::Host));
    let without = host_or_refusal(request(Version::HTTP_2, "/", &[HOST]));
    assert_eq!(without.expect("fine"), "a.example.com");
    let user = request(Version::HTTP_2, "https://user@a.example.com/", &[]);
    assert_eq!(host_or_refusal(user), Err(Rejection::Host));
    let scheme = request(Version::HTTP_2, "gopher://a.example.com/", &[]);
    assert_eq!(host_or_refusal(scheme), Err(Rejection::Target));
}

#[test]
fn methods_that_a_proxy_does_not_pass_on() {
    for method in ["TRACE", "trace", "CONNECT", "Connect"] {
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert_eq!(with_method(version, method, "/"), Err(Rejection::Method), "{method}");
        }
        let refused = with_method(Version::HTTP_2, method, "https://a.example.com/");
        assert_eq!(refused, Err(Rejection::Method), "{method}");
    }
    let connect = with_method(Version::HTTP_11, "CONNECT", "a.example.com:443");
    assert_eq!(connect, Err(Rejection::Method));
}

#[test]
fn extended_connect_is_for_websockets_over_http2_alone() {
    let connect = |version, protocol: &'static str| {
        let fields = if version == Version::HTTP_2 { &[][..] } else { &[HOST] };
        let mut request = request(version, "https://a.example.com/", fields);
        *request.method_mut() = Method::CONNECT;
        *request.protocol_mut() = Some(Bytes::from_static(protocol.as_bytes()));
        request
    };
    assert!(host_or_refusal(connect(Version::HTTP_2, "websocket")).is_ok());
    let udp = connect(Version::HTTP_2, "connect-udp");
    assert_eq!(host_or_refusal(udp), Err(Rejection::Protocol));
    let http1 = connect(Version::HTTP_11, "websocket");
    assert_eq!(host_or_refusal(http1), Err(Rejection::Method));
    let mut with_length = connect(Version::HTTP_2, "websocket");
    with_length.fields_mut().insert(header::CONTENT_LENGTH, 5.into());
    assert_eq!(host_or_refusal(with_length), Err(Rejection::UpgradeWithBody));
}

#[test]
fn a_target_is_a_path_or_an_asterisk_with_options() {
    for target in ["/", "/a?b", "//b.example.com/", "/a\"b|c[d]^{}", "/?a\\b", "/%zz", "/..;/a"] {
        assert!(http1(target, &[HOST]).is_ok(), "{target}");
    }
    for target in ["/a\\b", "\\\\b.example.com", "/caf\u{e9}", "/?caf\u{e9}", "/\u{7f}", "*"] {
        if target.parse::<http::Uri>().is_ok() {
            assert_eq!(http1(target, &[HOST]), Err(Rejection::Target), "{target}");
        }
    }
    assert!(with_method(Version::HTTP_11, "OPTIONS", "*").is_ok());
    let mut relative = request(Version::HTTP_2, "/", &[HOST]);
    for path in ["*", "?q"] {
        if let Ok(path) = PathAndQuery::try_from(path) {
            *relative.uri_mut() = path.into();
            assert_eq!(admit(&mut relative), Err(Rejection::Target), "{:?}", relative.uri());
        }
    }
}

#[test]
fn a_coding_is_chunked_alone_and_over_http1_alone() {
    for codings in ["gzip, chunked", "identity", "chunked, chunked", "xchunked", "chunked;a", ""] {
        let refused = http1("/", &[HOST, ("transfer-encoding", codings)]);
        assert_eq!(refused, Err(Rejection::TransferCoding), "{codings}");
    }
    let chunked = ("transfer-encoding", "chunked");
    assert_eq!(http1("/", &[HOST, chunked, chunked]), Err(Rejection::TransferCoding));
    let length = ("content-length", "0");
    assert_eq!(http1("/", &[HOST, chunked, length]), Err(Rejection::TransferCoding));
    assert_eq!(http1("/", &[HOST, length, chunked]), Err(Rejection::TransferCoding));
    let old = request(Version::HTTP_10, "/", &[HOST, chunked]);
    assert_eq!(host_or_refusal(old), Err(Rejection::TransferCoding));
    assert!(http1("/", &[HOST, ("transfer-encoding", "Chunked")]).is_ok());
    assert_eq!(http2(&[chunked]), Err(Rejection::ConnectionField));
}

#[test]
fn a_length_is_one_plain_number() {
    let over_both = |fields: Pairs<'_>| {
        let over_http1 = http1("/", &[&[HOST], fields].concat());
        assert_eq!(over_http1, http2(fields), "{fields:?}");
        over_http1.map(|_| ())
    };
    for length in ["+5", "-5", "0x5", "5, 5", "5,6", "", "5 5", "05", "1e1", "18446744073709551616"]
    {
        let refused = over_both(&[("content-length", length)]);
        assert_eq!(refused, Err(Rejection::Length), "{length}");
    }
    for pair in [["5", "5"], ["5", "6"]] {
        let refused = over_both(&pair.map(|length| ("content-length", length)));
        assert_eq!(refused, Err(Rejection::Length), "{pair:?}");
    }
    for length in ["0", "5", "18446744073709551615"] {
        assert_eq!(over_both(&[("content-length", length)]), Ok(()), "{length}");
    }
}

#[test]
fn http2_has_no_fields_about_the_connection_and_no_blanks_around_values() {
    for field in [
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, deflate"),
    ] {
        assert_eq!(http2(&[field]), Err(Rejection::ConnectionField), "{field:?}");
    }
    assert!(http2(&[("te", "trailers")]).is_ok());
    for value in [" a", "a ", "\ta", "a\t"] {
        assert_eq!(http2(&[("x-a", value)]), Err(Rejection::FieldValue), "{value:?}");
    }
}

#[test]
fn what_asks_to_switch_protocols_has_no_body() {
    let upgrade = [HOST, ("connection", "upgrade"), ("upgrade", "websocket")];
    let with = |field| http1("/", &[&upgrade[..], &[field]].concat());
    assert_eq!(with(("content-length", "5")), Err(Rejection::UpgradeWithBody));
    assert_eq!(with(("transfer-encoding", "chunked")), Err(Rejection::UpgradeWithBody));
    assert!(with(("content-length", "0")).is_ok());
}

#[test]
fn fields_with_underscores_are_what_the_service_wants() {
    let fields = [HOST, ("x_real_ip", "1.2.3.4"), ("x_other", "1"), ("x-other", "stays")];
    let settled = |wanted| {
        let mut request = request(Version::HTTP_11, "/", &fields);
        assert!(admit(&mut request).expect("fine").has_underscores);
        let settled = settle_underscores(request.fields_mut(), wanted);
        let has = |name| request.fields().contains(name);
        settled.map(|()| ["x_real_ip", "x_other", "x-other"].map(has))
    };
    assert_eq!(settled(UnderscoreFields::Drop), Ok([false, false, true]));
    assert_eq!(settled(UnderscoreFields::Pass), Ok([false, true, true]));
    assert_eq!(settled(UnderscoreFields::Refuse), Err(Rejection::UnderscoreField));
    let mut plain = request(Version::HTTP_11, "/", &[HOST]);
    assert!(!admit(&mut plain).expect("fine").has_underscores);
}

proptest! {
    /// What is let through has what everything behind the gate relies on.
    #[test]
    fn what_is_admitted_is_unambiguous(
        is_http2: bool,
        method in "(GET|POST|OPTIONS|CONNECT|TRACE|get|X)",
        target in "(/|\\*|https?://a(:80)?/?|ftp://a/)[a-z\\\\?#%./*;\\[\\]]{0,6}",
        fields in proptest::collection::vec(
            ("(host|content-length|transfer-encoding|upgrade|te|connection|x_y|x-y)",
             "(a|a:80|b|0|5|05|5,5|chunked|websocket|trailers| ?x ?)"), 0..5),
    ) {
        let Ok(uri) = target.parse::<http::Uri>() else { return Ok(()) };
        let mut request = Request::new(());
        *request.version_mut() = if is_http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        *request.method_mut() = method.parse().expect("a method");
        *request.uri_mut() = uri;
        for (name, value) in &fields {
            let name: HeaderName = name.parse().expect("a name");
            request.fields_mut().append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let Ok(admitted) = admit(&mut request) else { return Ok(()) };
        prop_assert!(AdmittedHost::new(admitted.host.value().clone()).is_some_and(|again| again == admitted.host));
        let count = |name: &str| request.fields().get_all(name).count();
        let hosts = count("host") + usize::from(request.uri().authority().is_some());
        prop_assert_eq!(hosts, 1);
        prop_assert!(count("content-length") + count("transfer-encoding") <= 1);
        let is_asterisk = request.uri().path() == "*" && request.method() == Method::OPTIONS;
        prop_assert!(is_asterisk || request.uri().path().starts_with('/'));
    }
}
