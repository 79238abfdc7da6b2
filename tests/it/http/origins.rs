//! What origins must not do: each is a 502 with a reason of its own, or a cut, and nobody's next
//! response is any the worse for it.

use hyper::Method;
use serde_json::Value;

use super::TwoSites;
use super::street_to;
use crate::kit::RawOrigin;
use crate::kit::Tape;
use crate::kit::eventually;
use crate::kit::http::empty;
use crate::kit::proxy::log_line;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// SPEC PX-1 (RFC 9112, sections 4 to 7): heads that are none.
#[tokio::test]
async fn a_head_that_is_none_is_a_502_with_its_reason() {
    let street = TwoSites::start().await;
    let long = [b"HTTP/1.1 200 OK\r\nx: ", &*b"y".repeat(200_000), b"\r\n\r\n"].concat();
    for (answer, reason) in [
        (&b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n"[..], "invalid_status"),
        (b"HTTP/1.1 600 High\r\ncontent-length: 0\r\n\r\n", "invalid_status"),
        (b"HTTP/1.1 999 Higher\r\ncontent-length: 0\r\n\r\n", "invalid_status"),
        (b"HTTP/1.1 20 Short\r\ncontent-length: 0\r\n\r\n", "invalid_status"),
        (b"HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n", "invalid_response"),
        (b"HTTP/1.1 200 OK\r\nbad name: 1\r\n\r\n", "invalid_response"),
        (b"HTTP/1.1 200 OK\r\nx : 1\r\n\r\n", "invalid_response"),
        (b"HTTP/1.1 200 OK\r\nx: 1\r\n folded\r\n\r\n", "invalid_response"),
        (b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", "invalid_response"),
        (&long, "response_head_too_large"),
    ] {
        Box::pin(refused(&street, answer, reason)).await;
    }
}

/// SPEC PX-1 (RFC 9112, section 6.3): ends that can be seen in two ways.
#[tokio::test]
async fn a_response_with_two_ends_is_a_502_with_its_reason() {
    let street = TwoSites::start().await;
    for (fields, reason) in [
        ("content-length: 5\r\ntransfer-encoding: chunked", "length_and_coding"),
        ("transfer-encoding: chunked\r\ncontent-length: 5", "length_and_coding"),
        ("content-length: 5\r\ncontent-length: 6", "invalid_response"),
        ("content-length: 5\r\ncontent-length: 5", "bad_response_length"),
        ("content-length: 5, 5", "bad_response_length"),
        ("content-length: +5", "invalid_response"),
        ("content-length: five", "invalid_response"),
        ("transfer-encoding: gzip, chunked", "bad_response_coding"),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", "bad_response_coding"),
        ("transfer-encoding: identity", "bad_response_coding"),
        ("transfer-encoding: xchunked", "bad_response_coding"),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        Box::pin(refused(&street, answer.as_bytes(), reason)).await;
    }
    let old = b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    Box::pin(refused(&street, old, "invalid_response")).await;
}

/// SPEC PX-1: what nobody asked for, and more than anybody can mean.
#[tokio::test]
async fn switches_that_nobody_asked_for_and_floods_are_a_502_with_their_reasons() {
    let street = TwoSites::start().await;
    let switch = b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nbytes";
    Box::pin(refused(&street, switch, "unasked_switch")).await;
    for interim in ["100 Continue", "102 Processing", "103 Early Hints", "199 X"] {
        let flood = format!("HTTP/1.1 {interim}\r\n\r\n").repeat(40);
        Box::pin(refused(&street, &[flood.as_bytes(), OK].concat(), "interim_flood")).await;
    }
    // As many as a page can mean are no flood.
    let some = [&*b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(20), OK].concat();
    let origin = RawOrigin::beginning(&some).await;
    let other = street_to(&origin.endpoint(), "", "").await;
    assert_eq!(other.client("shop.test").http1().await.get("/").await.text(), "hello");
}

/// SPEC PX-1: a client that can be told of no interim response is not made to wait by them.
#[tokio::test]
async fn a_flood_ends_for_clients_of_http10_and_for_websockets_too() {
    let flood = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10_000);
    let origin = RawOrigin::beginning(&flood).await;
    let street = street_to(&origin.endpoint(), "", "").await;
    let client = street.client("shop.test");
    let old = client.say(b"GET /old HTTP/1.0\r\nhost: shop.test\r\n\r\n").await.unwrap();
    assert!(old.contains(" 502 "), "{old}");
    let websocket = b"GET /ws HTTP/1.1\r\nhost: shop.test\r\nconnection: upgrade, close\r\n\
                      upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                      sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let websocket = client.say(websocket).await.unwrap();
    assert!(websocket.contains(" 502 "), "{websocket}");
    for path in ["/old", "/ws"] {
        let line = log_line(&street.site, path, |line: &Value| line["url.path"] == path).await;
        assert_eq!(line["error.type"], "interim_flood", "{line:#}");
    }
}

/// SPEC PX-1: what an origin says on a connection that nobody asks on ends that connection, and is
/// nobody's response.
#[tokio::test]
async fn what_is_said_unasked_is_no_ones_response() {
    for garbage in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen"[..],
        b"stolen",
        b"\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        let tape = Tape::answering(OK).await;
        let street = street_to(&tape.endpoint(), "", "").await;
        let mut http = street.client("shop.test").http1().await;
        assert_eq!(http.get("/first").await.text(), "hello");
        tape.blurt(garbage);
        let what = String::from_utf8_lossy(garbage);
        eventually(&what, async || (tape.left() == 1).then_some(())).await;
        assert_eq!(http.get("/second").await.text(), "hello", "{what}");
        assert_eq!(tape.received().len(), 2, "{what}: another connection");
    }
}

/// SPEC PX-1: a body where there is none to be is nobody's response either.
#[tokio::test]
async fn a_body_where_there_is_none_is_no_ones_response() {
    for (method, answer) in [
        (Method::HEAD, &b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen"[..]),
        (Method::GET, b"HTTP/1.1 204 No Content\r\n\r\nstolen"),
        (Method::GET, b"HTTP/1.1 304 Not Modified\r\ncontent-length: 6\r\n\r\nstolen"),
        (Method::GET, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ] {
        let tape = Tape::answering(answer).await;
        let street = street_to(&tape.endpoint(), "", "").await;
        let mut http = street.client("shop.test").http1().await;
        for number in 1..=3 {
            let request = http.head(method.clone(), "/").body(empty()).unwrap();
            let reply = http.send(request).await.unwrap();
            assert!(reply.status.as_u16() < 400 && reply.body.is_empty(), "{number}: {reply:?}");
        }
        eventually("all of them left", async || (tape.left() == 3).then_some(())).await;
    }
}

/// SPEC PX-1: a body that ends before its time, or whose chunks do, breaks off at the client.
#[tokio::test]
async fn a_response_that_is_shorter_than_it_said_is_cut() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n",
    ] {
        let origin = RawOrigin::answering(answer).await;
        let street = street_to(&origin.endpoint(), "", "").await;
        let client = street.client("shop.test");
        assert!(client.http1().await.try_get("/http1").await.is_err());
        assert!(client.http2().await.try_get("/http2").await.is_err());
        for path in ["/http1", "/http2"] {
            let line = log_line(&street.site, path, |line: &Value| line["url.path"] == path).await;
            assert_eq!(line["error.type"], "upstream_truncated", "{line:#}");
        }
    }
}

/// Asks over both protocols: a 502 each time, with this reason, and the connection is left.
async fn refused(street: &TwoSites, answer: &[u8], reason: &str) {
    let what = String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
    let origin = RawOrigin::beginning(answer).await;
    let old = format!("endpoints = [\"{}\"]", street.shop.endpoint());
    let new = format!("endpoints = [\"{}\"]", origin.endpoint());
    street.site.configure(&street.toml("").replace(&old, &new));
    street.proxy.reload().await;
    let client = street.client("shop.test");
    for mut http in [client.http1().await, client.http2().await] {
        let reply = http.try_get("/").await.unwrap_or_else(|broken| panic!("{what}: {broken}"));
        assert_eq!(reply.status, 502, "{what}");
    }
    let endpoint = origin.endpoint();
    let is_it = |line: &Value| line["portcullis.endpoint"] == *endpoint;
    let line = log_line(&street.site, &what, is_it).await;
    assert_eq!(line["error.type"], reason, "{what}");
    eventually(&what, async || (origin.left() == 2).then_some(())).await;
    assert_eq!(origin.heads().len(), 2, "{what}");
}
