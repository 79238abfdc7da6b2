//! The gate and the fields in both directions, seen from the origin: nothing ambiguous gets there, and
//! nothing that a client says in the proxy's name.

use hyper::HeaderMap;
use hyper::Method;
use hyper::body::Frame;
use hyper::header::HeaderValue;
use serde_json::Value;

use super::Crossing;
use super::TwoSites;
use super::street_to;
use crate::kit::Tape;
use crate::kit::http::empty;
use crate::kit::http::pieces;
use crate::kit::proxy::log_line;

/// SPEC PX-1, VS-6 (RFC 9112): what is no proper request is a 4xx, ends the connection, and reaches
/// nobody.
#[tokio::test]
async fn what_is_no_request_is_refused_and_ends_the_connection() {
    let street = TwoSites::start().await;
    for (head, status, reason) in [
        ("TRACE / HTTP/1.1\r\nhost: shop.test", 405, "method_not_allowed"),
        ("CONNECT shop.test:443 HTTP/1.1\r\nhost: shop.test:443", 405, "method_not_allowed"),
        ("GET * HTTP/1.1\r\nhost: shop.test", 400, "bad_target"),
        ("GET /a\\b HTTP/1.1\r\nhost: shop.test", 400, "bad_target"),
        ("GET ftp://shop.test/ HTTP/1.1\r\nhost: shop.test", 400, "bad_target"),
        ("GET / HTTP/1.1\r\nhost: user@shop.test", 400, "bad_host"),
        ("GET / HTTP/1.1\r\nhost: shop.test\r\nhost: shop.test", 400, "bad_host"),
        ("GET http://blog.test/ HTTP/1.1\r\nhost: shop.test", 400, "host_conflict"),
        ("POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 05", 400, "bad_length"),
        (
            "GET / HTTP/1.1\r\nhost: shop.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             content-length: 5",
            400,
            "upgrade_with_body",
        ),
        (
            "POST / HTTP/1.1\r\nhost: shop.test\r\nconnection: upgrade\r\nupgrade: h2c\r\n\
             transfer-encoding: chunked",
            400,
            "upgrade_with_body",
        ),
        (
            "POST / HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: gzip, chunked",
            400,
            "bad_transfer_coding",
        ),
    ] {
        let request =
            format!("{head}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: shop.test\r\n\r\n");
        // The connection ends by itself: nothing asks for that.
        let answer = street.client("shop.test").say(request.as_bytes()).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{head}: {answer}");
        let line = log_line(&street.site, head, |line| line["error.type"] == reason).await;
        assert_eq!(line["http.response.status_code"], status, "{line:#}");
    }
    assert!(street.shop.seen().is_empty());
    assert!(street.blog.seen().is_empty());
}

/// SPEC PX-1 (RFC 9113, section 8): the same over HTTP/2, where only the stream ends.
#[tokio::test]
async fn what_is_no_request_over_http2_is_refused_too() {
    let street = TwoSites::start().await;
    let mut http = street.client("shop.test").http2().await;
    for (method, uri, field, status) in [
        (Method::TRACE, "https://shop.test/", ("x", "y"), 405),
        (Method::CONNECT, "shop.test:443", ("x", "y"), 405),
        (Method::GET, "gopher://shop.test/", ("x", "y"), 400),
        (Method::GET, "https://user@shop.test/", ("x", "y"), 400),
        (Method::GET, "https://shop.test/a\\b", ("x", "y"), 400),
        (Method::GET, "https://shop.test/", ("host", "blog.test"), 400),
        (Method::GET, "https://shop.test/", ("x", "padded "), 400),
    ] {
        let request = hyper::Request::builder().method(&method).uri(uri).header(field.0, field.1);
        let reply = http.send(request.body(empty()).unwrap()).await.unwrap();
        assert_eq!(reply.status, status, "{method} {uri} {field:?}");
    }
    assert!(street.shop.seen().is_empty());
    assert_eq!(http.get("/").await.text(), "hello from shop", "and goes on");
}

/// SPEC PX-3: fields with underscores, as the service wants them.
#[tokio::test]
async fn fields_with_underscores_are_dropped_refused_or_passed() {
    for wanted in ["drop", "refuse", "pass"] {
        let keys = format!("underscore_fields = \"{wanted}\"");
        let street = TwoSites::with(&keys).await;
        for over_http2 in [false, true] {
            let client = street.client("blog.test");
            let mut http = if over_http2 { client.http2().await } else { client.http1().await };
            let head = http.head(Method::GET, "/").header("x_mine", "1");
            let head = head.header("x_forwarded_for", "6.6.6.6").header("x_real_ip", "6.6.6.6");
            let reply = http.send(head.body(empty()).unwrap()).await.unwrap();
            if wanted == "refuse" {
                assert_eq!(reply.status, 400);
                continue;
            }
            let seen = street.blog.last();
            assert_eq!(seen.headers.contains_key("x_mine"), wanted == "pass", "{wanted}");
            assert!(!format!("{:?}", seen.headers).contains("6.6.6.6"), "{wanted}: {seen:?}");
        }
        if wanted == "refuse" {
            let is_it = |line: &Value| line["error.type"] == "underscore_field";
            log_line(&street.site, wanted, is_it).await;
            assert!(street.blog.seen().is_empty());
        }
    }
}

/// SPEC PX-1 (RFC 9110, section 7.6.1): a client names what the proxy is to remove, and gets it, but
/// for what the proxy itself says.
#[tokio::test]
async fn naming_the_proxys_fields_in_connection_removes_none_of_them() {
    let street = TwoSites::start().await;
    let request = "POST /named HTTP/1.1\r\nhost: shop.test\r\nconnection: x-one, host\r\n\
                   connection: content-length, X-Forwarded-For, x-real-ip, x-forwarded-proto\r\n\
                   connection: x-request-id, traceparent, x-two, close\r\nx-one: 1\r\nx-two: 2\r\n\
                   x-three: 3\r\nproxy: http://evil\r\ncontent-length: 5\r\n\r\nhello";
    let answer = street.client("shop.test").say(request.as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = street.shop.last();
    for (name, value) in [
        ("host", "shop.test"),
        ("content-length", "5"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-three", "3"),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
    for name in ["x-request-id", "traceparent"] {
        assert!(!seen.header(name).is_empty(), "{name}");
    }
    for name in ["x-one", "x-two", "proxy", "connection"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
}

/// SPEC PX-1 (RFC 9113, section 8.2.3)
#[tokio::test]
async fn cookie_crumbs_are_one_cookie_for_every_endpoint() {
    for mut crossing in Crossing::all().await {
        let head = crossing.http.head(Method::GET, "/");
        let head = head.header("cookie", "a=1").header("cookie", "b=2");
        crossing.http.send(head.body(empty()).unwrap()).await.unwrap();
        let seen = crossing.origin.last();
        let cookies: Vec<_> = seen.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2"], "{}", crossing.what);
    }
}

/// SPEC PX-1 (RFC 9110, section 6.5.1): what decides about a request does not come after it.
#[tokio::test]
async fn trailers_of_requests_say_nothing_in_the_proxys_name() {
    let tape = Tape::answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let street = street_to(&tape.endpoint(), "", "").await;
    let request = "POST / HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\
                   connection: close\r\ntrailer: x-sum, x-forwarded-for, authorization\r\n\r\n\
                   2\r\nhi\r\n0\r\nx-sum: 1\r\nx-forwarded-for: 6.6.6.6\r\n\
                   authorization: stolen\r\ncontent-length: 66\r\n\r\n";
    let answer = street.client("shop.test").say(request.as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let text = tape.text();
    assert!(text.ends_with("0\r\nx-sum: 1\r\n\r\n"), "{text}");

    let mut http = street.client("shop.test").http2().await;
    let (mut sender, body) = pieces();
    let head = http.head(Method::POST, "/http2").header("trailer", "x-sum, x-real-ip, host");
    let sending = http.begin(head.body(body).unwrap());
    let mut trailers = HeaderMap::new();
    for name in ["x-sum", "x-real-ip", "host", "set-cookie"] {
        trailers.insert(name, HeaderValue::from_static("6.6.6.6"));
    }
    sender.send(Frame::trailers(trailers)).await.unwrap();
    drop(sender);
    assert_eq!(crate::kit::within("an answer", sending).await.unwrap().status(), 200);
    let text = tape.text();
    assert_eq!(text.matches("6.6.6.6").count(), 1, "{text}");
    assert!(text.ends_with("0\r\nx-sum: 6.6.6.6\r\n\r\n"), "{text}");
}

/// SPEC PX-1: nor do trailers of responses.
#[tokio::test]
async fn trailers_of_responses_decide_nothing() {
    let tape = Tape::answering(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, set-cookie\r\n\r\n\
          2\r\nhi\r\n0\r\nx-sum: 1\r\nset-cookie: a=1\r\ncontent-length: 7\r\n\r\n",
    )
    .await;
    let street = street_to(&tape.endpoint(), "", "").await;
    let client = street.client("shop.test");
    for mut http in [client.http1().await, client.http2().await] {
        let head = http.head(Method::GET, "/").header("te", "trailers");
        let reply = http.send(head.body(empty()).unwrap()).await.unwrap();
        assert_eq!(reply.text(), "hi");
        let names: Vec<_> = reply.trailers.keys().map(hyper::header::HeaderName::as_str).collect();
        assert_eq!(names, ["x-sum"]);
    }
}
