//! Requests whose end can be seen in two ways, or that are not to the letter: refused, and the connection
//! with them, before an origin has heard of anything.

use serde_json::Value;

use super::street_to;
use crate::kit::RawOrigin;
use crate::kit::TwoSites;
use crate::kit::proxy::log_line;

/// SPEC PX-5: CL.TE, TE.CL, TE.TE, CL.0, and lines that end as they should not.
#[tokio::test]
async fn a_head_with_two_meanings_reaches_no_origin() {
    let street = Box::pin(TwoSites::start()).await;
    for (what, head, reason) in HEADS {
        let request =
            format!("{head}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: shop.test\r\n\r\n");
        let answer = street.client("shop.test").say(request.as_bytes()).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{what}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{what}: {answer}");
        let is_it = |line: &Value| line["error.type"] == *reason;
        let line = Box::pin(log_line(&street.site, what, is_it)).await;
        assert_eq!(line["http.response.status_code"], 400, "{what}: {line:#}");
        assert_eq!(line["portcullis.virtual_service"], "shop", "{what}: {line:#}");
    }
    assert!(street.shop.seen().is_empty(), "{:?}", street.shop.seen());
    assert_eq!(street.shop.connections(), 0);
    for reason in ["bad_length", "bad_transfer_coding", "malformed_request", "bad_target"] {
        let labels = [("virtual_service", "shop"), ("reason", reason)];
        let expected = HEADS.iter().filter(|(_, _, of)| *of == reason).count() as f64;
        let metric = "portcullis_http_request_failures_total";
        street.proxy.metric_becomes(metric, &labels, expected).await;
    }
}

/// SPEC PX-5: chunks that another reader would read otherwise are the client's fault, and what follows
/// them is no request.
#[tokio::test]
async fn chunks_with_two_meanings_are_no_whole_request() {
    let origin = RawOrigin::silent().await;
    let street = Box::pin(street_to(&origin.endpoint(), "protocol = \"http1\"", "")).await;
    for (what, chunks) in CHUNKS {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\r\n{chunks}\
             GET /smuggled HTTP/1.1\r\nhost: shop.test\r\n\r\n"
        );
        let answer = street.client("shop.test").say(request.as_bytes()).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{what}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{what}: {answer}");
    }
    let heads = origin.heads();
    assert!(heads.iter().all(|head| head.starts_with("POST / ")), "{heads:?}");
    let labels = [("virtual_service", "shop"), ("reason", "client_body")];
    let metric = "portcullis_http_request_failures_total";
    street.proxy.metric_becomes(metric, &labels, CHUNKS.len() as f64).await;
}

/// SPEC PX-5: what is too long, too much, or from another time has a status of its own.
#[tokio::test]
async fn heads_beyond_the_limits_are_told_which() {
    let limits = "[limits]\nrequest_head = \"8KiB\"\nrequest_line = \"1KiB\"\nrequest_fields = 5";
    let street = Box::pin(TwoSites::with(limits)).await;
    let fields = |count| "x: y\r\n".repeat(count);
    let long = "y".repeat(2_000);
    for (request, status, reason) in [
        (format!("GET /{long} HTTP/1.1\r\nhost: shop.test\r\n\r\n"), 414, "request_line_too_long"),
        (
            format!("GET / HTTP/1.1\r\nhost: shop.test\r\n{}\r\n", fields(5)),
            431,
            "request_head_too_large",
        ),
        (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", long.repeat(5)), 431, "request_head_too_large"),
        ("GET / HTTP/3.0\r\nhost: shop.test\r\n\r\n".to_owned(), 505, "version_not_served"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505, "version_not_served"),
    ] {
        let answer = street.client("shop.test").say(request.as_bytes()).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{reason}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{reason}: {answer}");
        let is_it = |line: &Value| line["error.type"] == reason;
        let line = Box::pin(log_line(&street.site, reason, is_it)).await;
        assert_eq!(line["http.response.status_code"], status, "{line:#}");
    }
    let fine = format!("GET / HTTP/1.1\r\nhost: shop.test\r\n{}\r\n", fields(3));
    let fine = fine.replacen("x: y", "connection: close\r\nx: y", 1);
    let answer = street.client("shop.test").say(fine.as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(street.shop.seen().len(), 1);
}

/// What it is, a head without its end, and the reason.
const HEADS: &[(&str, &str, &str)] = &[
    (
        "CL.TE",
        "POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 4\r\ntransfer-encoding: chunked",
        "bad_length",
    ),
    (
        "TE.CL",
        "POST / HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\ncontent-length: 4",
        "bad_length",
    ),
    (
        "TE.TE",
        "POST / HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\ntransfer-encoding: x",
        "bad_transfer_coding",
    ),
    (
        "TE, a list",
        "POST / HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: identity, chunked",
        "bad_transfer_coding",
    ),
    (
        "TE, another word",
        "POST / HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: xchunked",
        "bad_transfer_coding",
    ),
    (
        "TE, vertical tab",
        "POST / HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding:\u{b}chunked",
        "malformed_request",
    ),
    (
        "TE over HTTP/1.0",
        "POST / HTTP/1.0\r\nhost: shop.test\r\ntransfer-encoding: chunked",
        "bad_transfer_coding",
    ),
    (
        "CL twice",
        "POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 0\r\ncontent-length: 4",
        "bad_length",
    ),
    (
        "CL twice the same",
        "POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 4\r\ncontent-length: 4",
        "bad_length",
    ),
    ("CL, a list", "POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 4, 4", "bad_length"),
    ("CL with a sign", "POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: +4", "bad_length"),
    (
        "CL of 20 digits",
        "POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 18446744073709551620",
        "bad_length",
    ),
    (
        "CL in hexadecimal",
        "POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 0x4",
        "bad_length",
    ),
    ("bare LF", "GET / HTTP/1.1\r\nhost: shop.test\nx: y", "malformed_request"),
    ("bare CR", "GET / HTTP/1.1\r\nhost: shop.test\rx: y", "malformed_request"),
    ("NUL", "GET / HTTP/1.1\r\nhost: shop.test\r\nx: \0", "malformed_request"),
    ("a folded line", "GET / HTTP/1.1\r\nhost: shop.test\r\nx: y\r\n z", "malformed_request"),
    ("a folded first line", "GET / HTTP/1.1\r\n x: y\r\nhost: shop.test", "malformed_request"),
    (
        "space before the colon",
        "GET / HTTP/1.1\r\nhost: shop.test\r\ncontent-length : 4",
        "malformed_request",
    ),
    ("no name", "GET / HTTP/1.1\r\nhost: shop.test\r\n: x", "malformed_request"),
    ("two spaces", "GET  / HTTP/1.1\r\nhost: shop.test", "bad_target"),
    ("a fragment", "GET /#x HTTP/1.1\r\nhost: shop.test", "bad_target"),
    ("HTTP/0.9", "GET /", "malformed_request"),
];

/// What it is, and the body.
const CHUNKS: &[(&str, &str)] = &[
    ("no digits", "\r\n\r\n"),
    ("no number", "zz\r\n"),
    ("a sign", "+0\r\n\r\n"),
    ("a prefix", "0x0\r\n\r\n"),
    ("space before", " 0\r\n\r\n"),
    ("space after", "0 \r\n\r\n"),
    ("17 digits", "00000000000000000\r\n\r\n"),
    ("beyond 64 bits", "10000000000000000\r\n\r\n"),
    ("bare LF after a size", "0\n\r\n"),
    ("bare LF in an extension", "1;x\nx\r\n0\r\n\r\n"),
    ("bare CR in an extension", "1;x\rx\r\n0\r\n\r\n"),
    ("bare LF after a chunk", "1\r\nx\n0\r\n\r\n"),
    ("a chunk that is longer", "1\r\nxy\r\n0\r\n\r\n"),
    ("bare LF after trailers", "0\r\nx: y\n\r\n"),
    ("a folded trailer", "0\r\nx: y\r\n z\r\n\r\n"),
];
