//! HTTP/2 on either side.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::Request;
use http::Response;
use http::StatusCode;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use crate::config::pool::PoolProtocol;
use crate::config::tls_profile::Alpn;

use super::Front;
use super::Origin;
use super::pool;
use super::pool_config;
use super::read_head;
use super::within;

type Client = (SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>);

async fn connect(front: &mut Front) -> Client {
    front.alpn = Alpn::Http2;
    let io = TokioIo::new(front.connect());
    let (sender, connection) =
        within(hyper::client::conn::http2::handshake(TokioExecutor::new(), io))
            .await
            .expect("an HTTP/2 connection");
    (sender, tokio::spawn(connection))
}

fn get(host: &str) -> Request<Full<Bytes>> {
    Request::get(format!("https://{host}/")).body(Full::default()).expect("a request")
}

/// Speaks HTTP/2 without TLS; answers with the authority and path it saw, and a trailer.
async fn http2_origin() -> Origin {
    Origin::start(|_, stream| async move {
        let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
            assert!(!request.headers().contains_key("host"));
            let seen = request.uri().to_string();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().expect("a value"));
            let body = Full::new(Bytes::from(seen));
            let body = body.with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
            Ok::<_, Infallible>(Response::new(body))
        });
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    })
    .await
}

#[tokio::test]
async fn http2_to_http2_with_trailers_over_one_connection() {
    let origin = http2_origin().await;
    let mut config = pool_config(&[origin.address]);
    config.protocol = PoolProtocol::Http2;
    let mut front = Front::new(&pool(&config));
    let (mut sender, _connection) = connect(&mut front).await;
    for _ in 0..3 {
        let response = within(sender.send_request(get("shop.example.com"))).await.expect("served");
        let body = within(response.into_body().collect()).await.expect("a whole body");
        assert_eq!(body.trailers().expect("trailers")["grpc-status"], "0");
        assert_eq!(body.to_bytes(), "https://shop.example.com/");
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn http1_to_http2() {
    let origin = http2_origin().await;
    let mut config = pool_config(&[origin.address]);
    config.protocol = PoolProtocol::Http2;
    let front = Front::new(&pool(&config));
    let response = super::ask(
        &front,
        "GET /p HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(response.contains("https://shop.example.com/p"), "{response}");
}

#[tokio::test]
async fn http2_to_http1_names_the_host_and_joins_cookies() {
    let origin = Origin::echoing().await;
    let mut front = Front::to(&origin);
    let (mut sender, _connection) = connect(&mut front).await;
    let request = Request::get("https://shop.example.com/p?q")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Full::default())
        .expect("a request");
    let response = within(sender.send_request(request)).await.expect("served");
    let body = within(response.into_body().collect()).await.expect("a whole body").to_bytes();
    let head = String::from_utf8(body.to_vec()).expect("text");
    assert!(head.starts_with("GET /p?q HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: shop.example.com\r\n"), "{head}");
    assert!(head.contains("cookie: a=1; b=2\r\n"), "{head}");
}

#[tokio::test]
async fn a_mismatched_authority_fails_its_stream_alone() {
    let origin = http2_origin().await;
    let mut config = pool_config(&[origin.address]);
    config.protocol = PoolProtocol::Http2;
    let mut front = Front::new(&pool(&config));
    let (mut sender, _connection) = connect(&mut front).await;
    let refused = within(sender.send_request(get("other.example.org"))).await.expect("answered");
    assert_eq!(refused.status(), StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(origin.connections(), 0);
    let served = within(sender.send_request(get("shop.example.com"))).await.expect("served");
    assert_eq!(served.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_truncated_upstream_body_resets_the_stream() {
    let origin = Origin::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            .await
            .expect("sent");
    })
    .await;
    let mut front = Front::to(&origin);
    let (mut sender, _connection) = connect(&mut front).await;
    let response = within(sender.send_request(get("shop.example.com"))).await.expect("a head");
    assert!(within(response.into_body().collect()).await.is_err());
}

#[tokio::test]
async fn a_retired_service_sends_goaway_and_serves_what_is_open() {
    let origin = http2_origin().await;
    let mut config = pool_config(&[origin.address]);
    config.protocol = PoolProtocol::Http2;
    let mut front = Front::new(&pool(&config));
    let (mut sender, connection) = connect(&mut front).await;
    let open = within(sender.send_request(get("shop.example.com"))).await.expect("served");
    front.shop.retirement.retire(Duration::from_secs(60));
    let body = within(open.into_body().collect()).await.expect("a whole body").to_bytes();
    assert_eq!(body, "https://shop.example.com/");
    within(connection).await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_after_keep_alive() {
    let origin = http2_origin().await;
    let mut config = pool_config(&[origin.address]);
    config.protocol = PoolProtocol::Http2;
    let mut front = Front::new(&pool(&config));
    front.settings.timeouts.keep_alive = Duration::from_millis(20);
    let (mut sender, connection) = connect(&mut front).await;
    let response = within(sender.send_request(get("shop.example.com"))).await.expect("served");
    within(response.into_body().collect()).await.expect("a whole body");
    within(connection).await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn early_hints_come_before_the_response_of_their_stream() {
    let origin = Origin::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nKeep-Alive: timeout=5\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let mut front = Front::to(&origin);
    front.alpn = Alpn::Http2;
    let (mut sender, connection) =
        within(h2::client::handshake(front.connect())).await.expect("an HTTP/2 connection");
    tokio::spawn(connection);
    let request = Request::get("https://shop.example.com/").body(()).expect("a request");
    let (mut response, _) = sender.send_request(request, true).expect("sent");
    let hints = within(std::future::poll_fn(|cx| response.poll_informational(cx)))
        .await
        .expect("hints")
        .expect("unbroken");
    assert_eq!(hints.status(), StatusCode::EARLY_HINTS);
    assert_eq!(hints.headers()["link"], "</a.css>");
    assert!(!hints.headers().contains_key("keep-alive"));
    let response = within(response).await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().contains_key("date"));
}
