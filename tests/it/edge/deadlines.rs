//! A deadline in every state before the first request, for clients that say nothing and for those
//! that say a byte now and then.

use std::iter;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::edge::drip;
use crate::edge::first_byte;
use crate::edge::stalled;
use crate::kit::Origin;
use crate::kit::TwoSites;
use crate::kit::proxy::log_line;
use crate::kit::websocket;
use crate::kit::websocket::WebSocketOrigin;

/// SPEC PX-5
#[tokio::test]
async fn a_hello_that_drips_in_has_no_more_time_than_another() {
    let street = TwoSites::with("[timeouts]\nclient_hello = \"300ms\"").await;
    // A hello of 16 KiB: at this pace it would take minutes.
    let hello = [22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc].into_iter().chain(iter::repeat(0));
    let tcp = TcpStream::connect(street.proxy.address("edge")).await.unwrap();
    drip(tcp, hello).await;
    timed_out(&street, 1.0).await;
}

/// SPEC PX-5: the deadline of the handshake is one for all of its flights.
#[tokio::test]
async fn a_second_flight_that_drips_in_has_no_more_time_than_another() {
    let street = TwoSites::with("[timeouts]\nhandshake = \"400ms\"").await;
    for version in ["1.2", "1.3"] {
        let client = street.client("shop.test");
        let client = if version == "1.2" { client.tls12() } else { client.tls13() };
        let mut tcp = TcpStream::connect(street.proxy.address("edge")).await.unwrap();
        tcp.write_all(&client.hello()).await.unwrap();
        assert_eq!(first_byte(&mut tcp).await, Some(22));
        // The head of a record of 16 KiB, and more and more of what is in it.
        let kind = if version == "1.2" { 22 } else { 23 };
        let flight = [kind, 3, 3, 0x40, 0].into_iter().chain(iter::repeat(1));
        drip(tcp, flight).await;
    }
    timed_out(&street, 2.0).await;
    let timed_out = |line: &serde_json::Value| line["error.type"] == "timeout";
    let line = log_line(&street.site, "the timeout", timed_out).await;
    assert_eq!(line["portcullis.selected"], "shop");
}

/// SPEC PX-5
#[tokio::test]
async fn a_proxy_header_that_drips_in_has_no_more_time_than_a_hello() {
    let street = TwoSites::start().await;
    let more = "[timeouts]\nclient_hello = \"300ms\"";
    let toml = street.toml(more);
    let listen = "listen = [\"127.0.0.1:0\"]";
    let toml = toml.replace(listen, &format!("{listen}\nproxy_protocol = [\"127.0.0.1\"]"));
    street.site.configure(&toml);
    street.proxy.reload().await;
    let tcp = TcpStream::connect(street.proxy.address("edge")).await.unwrap();
    // Version 2 with additions: at this pace it would take seconds.
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x01\x00".iter().copied().chain(iter::repeat(0));
    drip(tcp, header).await;
    let labels = [("virtual_service", "edge"), ("reason", "proxy_header_missing")];
    street.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, 1.0).await;
}

/// SPEC PX-5: whoever is sent away is not waited for.
#[tokio::test]
async fn a_client_that_does_not_take_its_refusal_is_let_go() {
    let street = TwoSites::with("tls_profile = \"modern\"").await;
    let before = street.proxy.descriptors().await;
    let old = street.client("blog.test").tls12().hello();
    let mut held = Vec::new();
    for words in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x00\x04\x63\x00\x00\x00", &old] {
        for _ in 0..8 {
            let mut tcp = TcpStream::connect(street.proxy.address("edge")).await.unwrap();
            tcp.write_all(words).await.unwrap();
            held.push(tcp);
        }
    }
    let all = [("virtual_service", "edge")];
    street.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &all, 24.0).await;
    street.proxy.descriptors_become(before).await;
    drop(held);
}

/// SPEC PX-5: nor whoever does not say goodbye when its connection is over.
#[tokio::test]
async fn a_client_that_does_not_close_an_idle_connection_is_let_go() {
    let street =
        TwoSites::with("[timeouts]\nkeep_alive = \"200ms\"\nrequest_head = \"200ms\"").await;
    let before = street.proxy.descriptors().await;
    let mut held = Vec::new();
    for alpn in ["h2", "http/1.1"] {
        for _ in 0..4 {
            let client = street.client("shop.test").alpn(&[alpn]);
            held.push(client.handshake().await.unwrap().stream);
        }
    }
    street.proxy.descriptors_become(before).await;
    let labels = [("virtual_service", "shop")];
    street.proxy.metric_becomes("portcullis_connections_active", &labels, 0.0).await;
    drop(held);
}

/// SPEC PX-5: the WebSockets of one service may be silent for longer than those of the others.
#[tokio::test]
async fn a_service_says_how_long_its_websockets_may_be_silent() {
    let origin = WebSocketOrigin::start().await;
    let street = TwoSites::start().await;
    let keys = "tunnel_idle = \"1h\"\n[timeouts]\ntunnel_idle = \"200ms\"";
    let toml = [&street.shop, &street.blog].into_iter().map(Origin::endpoint);
    let toml = toml.fold(street.toml(keys), |toml, old| toml.replace(&old, &origin.endpoint()));
    street.site.configure(&toml);
    street.proxy.reload().await;
    let mut patient = websocket::open(&street.client("blog.test"), "/patient").await.unwrap();
    let mut brief = websocket::open(&street.client("shop.test"), "/brief").await.unwrap();
    brief.ended().await;
    let is_brief = |line: &serde_json::Value| line["url.path"] == "/brief";
    let line = log_line(&street.site, "the brief one", is_brief).await;
    assert_eq!(line["portcullis.tunnel_end"], "tunnel_idle");
    assert_eq!(patient.echo("still here").await, "still here");
}

/// SPEC PX-5: a client that keeps a handshake open does not keep a place in the limit for longer.
#[tokio::test]
async fn a_place_among_the_handshakes_is_free_after_the_deadline() {
    let street = TwoSites::with("handshakes = 1\n[timeouts]\nhandshake = \"300ms\"").await;
    let mut held = stalled(&street, "blog.test").await;
    assert_eq!(first_byte(&mut held).await, Some(22));
    timed_out(&street, 1.0).await;
    assert_eq!(street.client("blog.test").visit().await.unwrap().status, 200);
}

async fn timed_out(street: &TwoSites, times: f64) {
    let labels = [("virtual_service", "edge"), ("reason", "timeout")];
    street.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, times).await;
}
