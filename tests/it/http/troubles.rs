//! Origins that do not answer, or not as they should: what the client gets, and the reason.

use serde_json::Value;

use crate::http::street_to;
use crate::kit::RawOrigin;
use crate::kit::TwoSites;
use crate::kit::proxy::log_line;
use crate::kit::raw_origin::unused_port;

/// PX-5
#[tokio::test]
async fn an_origin_that_is_not_there_is_a_502() {
    let street = TwoSites::start().await;
    let nobody = format!("127.0.0.1:{}", unused_port().await);
    let (status, line) = trouble(&street, &nobody, "").await;
    assert_eq!(status, 502);
    assert_eq!(line["portcullis.endpoint"], nobody, "{line:#}");
    let failures = [("pool", "shop"), ("endpoint", &*nobody)];
    let counter = "portcullis_endpoint_connect_failures_total";
    assert!(street.proxy.metric(counter, &failures).await >= 1.0);
}

/// PX-5
#[tokio::test]
async fn an_origin_that_does_not_answer_in_time_is_a_504() {
    let origin = RawOrigin::silent().await;
    let street = TwoSites::start().await;
    let keys = "first_byte_timeout = \"300ms\"";
    let (status, line) = trouble(&street, &origin.endpoint(), keys).await;
    assert_eq!(status, 504, "{line:#}");
    assert_eq!(origin.heads().len(), 1, "a request that was sent is not sent again: {line:#}");
}

/// PX-1
#[tokio::test]
async fn an_origin_that_hangs_up_is_a_502() {
    let origin = RawOrigin::answering(b"").await;
    let street = TwoSites::start().await;
    let (status, _) = trouble(&street, &origin.endpoint(), "").await;
    assert_eq!(status, 502);
}

/// PX-1
#[tokio::test]
async fn an_origin_that_speaks_something_else_is_a_502() {
    for answer in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"HTTP/1.1 abc nonsense\r\n\r\n"] {
        let origin = RawOrigin::answering(answer).await;
        let street = TwoSites::start().await;
        let (status, _) = trouble(&street, &origin.endpoint(), "").await;
        assert_eq!(status, 502);
    }
}

/// PX-5
#[tokio::test]
async fn a_response_head_without_end_is_a_502() {
    let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
    for number in 0..4_000 {
        answer.extend_from_slice(format!("x-{number}: {}\r\n", "y".repeat(60)).as_bytes());
    }
    answer.extend_from_slice(b"\r\n");
    let origin = RawOrigin::answering(&answer).await;
    let street = TwoSites::start().await;
    let (status, _) = trouble(&street, &origin.endpoint(), "").await;
    assert_eq!(status, 502);
}

/// PX-1: what nobody can mean is not passed on, and neither is a status that is none.
#[tokio::test]
async fn floods_of_interim_responses_and_statuses_that_are_none_are_a_502() {
    let flood = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n".repeat(200);
    let flood = [&flood, &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..]].concat();
    let none = b"HTTP/1.1 700 X\r\ncontent-length: 0\r\n\r\n";
    let switch = b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    for (answer, reason) in
        [(&*flood, "interim_flood"), (&none[..], "invalid_status"), (&switch[..], "unasked_switch")]
    {
        let origin = RawOrigin::answering(answer).await;
        let street = TwoSites::start().await;
        let (status, line) = trouble(&street, &origin.endpoint(), "").await;
        assert_eq!((status, &line["error.type"]), (502, &Value::from(reason)), "{line:#}");
    }
}

/// PX-5: an endpoint that falls silent in the middle of a body is cut, and so is its client.
#[tokio::test]
async fn a_response_that_stops_flowing_is_cut() {
    let origin =
        RawOrigin::beginning(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await;
    let street = street_to(&origin.endpoint(), "body_timeout = \"50ms\"", "").await;
    let client = street.client("shop.test");
    assert!(client.http1().await.try_get("/http1").await.is_err());
    assert!(client.http2().await.try_get("/http2").await.is_err());
    for path in ["/http1", "/http2"] {
        let line = log_line(&street.site, path, |line: &Value| line["url.path"] == path).await;
        assert_eq!(line["error.type"], "response_body_timeout", "{line:#}");
    }
}

/// PX-1: gRPC clients are told in gRPC what they are not given.
#[tokio::test]
async fn a_grpc_call_that_fails_is_told_so_in_grpc() {
    let nobody = format!("127.0.0.1:{}", unused_port().await);
    let street = street_to(&nobody, "protocol = \"http2\"", "").await;
    let mut http = street.client("shop.test").http2().await;
    let call = http.head(hyper::Method::POST, "/service/Method");
    let call = call.header("content-type", "application/grpc").header("te", "trailers");
    let call = call.body(crate::kit::http::full(vec![0, 0, 0, 0, 0])).unwrap();
    let reply = http.send(call).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/grpc");
    assert_eq!(reply.header("grpc-status"), "14");
    assert_eq!(reply.header("grpc-message"), "Bad Gateway");
    assert!(reply.body.is_empty());
    let line = log_line(&street.site, "the call", |line: &Value| line["error.type"] != Value::Null);
    assert_eq!(line.await["error.type"], "connect_refused");
}

/// PX-5
#[tokio::test]
async fn a_request_head_without_end_is_a_431() {
    let street = TwoSites::start().await;
    let request =
        format!("GET / HTTP/1.1\r\nhost: shop.test\r\nx-long: {}\r\n\r\n", "y".repeat(100_000));
    let answer = street.client("shop.test").say(request.as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(street.shop.seen().is_empty());
}

/// PX-5
#[tokio::test]
async fn a_client_that_does_not_finish_its_request_head_is_let_go() {
    let street = TwoSites::with("[timeouts]\nrequest_head = \"300ms\"\ndrain = \"5s\"").await;
    let answer = street.client("shop.test").say(b"GET / HTTP/1.1\r\nhost: shop").await;
    let answer = answer.unwrap_or_default();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(street.shop.seen().is_empty());
}

/// PX-5
#[tokio::test]
async fn an_idle_connection_is_let_go() {
    let street = TwoSites::with("[timeouts]\nkeep_alive = \"300ms\"\ndrain = \"5s\"").await;
    let mut http1 = street.client("shop.test").http1().await;
    http1.get("/").await;
    http1.closed().await;
    let mut http2 = street.client("shop.test").http2().await;
    http2.get("/").await;
    http2.closed().await;
}

/// PX-5: what a client that hangs up leaves behind is nothing.
#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let street = TwoSites::start().await;
    let mut http = street.client("shop.test").http2().await;
    let request = http.head(hyper::Method::GET, "/held").body(crate::kit::http::empty());
    let waiting = tokio::spawn(http.begin(request.unwrap()));
    let shop = [("virtual_service", "shop")];
    street.proxy.metric_becomes("portcullis_http_requests_active", &shop, 1.0).await;
    waiting.abort();
    drop(http);
    street.proxy.metric_becomes("portcullis_http_requests_active", &shop, 0.0).await;
    street.proxy.metric_becomes("portcullis_connections_active", &shop, 0.0).await;
}

/// Points `shop` at this endpoint and asks over both protocols: the status and the last log line.
async fn trouble(street: &TwoSites, endpoint: &str, keys: &str) -> (u16, Value) {
    let old = format!("endpoints = [\"{}\"]", street.shop.endpoint());
    let new = format!("endpoints = [\"{endpoint}\"]\n{keys}");
    street.site.configure(&street.toml("").replace(&old, &new));
    street.proxy.reload().await;
    let visit = street.client("shop.test").visit().await.unwrap();
    let failed = |line: &Value| line["http.response.status_code"] == visit.status;
    let line = log_line(&street.site, "the failure", failed).await;
    assert_eq!(line["portcullis.virtual_service"], "shop");
    let reason = line["error.type"].as_str().unwrap_or_else(|| panic!("a reason: {line:#}"));
    let failures = [("virtual_service", "shop"), ("reason", reason)];
    street.proxy.metric_becomes("portcullis_http_request_failures_total", &failures, 1.0).await;
    (visit.status, line)
}
