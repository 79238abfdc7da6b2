//! What an endpoint sees of a request.

use tokio::io::AsyncWriteExt;

use super::Front;
use super::Origin;
use super::ask;
use super::read_head;
use super::read_until;

fn has(head: &str, field: &str) -> bool {
    head.lines().any(|line| line.eq_ignore_ascii_case(field))
}

fn names(head: &str, name: &str) -> bool {
    head.lines()
        .any(|line| line.split_once(':').is_some_and(|(field, _)| field.eq_ignore_ascii_case(name)))
}

#[tokio::test]
async fn what_clients_say_about_forwarding_is_replaced() {
    let origin = Origin::echoing().await;
    let seen = ask(
        &Front::to(&origin),
        "GET /p?q HTTP/1.1\r\nHost: shop.example.com:8443\r\nX-Forwarded-For: 1.1.1.1\r\n\
         X-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: http\r\nX-Real-IP: 3.3.3.3\r\n\
         Forwarded: for=4.4.4.4\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n\
         Connection: close\r\n\r\n",
    )
    .await;
    let head = seen.split_once("\r\n\r\n").expect("a head and a body").1;
    assert!(head.starts_with("GET /p?q HTTP/1.1\r\n"), "{head}");
    for field in [
        "host: shop.example.com:8443",
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-proto: https",
        "x-forwarded-host: shop.example.com:8443",
        "x-forwarded-port: 8443",
        "x-real-ip: 192.0.2.7",
    ] {
        assert!(has(head, field), "{field} in {head}");
    }
    assert!(!names(head, "forwarded"), "{head}");
    assert!(names(head, "x-request-id") && names(head, "traceparent"), "{head}");
}

#[tokio::test]
async fn hop_by_hop_fields_are_removed_both_ways() {
    let origin = Origin::start(|_, mut stream| async move {
        let head = read_head(&mut stream).await;
        for name in ["connection", "keep-alive", "x-mine", "upgrade", "proxy-connection", "proxy"] {
            assert!(!names(&head, name), "{name} in {head}");
        }
        assert!(has(&head, "te: trailers") && has(&head, "host: shop.example.com"), "{head}");
        let response = "HTTP/1.1 200 OK\r\nConnection: keep-alive, x-theirs\r\nX-Theirs: 1\r\n\
                        Keep-Alive: timeout=5\r\nUpgrade: h2c\r\nX-Stays: 1\r\n\
                        Content-Length: 0\r\n\r\n";
        stream.write_all(response.as_bytes()).await.expect("sent");
    })
    .await;
    let response = ask(
        &Front::to(&origin),
        "GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: x-mine, host, close, TE\r\n\
         X-Mine: 1\r\nTE: gzip, trailers\r\nKeep-Alive: 1\r\nUpgrade: websocket\r\n\
         Proxy-Connection: x\r\nProxy: http://evil\r\n\r\n",
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(has(&response, "x-stays: 1"), "{response}");
    for name in ["x-theirs", "keep-alive", "upgrade", "server", "via"] {
        assert!(!names(&response, name), "{name} in {response}");
    }
}

#[tokio::test]
async fn bodies_are_streamed_and_trailers_pass_both_ways() {
    let origin = Origin::start(|_, mut stream| async move {
        let head = read_head(&mut stream).await;
        assert!(has(&head, "transfer-encoding: chunked"), "{head}");
        assert_eq!(read_until(&mut stream, "hello\r\n").await, "5\r\nhello\r\n");
        // Before the request has ended: neither side waits for the whole.
        let begin =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nhi\r\n";
        stream.write_all(begin.as_bytes()).await.expect("sent");
        let end = read_until(&mut stream, "\r\n\r\n").await;
        assert_eq!(end.to_ascii_lowercase(), "0\r\nx-check: 1\r\n\r\n");
        stream.write_all(b"0\r\nx-sum: 2\r\n\r\n").await.expect("sent");
    })
    .await;
    let mut client = Front::to(&origin).connect();
    let begin = "POST / HTTP/1.1\r\nHost: shop.example.com\r\nTransfer-Encoding: chunked\r\n\
                 TE: trailers\r\nTrailer: x-check\r\n\r\n5\r\nhello\r\n";
    client.write_all(begin.as_bytes()).await.expect("sent");
    let head = read_head(&mut client).await;
    assert!(has(&head, "transfer-encoding: chunked") && has(&head, "trailer: x-sum"), "{head}");
    assert_eq!(read_until(&mut client, "hi\r\n").await, "2\r\nhi\r\n");
    client.write_all(b"0\r\nx-check: 1\r\n\r\n").await.expect("sent");
    let end = read_until(&mut client, "\r\n\r\n").await;
    assert_eq!(end.to_ascii_lowercase(), "0\r\nx-sum: 2\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_when_the_body_is_wanted() {
    let origin = Origin::start(|_, mut stream| async move {
        let head = read_head(&mut stream).await;
        assert!(!names(&head, "expect"), "{head}");
        assert_eq!(read_until(&mut stream, "body").await, "body");
        stream
            .write_all(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
            .await
            .expect("sent");
    })
    .await;
    let mut client = Front::to(&origin).connect();
    let head = "PUT / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 4\r\n\
                Expect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).await.expect("sent");
    assert_eq!(read_head(&mut client).await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"body").await.expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 204 No Content\r\n"));
}

#[tokio::test]
async fn a_request_that_is_none_is_refused_and_the_connection_closed() {
    let origin = Origin::echoing().await;
    let front = Front::to(&origin);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
        ("GET http://b.example.com/ HTTP/1.1\r\nHost: shop.example.com\r\n\r\n", "400"),
        (
            "POST / HTTP/1.1\r\nHost: shop.example.com\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            "400",
        ),
        (
            "POST / HTTP/1.0\r\nHost: shop.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 100\r\n\
             Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
            "400",
        ),
        ("GARBAGE\r\n\r\n", "400"),
    ] {
        let response = ask(&front, request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {response}");
        assert!(has(&response, "connection: close"), "{request}: {response}");
        assert_eq!(response.matches("HTTP/1.1").count(), 1, "{response}");
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn trace_and_connect_are_not_served() {
    let origin = Origin::echoing().await;
    let front = Front::to(&origin);
    for request in [
        "TRACE / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n",
        "CONNECT shop.example.com:443 HTTP/1.1\r\nHost: shop.example.com:443\r\nConnection: close\r\n\r\n",
    ] {
        let response = ask(&front, request).await;
        assert!(response.starts_with("HTTP/1.1 405 "), "{response}");
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_bad_chunk_is_the_clients_fault() {
    let origin = Origin::start(|_, mut stream| async move {
        read_until(&mut stream, "never").await;
    })
    .await;
    let response = ask(
        &Front::to(&origin),
        "POST / HTTP/1.1\r\nHost: shop.example.com\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
}
