//! How long connections live, on both sides.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::http::http1::PARK_AFTER;

use super::Front;
use super::Origin;
use super::ask;
use super::pool;
use super::pool_config;
use super::read_head;
use super::read_until;
use super::within;

const GET: &str = "GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Asks over an open connection and reads the whole response.
async fn ask_over(client: &mut tokio::io::DuplexStream, request: &str) -> String {
    client.write_all(request.as_bytes()).await.expect("sent");
    let head = read_head(client).await;
    read_until(client, "ok").await;
    head
}

async fn is_closed(client: &mut tokio::io::DuplexStream) -> bool {
    matches!(within(client.read(&mut [0; 1])).await, Ok(0) | Err(_))
}

/// Multiplied by every idle connection.
#[tokio::test]
async fn the_life_of_a_connection_is_small() {
    let origin = Origin::answering(OK).await;
    let front = Front::to(&origin);
    let (_client, proxy) = tokio::io::duplex(64);
    let life = crate::http::serve(Box::new(proxy), front.connection());
    assert!(size_of_val(&life) <= 1024, "{} bytes", size_of_val(&life));
}

#[tokio::test]
async fn connections_are_reused_on_both_sides() {
    let origin = Origin::answering(OK).await;
    let mut client = Front::to(&origin).connect();
    for _ in 0..3 {
        assert!(ask_over(&mut client, GET).await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn stale_idle_connection_is_retried_on_a_fresh_one() {
    // Each connection answers once, and closes when the second request has come.
    let origin = Origin::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.expect("sent");
        read_head(&mut stream).await;
    })
    .await;
    let mut config = pool_config(&[origin.address]);
    config.retries = 0;
    let mut client = Front::new(&pool(&config)).connect();
    for _ in 0..3 {
        assert!(ask_over(&mut client, GET).await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(origin.connections(), 3);
}

#[tokio::test]
async fn post_is_not_retried_after_it_was_sent() {
    let origin = Origin::start(|_, mut stream| async move {
        read_until(&mut stream, "body").await;
    })
    .await;
    let other = Origin::start(|_, mut stream| async move {
        read_until(&mut stream, "body").await;
    })
    .await;
    let front = Front::new(&pool(&pool_config(&[origin.address, other.address])));
    let post = "POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 4\r\n\
                Connection: close\r\n\r\nbody";
    let response = ask(&front, post).await;
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    assert_eq!(origin.connections() + other.connections(), 1);
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_skipped_and_posts_reach_the_other() {
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address")
    };
    let origin = Origin::start(|_, mut stream| async move {
        read_until(&mut stream, "body").await;
        stream.write_all(OK.as_bytes()).await.expect("sent");
    })
    .await;
    let front = Front::new(&pool(&pool_config(&[gone, origin.address])));
    let post = "POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 4\r\n\
                Connection: close\r\n\r\nbody";
    for _ in 0..4 {
        assert!(ask(&front, post).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn a_get_that_was_cut_off_is_repeated_on_another_endpoint() {
    let cutting = Origin::start(|_, mut stream| async move {
        read_head(&mut stream).await;
    })
    .await;
    let origin = Origin::answering(OK).await;
    let front = Front::new(&pool(&pool_config(&[cutting.address, origin.address])));
    let get = "GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n";
    for _ in 0..2 {
        assert!(ask(&front, get).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_keep_alive() {
    let origin = Origin::answering(OK).await;
    let mut front = Front::to(&origin);
    front.settings.timeouts.keep_alive = Duration::from_millis(20);
    let mut client = front.connect();
    ask_over(&mut client, GET).await;
    assert!(is_closed(&mut client).await);
}

#[tokio::test]
async fn a_head_that_does_not_end_is_answered_with_408() {
    let origin = Origin::answering(OK).await;
    let mut front = Front::to(&origin);
    front.settings.timeouts.request_head = Duration::from_millis(20);
    let response = ask(&front, "GET / HTTP/1.1\r\nHost: sh").await;
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert_eq!(ask(&front, "").await, "");
}

#[tokio::test]
async fn a_parked_connection_serves_on() {
    let origin = Origin::answering(OK).await;
    let mut client = Front::to(&origin).connect();
    ask_over(&mut client, GET).await;
    // Nothing comes, for longer than a connection waits before it gives its buffers back.
    let silence = tokio::time::timeout(4 * PARK_AFTER, client.read_u8()).await;
    assert!(silence.is_err());
    assert!(ask_over(&mut client, GET).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_retired_service_says_close_with_the_next_response_and_cuts_nothing() {
    let origin = Origin::answering(OK).await;
    let front = Front::to(&origin);
    let mut client = front.connect();
    assert!(!ask_over(&mut client, GET).await.contains("connection: close"));
    front.shop.retirement.retire(Duration::from_secs(60));
    assert!(ask_over(&mut client, GET).await.contains("connection: close"));
    assert!(is_closed(&mut client).await);
}

#[tokio::test]
async fn a_retired_service_closes_idle_connections_after_the_grace() {
    let origin = Origin::answering(OK).await;
    let front = Front::to(&origin);
    let mut client = front.connect();
    ask_over(&mut client, GET).await;
    front.shop.retirement.retire(Duration::from_millis(20));
    assert!(is_closed(&mut client).await);
}

#[tokio::test]
async fn a_reload_keeps_endpoints_that_did_not_change() {
    let (origin, other) = (Origin::answering(OK).await, Origin::answering(OK).await);
    let mut config = pool_config(&[origin.address]);
    let pool = pool(&config);
    let mut client = Front::new(&pool).connect();
    ask_over(&mut client, GET).await;
    let before = pool.endpoints();
    config = pool_config(&[origin.address, other.address]);
    pool.update(&config, None);
    assert!(std::sync::Arc::ptr_eq(&before[0], &pool.endpoints()[0]));
    for _ in 0..4 {
        ask_over(&mut client, GET).await;
    }
    assert_eq!((origin.connections(), other.connections()), (1, 1));
}
