//! One connection and its requests: what follows what, and what ends it.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use super::Front;
use super::Origin;
use super::ask;
use super::read_head;
use super::read_until;
use super::within;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers with the path of the request, after reading a body of this length.
async fn telling(body: usize) -> Origin {
    Origin::start(move |_, mut stream| async move {
        loop {
            let head = read_head(&mut stream).await;
            let Some(path) = head.split(' ').nth(1) else { return };
            let mut taken = vec![0; if head.starts_with("POST") { body } else { 0 }];
            within(stream.read_exact(&mut taken)).await.expect("a body");
            let text = if head.starts_with("HEAD") { "" } else { path };
            let response =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", path.len());
            stream.write_all(response.as_bytes()).await.expect("sent");
        }
    })
    .await
}

/// SPEC PX-1
#[tokio::test]
async fn requests_that_come_together_are_answered_in_order() {
    let origin = telling(4).await;
    let response = ask(
        &Front::to(&origin),
        "GET /1 HTTP/1.1\r\nHost: shop.example.com\r\n\r\n\
         POST /2 HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 4\r\n\r\nbody\
         \r\nHEAD /3 HTTP/1.1\r\nHost: shop.example.com\r\n\r\n\
         GET /4 HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n\
         GET /5 HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
    )
    .await;
    assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 4, "{response}");
    let places = ["\r\n\r\n/1", "\r\n\r\n/2", "\r\n\r\n/4"].map(|path| response.find(path));
    assert!(places.is_sorted() && places[0].is_some(), "{places:?}: {response}");
    assert!(!response.contains("/5") && response.ends_with("/4"), "{response}");
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_passed_over_where_it_is_there() {
    let origin = telling(0).await;
    let refused = "POST / HTTP/1.1\r\nHost: elsewhere.test\r\nContent-Length: 4\r\n\r\n";
    let next = "GET /next HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n";
    let response = ask(&Front::to(&origin), &format!("{refused}body{next}")).await;
    assert!(response.starts_with("HTTP/1.1 421 ") && response.ends_with("/next"), "{response}");
    // Where it is not, the connection ends, so that it is not taken for a request.
    let mut client = Front::to(&origin).connect();
    client.write_all(format!("{refused}bo").as_bytes()).await.expect("sent");
    let head = read_head(&mut client).await;
    assert!(head.contains("connection: close"), "{head}");
}

#[tokio::test]
async fn a_client_that_is_not_told_to_go_on_is_told_the_end() {
    let origin = telling(0).await;
    let response = ask(
        &Front::to(&origin),
        "PUT / HTTP/1.1\r\nHost: elsewhere.test\r\nContent-Length: 4\r\n\
         Expect: 100-continue\r\n\r\n",
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 421 "), "{response}");
    assert!(response.contains("connection: close"), "{response}");
}

#[tokio::test]
async fn http_1_0_is_kept_when_it_asks_for_it_and_closed_otherwise() {
    let origin = telling(0).await;
    let get = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.0\r\nHost: shop.example.com\r\n{more}\r\n")
    };
    let both = get("/1", "Connection: keep-alive\r\n") + &get("/2", "") + &get("/3", "");
    let response = ask(&Front::to(&origin), &both).await;
    let (first, second) = response.split_once("\r\n\r\n/1").expect("an answer");
    assert!(first.contains("connection: keep-alive"), "{response}");
    assert!(second.contains("connection: close") && second.ends_with("/2"), "{response}");
}

#[tokio::test]
async fn to_http_1_0_a_body_of_unknown_length_ends_with_the_connection() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let origin = Origin::answering(chunks).await;
    let get = "GET / HTTP/1.0\r\nHost: shop.example.com\r\nConnection: keep-alive\r\n\r\n";
    let response = ask(&Front::to(&origin), get).await;
    assert!(response.contains("connection: close"), "{response}");
    assert!(!response.contains("chunked") && response.ends_with("\r\n\r\nhello"), "{response}");
}

/// SPEC PX-1: bidirectional, and the connection goes on after it.
#[tokio::test]
async fn a_body_may_go_on_after_its_response_has_ended() {
    let origin = Origin::start(|_, mut stream| async move {
        for _ in 0..2 {
            read_head(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.expect("sent");
            read_until(&mut stream, "the end").await;
        }
    })
    .await;
    let mut client = Front::to(&origin).connect();
    let head = "POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 7\r\n\r\n";
    for _ in 0..2 {
        client.write_all(head.as_bytes()).await.expect("sent");
        assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200 "));
        assert_eq!(read_until(&mut client, "ok").await, "ok");
        client.write_all(b"the end").await.expect("sent");
    }
}

/// SPEC PX-5
#[tokio::test]
async fn a_body_that_is_too_slow_is_a_408() {
    let origin = telling(1_000).await;
    let mut front = Front::to(&origin);
    front.settings.limits.request_body_rate = 1_000_000;
    let post = "POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 1000\r\n\r\nslow";
    let response = ask(&front, post).await;
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert!(response.contains("connection: close"), "{response}");
}

/// SPEC PX-5: the time of a head runs from its first byte, however many follow.
#[tokio::test(start_paused = true)]
async fn a_head_that_comes_in_drops_has_no_more_time() {
    let origin = telling(0).await;
    let mut front = Front::to(&origin);
    front.settings.timeouts.request_head = Duration::from_secs(15);
    let mut client = front.connect();
    let began = tokio::time::Instant::now();
    let (mut from, mut to) = tokio::io::split(&mut client);
    let dripping = async {
        loop {
            for byte in b"GET / HTTP/1.1\r\nx: y" {
                if to.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(900)).await;
            }
        }
    };
    let answered = async {
        let mut text = String::new();
        from.read_to_string(&mut text).await.expect("text");
        text
    };
    let text = tokio::select! {
        () = dripping => String::new(),
        text = answered => text,
    };
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
