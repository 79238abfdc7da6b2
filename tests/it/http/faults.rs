//! Everything that an endpoint can do wrong with a response, and that nobody pays for it but those who
//! asked.

use serde_json::Value;

use super::street_to;
use crate::kit::RawOrigin;
use crate::kit::TwoSites;
use crate::kit::eventually;
use crate::kit::proxy::log_line;

/// SPEC PX-1, PX-5: where there was no response, there is one of the proxy.
#[tokio::test]
async fn a_response_that_never_came_is_a_502_with_its_reason() {
    let head = &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"[..];
    for (what, sent, reason) in [
        ("reset before the head", &b""[..], "upstream_closed"),
        ("reset in the head", head, "upstream_closed"),
    ] {
        let origin = RawOrigin::resetting_after(sent).await;
        Fault { what, status: 502, reason }.is_told(&origin).await;
    }
    let mut endless = b"HTTP/1.1 200 OK\r\n".to_vec();
    endless.extend_from_slice(&b"x-more: and more, and more, and more\r\n".repeat(10_000));
    let switch = b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    for (what, sent, reason) in [
        (
            "garbage",
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
            "invalid_response",
        ),
        ("two lengths", &[head, b"content-length: 6\r\n\r\nhello!"].concat(), "invalid_response"),
        ("a head without end", &endless, "response_head_too_large"),
        ("a switch that nobody asked for", switch, "unasked_switch"),
    ] {
        let origin = RawOrigin::beginning(sent).await;
        Fault { what, status: 502, reason }.is_told(&origin).await;
        is_left(what, &origin, 2).await;
    }
}

/// SPEC PX-1: where a response has begun, it breaks off at the client, too.
#[tokio::test]
async fn a_response_that_is_reset_breaks_off_with_its_reason() {
    for (what, sent) in [
        ("a length", &b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"[..]),
        ("chunks", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n"),
        ("half a chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly"),
    ] {
        let origin = RawOrigin::resetting_after(sent).await;
        Fault { what, status: 200, reason: "upstream_truncated" }.is_told(&origin).await;
    }
}

/// SPEC PX-1: chunks that are none break a response off, and end the connection.
#[tokio::test]
async fn a_chunk_that_is_none_breaks_off_with_its_reason() {
    let sent = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n";
    let origin = RawOrigin::beginning(sent).await;
    Fault { what: "chunk", status: 200, reason: "upstream_truncated" }.is_told(&origin).await;
    is_left("a bad chunk", &origin, 2).await;
}

/// SPEC PX-1: what comes after the end of a response belongs to no response, least of all to the next
/// client's.
#[tokio::test]
async fn what_is_sent_beyond_the_length_reaches_nobody() {
    let origin = RawOrigin::beginning(
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello\
          HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen",
    )
    .await;
    let street = Box::pin(street_to(&origin.endpoint(), "protocol = \"http1\"", "")).await;
    let mut http1 = street.client("shop.test").http1().await;
    let mut http2 = street.client("shop.test").http2().await;
    for number in 1..=5 {
        assert_eq!(http1.get("/http1").await.text(), "hello", "{number}");
        assert_eq!(http2.get("/http2").await.text(), "hello", "{number}");
    }
    assert_eq!(origin.heads().len(), 10, "a connection for each");
    is_left("a body that is too long", &origin, 10).await;
}

/// What a client gets and an operator reads.
struct Fault {
    what: &'static str,
    /// Of the log line. A response that had begun breaks off, whatever its status.
    status: u16,
    reason: &'static str,
}

impl Fault {
    /// Asks over both protocols.
    async fn is_told(&self, origin: &RawOrigin) {
        let Self { what, status, reason } = self;
        let street = Box::pin(street_to(&origin.endpoint(), "protocol = \"http1\"", "")).await;
        let client = street.client("shop.test");
        let mut http1 = Box::pin(client.http1()).await;
        let mut http2 = Box::pin(client.http2()).await;
        let one = Box::pin(http1.try_get("/http1")).await;
        let two = Box::pin(http2.try_get("/http2")).await;
        for reply in [one, two] {
            let got = reply.as_ref().map_or(200, |reply| reply.status.as_u16());
            assert_eq!((got, reply.is_ok()), (*status, *status != 200), "{what}: {reply:?}");
        }
        for path in ["/http1", "/http2"] {
            let is_it = |line: &Value| line["url.path"] == path;
            let line = Box::pin(log_line(&street.site, path, is_it)).await;
            assert_eq!(line["http.response.status_code"], *status, "{what}: {line:#}");
            assert_eq!(line["error.type"], *reason, "{what}: {line:#}");
        }
        Box::pin(self.is_counted(&street)).await;
    }

    async fn is_counted(&self, street: &TwoSites) {
        let labels = [("virtual_service", "shop"), ("reason", self.reason)];
        street.proxy.metric_becomes("portcullis_http_request_failures_total", &labels, 2.0).await;
    }
}

/// The proxy ends all of these connections, and has said nothing more on them.
async fn is_left(what: &str, origin: &RawOrigin, connections: usize) {
    eventually(what, async || (origin.left() == connections).then_some(())).await;
    assert_eq!(origin.heads().len(), connections, "{what}");
}
