//! PROXY protocol to the endpoints: each connection says whose it is, and is nobody else's.

use std::sync::Arc;

use portcullis::proxy_protocol::Command;
use portcullis::proxy_protocol::tlv;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;

use crate::endpoints::House;
use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Origin;
use crate::kit::Site;
use crate::kit::eventually;

fn pool(origin: &Origin, keys: &str) -> String {
    format!("endpoints = [\"{}\"]\nproxy_protocol = true\n{keys}", origin.endpoint())
}

/// SPEC PX-3.
#[tokio::test]
async fn an_endpoint_is_told_the_client_and_what_tls_agreed_on() {
    let origin = Origin::behind_proxies("hello", None).await;
    let house = House::with(Site::new(), &pool(&origin, ""), "").await;
    let mut http = house.proxy.client("one.test").http2().await;
    assert_eq!(http.get("/").await.text(), "hello");
    let proxied = origin.last().proxied.unwrap();
    assert_eq!(proxied.header.command, Command::Proxy);
    assert_eq!(proxied.header.destination, Some(house.proxy.address("edge")));
    assert!(proxied.header.source.is_some_and(|source| source.ip().is_loopback()));
    assert_eq!(proxied.vectors[&tlv::AUTHORITY], b"one.test");
    assert_eq!(proxied.vectors[&tlv::ALPN], b"h2");
    let ssl = &proxied.vectors[&tlv::SSL];
    assert_eq!(ssl[..5], [1, 0, 0, 0, 1], "over TLS, no certificate");
    let text = String::from_utf8_lossy(ssl);
    assert!(text.contains("TLSv1.3") && text.contains("TLS_AES_"), "{text}");
}

/// SPEC PX-3: each client has connections of its own, and each request too.
#[tokio::test]
async fn a_connection_that_says_whose_it_is_is_used_once() {
    let origin = Origin::behind_proxies("hello", None).await;
    let house = House::with(Site::new(), &pool(&origin, ""), "").await;
    let mut one = house.proxy.client("one.test").http1().await;
    let mut two = house.proxy.client("one.test").http1().await;
    for _ in 0..3 {
        assert_eq!(one.get("/").await.text(), "hello");
        assert_eq!(two.get("/").await.text(), "hello");
    }
    assert_eq!(origin.connections(), 6);
    let sources: Vec<_> = origin.headers().iter().map(|header| header.source.unwrap()).collect();
    assert_eq!((sources[0], sources[1]), (sources[2], sources[3]), "the same two in turn");
    assert_ne!(sources[0], sources[1]);
    let idle = house.proxy.metric("portcullis_endpoint_connections_idle", &[("pool", "app")]).await;
    assert_eq!(idle, 0.0);
}

/// SPEC PX-3: the header comes before TLS to the endpoint, and HTTP/2 is not shared either.
#[tokio::test]
async fn the_header_comes_before_tls() {
    let issued = Ca::shared().issue(&Leaf::p256("127.0.0.1"));
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(issued.chain_der(), issued.key_der())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let origin = Origin::behind_proxies("secret", Some(config)).await;
    let keys = pool(&origin, "tls = { ca = \"internal.pem\" }");
    let house = House::with(Site::new(), &keys, "").await;
    let mut http = house.proxy.client("one.test").http2().await;
    for _ in 0..3 {
        assert_eq!(http.get("/").await.text(), "secret");
        assert_eq!(origin.last().version, hyper::Version::HTTP_2);
    }
    assert_eq!(origin.headers().len(), 3);
}

/// SPEC PX-3: checks are the proxy's own connections.
#[tokio::test]
async fn checks_say_that_they_are_nobodys() {
    let origin = Origin::behind_proxies("hello", None).await;
    let keys = pool(&origin, "health = { path = \"/healthz\", interval = \"1h\" }");
    let house = House::with(Site::new(), &keys, "").await;
    eventually("a check", async || (!origin.seen().is_empty()).then_some(())).await;
    let header = origin.headers().remove(0);
    assert_eq!((header.command, header.source), (Command::Local, None));
    assert_eq!(house.visit().await, (200, "hello".to_owned()));
}
