//! Clients over HTTP/1.1 that do not move: each is told where it can be, and its wait has a reason.

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::street_to;
use crate::kit::RawOrigin;
use crate::kit::TwoSites;
use crate::kit::eventually;
use crate::kit::proxy::log_line;
use crate::kit::within;

/// SPEC PX-5
#[tokio::test]
async fn a_head_that_does_not_end_is_a_408() {
    let street = Box::pin(TwoSites::with("[timeouts]\nrequest_head = \"200ms\"")).await;
    let answer = street.client("shop.test").say(b"GET / HTTP/1.1\r\nhost: sh").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    is_told(&street, "request_head_timeout", Some(408)).await;
    assert!(street.shop.seen().is_empty());
}

/// SPEC PX-5: before there is a response, the client is told; the origin never takes what it got for all.
#[tokio::test]
async fn a_body_that_does_not_end_is_a_408() {
    for (number, body) in [
        "content-length: 9\r\n\r\nhalf",
        "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "transfer-encoding: chunked\r\n\r\n4\r\nha",
        "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        "content-length: 9\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let origin = RawOrigin::silent().await;
        let timeouts = "[timeouts]\nrequest_body = \"200ms\"";
        let street = Box::pin(street_to(&origin.endpoint(), "", timeouts)).await;
        let request = format!("POST / HTTP/1.1\r\nhost: shop.test\r\n{body}");
        let answer = street.client("shop.test").say(request.as_bytes()).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{number}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{number}: {answer}");
        is_told(&street, "request_body_timeout", Some(408)).await;
    }
}

/// SPEC PX-5: over HTTP/2 to the origin as well.
#[tokio::test]
async fn a_body_that_does_not_end_is_not_the_fault_of_an_http2_origin() {
    let origin = crate::kit::Origin::saying_over_http2("hello").await;
    let timeouts = "[timeouts]\nrequest_body = \"200ms\"";
    let street = Box::pin(street_to(&origin.endpoint(), "protocol = \"http2\"", timeouts)).await;
    let request = b"POST /held HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 9\r\n\r\nhalf";
    let answer = street.client("shop.test").say(request).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    is_told(&street, "request_body_timeout", Some(408)).await;
}

/// SPEC PX-5: after a response has begun, it is cut.
#[tokio::test]
async fn a_body_that_does_not_end_cuts_a_response_that_has_begun() {
    let origin =
        RawOrigin::beginning(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await;
    let timeouts = "[timeouts]\nrequest_body = \"200ms\"";
    let street = Box::pin(street_to(&origin.endpoint(), "protocol = \"http1\"", timeouts)).await;
    let request = b"POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 9\r\n\r\nhalf";
    let answer = street.client("shop.test").say(request).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("only this"), "{answer}");
    is_told(&street, "request_body_timeout", Some(200)).await;
}

/// SPEC PX-5
#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let street = Box::pin(TwoSites::with("[timeouts]\nresponse_write = \"200ms\"")).await;
    let mut session = street.client("shop.test").handshake().await.unwrap();
    let request = b"GET /bytes/50000000 HTTP/1.1\r\nhost: shop.test\r\n\r\n";
    within("to ask", session.stream.write_all(request)).await.unwrap();
    within("to flush", session.stream.flush()).await.unwrap();
    is_told(&street, "client_write_timeout", None).await;
    let active = "portcullis_connections_active";
    street.proxy.metric_becomes(active, &[("virtual_service", "shop")], 0.0).await;
    drop(session);
}

/// SPEC PX-5: a connection on which nothing was ever asked is closed without a word.
#[tokio::test]
async fn a_client_that_asks_nothing_is_let_go() {
    let street = Box::pin(TwoSites::with("[timeouts]\nrequest_head = \"200ms\"")).await;
    let answer = street.client("shop.test").say(b"").await.unwrap_or_default();
    assert_eq!(answer, "");
}

/// SPEC PX-5: a client that leaves in the middle of a body has not sent a whole one, and the endpoint
/// pays nothing for it.
#[tokio::test]
async fn a_body_that_breaks_off_is_the_clients_fault() {
    for body in ["content-length: 9\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
    {
        let origin = RawOrigin::silent().await;
        let street = Box::pin(street_to(&origin.endpoint(), "protocol = \"http1\"", "")).await;
        let mut session = street.client("shop.test").handshake().await.unwrap();
        let request = format!("POST / HTTP/1.1\r\nhost: shop.test\r\n{body}");
        within("to ask", session.stream.write_all(request.as_bytes())).await.unwrap();
        within("to leave", session.stream.shutdown()).await.unwrap();
        is_told(&street, "client_body", Some(400)).await;
        eventually("the end at the origin", async || (origin.left() == 1).then_some(())).await;
        let endpoint = [("pool", "shop"), ("endpoint", &*origin.endpoint())];
        let ejected = "portcullis_endpoint_ejections_total";
        assert_eq!(street.proxy.metric(ejected, &endpoint).await, 0.0);
    }
}

/// There is one line with this reason, and one count.
async fn is_told(street: &TwoSites, reason: &str, status: Option<u16>) {
    let is_it = |line: &Value| line["error.type"] == reason;
    let line = Box::pin(log_line(&street.site, reason, is_it)).await;
    if let Some(status) = status {
        assert_eq!(line["http.response.status_code"], status, "{line:#}");
    }
    assert_eq!(line["portcullis.virtual_service"], "shop", "{line:#}");
    let labels = [("virtual_service", "shop"), ("reason", reason)];
    street.proxy.metric_becomes("portcullis_http_request_failures_total", &labels, 1.0).await;
}
