//! What a client sees of a response, and of a pool that gives none.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use super::Front;
use super::Origin;
use super::ask;
use super::pool;
use super::pool_config;
use super::read_head;
use super::read_until;

const GET: &str = "GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n";

fn field<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    response.lines().find_map(|line| {
        let (field, value) = line.split_once(": ")?;
        field.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[tokio::test]
async fn a_head_response_keeps_its_length_and_has_no_body() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n").await;
    let response = ask(&Front::to(&origin), &GET.replace("GET", "HEAD")).await;
    assert_eq!(field(&response, "content-length"), Some("1024"));
    assert!(response.ends_with("\r\n\r\n"), "{response}");
}

#[tokio::test]
async fn not_modified_and_no_content_have_no_body() {
    for status in ["304 Not Modified", "204 No Content"] {
        let response: &'static str = format!("HTTP/1.1 {status}\r\nETag: x\r\n\r\n").leak();
        let origin = Origin::answering(response).await;
        let response = ask(&Front::to(&origin), GET).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{response}");
        assert_eq!(field(&response, "etag"), Some("x"));
        assert!(response.ends_with("\r\n\r\n"), "{response}");
    }
}

#[tokio::test]
async fn the_date_of_the_endpoint_is_kept() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let response = ask(&Front::to(&origin), GET).await;
    assert_eq!(field(&response, "date"), Some("Mon, 01 Jan 2001 00:00:00 GMT"));
}

#[tokio::test]
async fn a_close_delimited_response_becomes_chunks() {
    let origin = Origin::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").await.expect("sent");
    })
    .await;
    let response = ask(&Front::to(&origin), GET).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert_eq!(field(&response, "transfer-encoding"), Some("chunked"));
    assert!(response.ends_with("5\r\nhello\r\n0\r\n\r\n"), "{response}");
}

#[tokio::test]
async fn a_truncated_upstream_body_is_visible() {
    for framing in
        ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
    {
        let origin = Origin::start(move |_, mut stream| async move {
            read_head(&mut stream).await;
            let response = format!("HTTP/1.1 200 OK\r\n{framing}");
            stream.write_all(response.as_bytes()).await.expect("sent");
        })
        .await;
        let keep_alive = "GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";
        let response = ask(&Front::to(&origin), keep_alive).await;
        assert!(!response.ends_with("0\r\n\r\n") && response.len() < 300, "{response}");
    }
}

#[tokio::test]
async fn a_pool_that_refuses_is_a_502_and_a_silent_one_a_504() {
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address")
    };
    let response = ask(&Front::new(&pool(&pool_config(&[gone]))), GET).await;
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    assert_eq!(field(&response, "cache-control"), Some("no-store"));

    let silent = Origin::start(|_, mut stream| async move {
        read_until(&mut stream, "never").await;
    })
    .await;
    let mut config = pool_config(&[silent.address]);
    config.first_byte_timeout = Duration::from_millis(20);
    let response = ask(&Front::new(&pool(&config)), GET).await;
    assert!(response.starts_with("HTTP/1.1 504 "), "{response}");
}

#[tokio::test]
async fn what_is_no_response_and_a_switch_that_nobody_asked_for_are_502() {
    for answer in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"] {
        let origin = Origin::answering(answer).await;
        let response = ask(&Front::to(&origin), GET).await;
        assert!(response.starts_with("HTTP/1.1 502 "), "{answer}: {response}");
    }
}

#[tokio::test]
async fn early_hints_come_before_the_response_and_lose_what_is_hop_by_hop() {
    let go_on = Arc::new(Notify::new());
    let waits = Arc::clone(&go_on);
    let origin = Origin::start(move |_, mut stream| {
        let waits = Arc::clone(&waits);
        async move {
            read_head(&mut stream).await;
            let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-private\r\n\
                         X-Private: 1\r\n\r\n";
            stream.write_all(hints.as_bytes()).await.expect("sent");
            waits.notified().await;
            let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(last.as_bytes()).await.expect("sent");
            read_head(&mut stream).await;
        }
    })
    .await;
    let mut client = Front::to(&origin).connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n").await.expect("sent");
    let hints = read_head(&mut client).await;
    assert_eq!(hints, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
    go_on.notify_one();
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn clients_of_http_1_0_get_no_interim_responses() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n\
                 HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let origin = Origin::answering(hints).await;
    let front = Front::to(&origin);
    let answer = ask(&front, "GET / HTTP/1.0\r\nHost: shop.example.com\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains("103"), "{answer}");
}
