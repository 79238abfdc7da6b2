//! Bodies that flow while they are made, in both directions, and what comes after them.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::Method;
use hyper::body::Frame;
use hyper::header::HeaderValue;
use tokio::process::Command;

use crate::http::Crossing;
use crate::kit::RawOrigin;
use crate::kit::TwoSites;
use crate::kit::command::installed;
use crate::kit::command::run;
use crate::kit::http::empty;
use crate::kit::http::next_piece;
use crate::kit::http::pieces;
use crate::kit::within;

/// PX-1
#[tokio::test]
async fn a_response_streams_while_the_origin_makes_it() {
    for mut crossing in Crossing::all().await {
        let request = crossing.http.head(Method::GET, "/gate").body(empty()).unwrap();
        let mut response = crossing.http.start(request).await.unwrap();
        assert_eq!(next_piece(&mut response).await.unwrap(), "first", "{}", crossing.what);
        crossing.origin.release();
        assert_eq!(next_piece(&mut response).await.unwrap(), "second", "{}", crossing.what);
        assert!(next_piece(&mut response).await.is_none(), "{}", crossing.what);
    }
}

/// PX-1
#[tokio::test]
async fn a_request_streams_while_the_client_makes_it() {
    for mut crossing in Crossing::all().await {
        let what = crossing.what;
        let (mut sender, body) = pieces();
        let request = crossing.http.head(Method::POST, "/echo").body(body).unwrap();
        sender.send_data(Bytes::from_static(b"ping")).await.unwrap();
        let mut response = crossing.http.start(request).await.unwrap();
        assert_eq!(next_piece(&mut response).await.unwrap(), "ping", "{what}");
        sender.send_data(Bytes::from_static(b"pong")).await.unwrap();
        assert_eq!(next_piece(&mut response).await.unwrap(), "pong", "{what}");
        drop(sender);
        assert!(next_piece(&mut response).await.is_none(), "{what}");
    }
}

/// PX-1
#[tokio::test]
async fn trailers_of_responses_arrive() {
    for mut crossing in Crossing::all().await {
        let request = crossing.http.head(Method::GET, "/trailers").header("te", "trailers");
        let reply = crossing.http.send(request.body(empty()).unwrap()).await.unwrap();
        assert_eq!(reply.text(), "with trailers", "{}", crossing.what);
        assert_eq!(reply.trailers.get("x-checksum").unwrap(), "42", "{}", crossing.what);
    }
}

/// PX-1
#[tokio::test]
async fn trailers_of_requests_arrive() {
    for mut crossing in Crossing::all().await {
        let (mut sender, body) = pieces();
        let request = crossing.http.head(Method::POST, "/echo").header("trailer", "x-sum");
        // The echo sends its trailers to those who asked for them.
        let request = request.header("te", "trailers").body(body).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        let sending = async move {
            sender.send_data(Bytes::from_static(b"data")).await.unwrap();
            sender.send(Frame::trailers(trailers)).await.unwrap();
        };
        let ((), reply) = tokio::join!(sending, crossing.http.send(request));
        let reply = reply.unwrap();
        assert_eq!(reply.text(), "data", "{}", crossing.what);
        if crossing.upstream == hyper::Version::HTTP_2 && crossing.what.starts_with("HTTP/2") {
            assert_eq!(reply.trailers.get("x-sum").unwrap(), "7", "{}", crossing.what);
        }
    }
}

/// PX-1: a response that breaks off at the origin breaks off at the client, too.
#[tokio::test]
async fn a_truncated_response_is_not_made_whole() {
    for mut crossing in Crossing::all().await {
        let broken = crossing.http.try_get("/broken").await;
        assert!(broken.is_err(), "{}: {broken:?}", crossing.what);
    }
}

/// PX-1
#[tokio::test]
async fn responses_cut_on_the_wire_are_not_made_whole() {
    for cut in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly",
    ] {
        let origin = RawOrigin::answering(cut).await;
        let street = TwoSites::start().await;
        let toml = street.toml("").replace(&street.shop.endpoint(), &origin.endpoint());
        street.site.configure(&toml);
        street.proxy.reload().await;
        let mut clients =
            [street.client("shop.test").http1().await, street.client("shop.test").http2().await];
        for http in &mut clients {
            let reply = http.try_get("/").await;
            assert!(reply.is_err(), "{}: {reply:?}", String::from_utf8_lossy(cut));
        }
    }
}

/// PX-1: a request that its client breaks off is not made whole either.
#[tokio::test]
async fn a_truncated_request_does_not_reach_the_origin_as_whole() {
    for mut crossing in Crossing::all().await {
        let (mut sender, body) = pieces();
        let request = crossing.http.head(Method::POST, "/echo").body(body).unwrap();
        sender.send_data(Bytes::from_static(b"half")).await.unwrap();
        let mut response = crossing.http.start(request).await.unwrap();
        assert_eq!(next_piece(&mut response).await.unwrap(), "half");
        sender.abort(crate::kit::http::Broken("changed my mind".to_owned()));
        let rest = within("the end", response.body_mut().collect()).await;
        assert!(rest.is_err(), "{}: the echo of a broken request breaks", crossing.what);
    }
}

/// PX-1 (RFC 9110, section 10.1.1)
#[tokio::test]
async fn curl_gets_its_100_continue_on_http1() {
    // Longer than the whole command may take: without the 100 there is no answer.
    curl_that_expects("--http1.1", "60").await;
}

/// PX-1 (RFC 9110, section 10.1.1)
#[tokio::test]
async fn curl_gets_its_100_continue_on_http2() {
    curl_that_expects("--http2", "60").await;
}

async fn curl_that_expects(version: &str, patience: &str) {
    if !installed("curl") {
        return;
    }
    let street = TwoSites::start().await;
    let port = street.proxy.address("edge").port();
    let mut command = Command::new("curl");
    command.args(["-sk", "--max-time", "20", version, "--expect100-timeout", patience]);
    command.args([
        "-H",
        "expect: 100-continue",
        "--data-binary",
        "the body",
        "-w",
        " %{http_code}",
    ]);
    command.arg("--resolve").arg(format!("shop.test:{port}:127.0.0.1"));
    command.arg(format!("https://shop.test:{port}/count"));
    let finished = run(command, "").await;
    assert_eq!(finished.stdout, "8 200", "{version} {}", finished.stderr);
}

/// PX-1: an informational response comes before the final one and does not take its place.
#[tokio::test]
async fn early_hints_do_not_end_an_exchange() {
    let origin = RawOrigin::answering(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n\
          HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfinal",
    )
    .await;
    let street = TwoSites::start().await;
    street.site.configure(&street.toml("").replace(&street.shop.endpoint(), &origin.endpoint()));
    street.proxy.reload().await;
    assert_eq!(street.client("shop.test").http1().await.get("/").await.text(), "final");
    assert_eq!(street.client("shop.test").http2().await.get("/").await.text(), "final");
}
