//! WebSockets over HTTP/1.1 (RFC 6455) and over HTTP/2 (RFC 8441), to endpoints over HTTP/1.1.

use bytes::Bytes;
use rustix::process::Signal;
use serde_json::Value;

use super::street_to;
use super::street_with_pool;
use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Origin;
use crate::kit::RawOrigin;
use crate::kit::TwoSites;
use crate::kit::far_end;
use crate::kit::proxy::log_line;
use crate::kit::websocket;
use crate::kit::websocket::WebSocketOrigin;

/// PX-1 (RFC 6455)
#[tokio::test]
async fn a_websocket_passes_both_ways_and_is_one_line() {
    let origin = WebSocketOrigin::start().await;
    let street = street_to(&origin.endpoint(), "", "").await;
    let mut socket = websocket::open(&street.client("shop.test"), "/chat?room=1").await.unwrap();
    assert_eq!(socket.answer.status(), 101);
    assert_eq!(socket.answer.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(socket.echo("first").await, "first");
    assert_eq!(socket.echo("second").await, "second");
    let shop = [("virtual_service", "shop")];
    street.proxy.metric_becomes("portcullis_http_requests_active", &shop, 1.0).await;
    socket.close().await;

    let line = log_line(&street.site, "the tunnel", is_tunnel).await;
    assert_eq!(line["http.response.status_code"], 101, "{line:#}");
    assert_eq!(line["url.path"], "/chat", "{line:#}");
    // Who hangs up after the farewells is the server (RFC 6455, section 7.1.1).
    assert_eq!(line["portcullis.tunnel_end"], "upstream_closed", "{line:#}");
    assert_eq!(line["error.type"], Value::Null, "{line:#}");
    // Two messages and a close: masked frames from the client, unmasked ones to it.
    assert_eq!(line["http.request.body.size"], 6 + 5 + 6 + 6 + 6, "{line:#}");
    assert_eq!(line["http.response.body.size"], 2 + 5 + 2 + 6 + 2, "{line:#}");
    street.proxy.metric_becomes("portcullis_http_requests_active", &shop, 0.0).await;

    let asked = &origin.asked()[0];
    assert_eq!(asked.uri(), "/chat?room=1");
    assert_eq!(asked.headers()["host"], "shop.test");
    assert_eq!(asked.headers()["x-forwarded-for"], "127.0.0.1");
    assert_eq!(asked.headers()["x-forwarded-proto"], "https");
}

/// PX-1 (RFC 8441)
#[tokio::test]
async fn a_websocket_over_an_http2_stream_is_one_over_http1_for_the_endpoint() {
    let origin = WebSocketOrigin::start().await;
    let street = street_to(&origin.endpoint(), "", "").await;
    let mut http = street.client("shop.test").http2().await;
    let mut one = websocket::open_over_http2(&mut http, "/one").await.unwrap();
    let mut two = websocket::open_over_http2(&mut http, "/two").await.unwrap();
    assert!(!one.answer.headers().contains_key("sec-websocket-accept"));
    assert_eq!(one.echo("to one").await, "to one");
    assert_eq!(two.echo("to two").await, "to two");
    one.close().await;
    let line = log_line(&street.site, "the tunnel", is_tunnel).await;
    assert_eq!(line["http.response.status_code"], 101, "{line:#}");
    assert_eq!(line["network.protocol.version"], "2", "{line:#}");
    // Who hangs up after the farewells is the server (RFC 6455, section 7.1.1).
    assert_eq!(line["portcullis.tunnel_end"], "upstream_closed", "{line:#}");
    assert_eq!(two.echo("still there").await, "still there");
    let asked = origin.asked();
    let paths: Vec<_> = asked.iter().map(|asked| asked.uri().path()).collect();
    assert_eq!(paths, ["/one", "/two"]);
    let keys = asked.iter().map(|asked| &asked.headers()["sec-websocket-key"]);
    let keys: Vec<_> = keys.collect();
    assert_ne!(keys[0], keys[1]);
}

/// PX-1: large messages pass whole, with back-pressure on the way.
#[tokio::test]
async fn large_messages_pass_over_both_protocols() {
    let origin = WebSocketOrigin::start().await;
    let street = street_to(&origin.endpoint(), "", "").await;
    let bytes = Bytes::from((0..5_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let client = street.client("shop.test");
    let mut socket = websocket::open(&client, "/").await.unwrap();
    assert!(socket.echo_bytes(bytes.clone()).await == bytes, "HTTP/1.1");
    let mut http = client.http2().await;
    let mut socket = websocket::open_over_http2(&mut http, "/").await.unwrap();
    assert!(socket.echo_bytes(bytes.clone()).await == bytes, "HTTP/2");
}

/// PX-1: an endpoint that hangs up is seen by the client, and said in the line.
#[tokio::test]
async fn an_endpoint_that_hangs_up_ends_the_tunnel() {
    let origin = WebSocketOrigin::start().await;
    let street = street_to(&origin.endpoint(), "", "").await;
    let client = street.client("shop.test");
    let mut socket = websocket::open(&client, "/http1").await.unwrap();
    socket.say("hang up").await;
    socket.ended().await;
    drop(socket);
    let mut http = client.http2().await;
    let mut socket = websocket::open_over_http2(&mut http, "/http2").await.unwrap();
    socket.say("hang up").await;
    socket.ended().await;
    drop(socket);
    for path in ["/http1", "/http2"] {
        let is_it = |line: &Value| is_tunnel(line) && line["url.path"] == path;
        let line = log_line(&street.site, path, is_it).await;
        assert_eq!(line["portcullis.tunnel_end"], "upstream_closed", "{line:#}");
    }
}

/// PX-5
#[tokio::test]
async fn a_silent_tunnel_is_ended() {
    let origin = WebSocketOrigin::start().await;
    let more = "[timeouts]\ntunnel_idle = \"200ms\"";
    let street = street_to(&origin.endpoint(), "", more).await;
    let client = street.client("shop.test");
    let mut socket = websocket::open(&client, "/http1").await.unwrap();
    socket.ended().await;
    let mut http = client.http2().await;
    let mut socket = websocket::open_over_http2(&mut http, "/http2").await.unwrap();
    socket.ended().await;
    for path in ["/http1", "/http2"] {
        let is_it = |line: &Value| is_tunnel(line) && line["url.path"] == path;
        let line = log_line(&street.site, path, is_it).await;
        assert_eq!(line["portcullis.tunnel_end"], "tunnel_idle", "{line:#}");
    }
}

/// PX-1: a reload that replaces the service leaves its tunnels alone; the end of the drain does not.
#[tokio::test]
async fn a_tunnel_survives_a_reload_and_ends_with_the_drain() {
    let origin = WebSocketOrigin::start().await;
    let more = "[timeouts]\ndrain = \"300ms\"";
    let mut street = street_to(&origin.endpoint(), "", more).await;
    let client = street.client("shop.test");
    let mut http1 = websocket::open(&client, "/http1").await.unwrap();
    let mut http = client.http2().await;
    let mut http2 = websocket::open_over_http2(&mut http, "/http2").await.unwrap();
    let toml = street.site.read("portcullis.toml").replace("\"*.shop.test\"", "\"*.other.test\"");
    street.site.configure(&toml);
    street.proxy.reload().await;
    assert_eq!(http1.echo("after the reload").await, "after the reload");
    assert_eq!(http2.echo("after the reload").await, "after the reload");
    street.proxy.signal(Signal::TERM);
    http1.ended().await;
    http2.ended().await;
    assert_eq!(street.proxy.exit_code().await, 0);
    for path in ["/http1", "/http2"] {
        let is_it = |line: &Value| is_tunnel(line) && line["url.path"] == path;
        let line = log_line(&street.site, path, is_it).await;
        assert_eq!(line["portcullis.tunnel_end"], "drained", "{line:#}");
    }
}

/// SPEC PX-1: an endpoint that would choose HTTP/2 by ALPN is asked for HTTP/1.1 alone, which alone
/// can be upgraded; other requests to the same endpoint are not.
#[tokio::test]
async fn a_websocket_to_an_endpoint_that_prefers_http2_is_one_over_http1() {
    let mut config = far_end::server_config(&Ca::shared().issue(&Leaf::p256("127.0.0.1")));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let origin = WebSocketOrigin::start_tls(config).await;
    let street = street_to(&origin.endpoint(), "tls = { verify = false }", "").await;
    let client = street.client("shop.test");
    let mut socket = websocket::open(&client, "/http1").await.unwrap();
    assert_eq!(socket.echo("over HTTP/1.1").await, "over HTTP/1.1");
    let mut http = client.http2().await;
    // Its first request is a plain one, and the proxy hopes for HTTP/2.
    let mut socket = websocket::open_over_http2(&mut http, "/http2").await.unwrap();
    assert_eq!(socket.echo("over HTTP/2").await, "over HTTP/2");
    let agreed = origin.agreed();
    let agreed: Vec<_> = agreed.iter().map(|alpn| alpn.as_deref()).collect();
    assert_eq!(agreed, [Some(&b"http/1.1"[..]), Some(b"h2"), Some(b"http/1.1")]);
    let asked = origin.asked();
    let paths: Vec<_> = asked.iter().map(|asked| asked.uri().path()).collect();
    assert_eq!(paths, ["/http1", "/http2"]);
}

/// PX-1: an endpoint that is spoken to in HTTP/2 with prior knowledge cannot have a WebSocket.
#[tokio::test]
async fn a_pool_of_prior_knowledge_http2_has_no_websocket() {
    let origin = Origin::saying_over_http2("hello").await;
    let street = street_with_pool(&origin, "protocol = \"http2\"").await;
    let client = street.client("shop.test");
    assert_eq!(websocket::open(&client, "/").await.err(), Some(502));
    let line =
        log_line(&street.site, "the refusal", |line| line["error.type"] != Value::Null).await;
    assert_eq!(line["error.type"], "no_websocket", "{line:#}");
    let mut http = client.http2().await;
    assert_eq!(websocket::open_over_http2(&mut http, "/").await.err(), Some(502));
}

/// PX-1: an origin that does not switch answers, and the answer is passed on.
#[tokio::test]
async fn an_endpoint_that_does_not_switch_answers_as_usual() {
    let street = TwoSites::start().await;
    let client = street.client("shop.test");
    assert_eq!(websocket::open(&client, "/status/403").await.err(), Some(403));
    assert_eq!(street.shop.last().header("upgrade"), "websocket");
    let mut http = client.http2().await;
    assert_eq!(websocket::open_over_http2(&mut http, "/status/403").await.err(), Some(403));
    assert_eq!(http.get("/").await.text(), "hello from shop", "and the connection goes on");
}

/// PX-1: what nobody asked for, or what answers another key, is no tunnel.
#[tokio::test]
async fn a_switch_to_something_else_is_a_502() {
    for (answer, reason) in [
        (&b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n"[..], "bad_switch"),
        (b"HTTP/1.1 101 X\r\nconnection: upgrade\r\n\r\n", "bad_switch"),
    ] {
        let origin = RawOrigin::answering(answer).await;
        let street = street_to(&origin.endpoint(), "", "").await;
        let opened = websocket::open(&street.client("shop.test"), "/").await;
        assert_eq!(opened.err(), Some(502));
        let is_it = |line: &Value| line["error.type"] == reason;
        log_line(&street.site, reason, is_it).await;
    }
    // It is the proxy that has made the key for a client of HTTP/2, and that checks the answer.
    let origin = RawOrigin::answering(
        b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
          sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    )
    .await;
    let street = street_to(&origin.endpoint(), "", "").await;
    let mut http = street.client("shop.test").http2().await;
    let response = http.connect("/", "websocket").await;
    assert_eq!(response.status(), 502);
}

/// PX-1: other upgrades are not passed on, and the request is served without them.
#[tokio::test]
async fn other_upgrades_are_ignored_and_other_protocols_refused() {
    let street = TwoSites::start().await;
    let client = street.client("shop.test");
    let request = "GET / HTTP/1.1\r\nhost: shop.test\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n\
                   GET / HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n";
    let answer = client.say(request.as_bytes()).await.unwrap();
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert!(!street.shop.seen()[0].headers.contains_key("upgrade"));

    let mut http = client.http2().await;
    assert_eq!(http.connect("/", "connect-udp").await.status(), 501);
    let is_it = |line: &Value| line["error.type"] == "protocol_not_served";
    log_line(&street.site, "another protocol", is_it).await;
}

/// PX-1: a WebSocket is a request like others where the host is checked.
#[tokio::test]
async fn a_websocket_to_another_host_is_misdirected() {
    let street = TwoSites::start().await;
    let mut http = street.client("shop.test").host("blog.test").http2().await;
    let response = http.connect("/", "websocket").await;
    assert_eq!(response.status(), 421);
}

fn is_tunnel(line: &Value) -> bool {
    line["portcullis.tunnel_end"] != Value::Null
}
