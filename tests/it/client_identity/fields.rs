//! What proxies in front say, and what endpoints are told: `X-Forwarded-*` and `Forwarded`.

use crate::client_identity::House;
use crate::kit::http::empty;
use crate::kit::origin::Seen;

/// SPEC PX-3.
#[tokio::test]
async fn the_word_of_a_trusted_proxy_is_kept_and_added_to() {
    let house = House::with("trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]", "").await;
    let seen = house
        .seen(&[
            ("x-forwarded-for", "203.0.113.9, 192.0.2.7, 10.0.0.9"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "www.example.com"),
            ("x-forwarded-port", "8080"),
        ])
        .await;
    assert_eq!(seen.header("x-forwarded-for"), "203.0.113.9, 192.0.2.7, 10.0.0.9, 127.0.0.1");
    assert_eq!(seen.header("x-real-ip"), "192.0.2.7");
    assert_eq!(seen.header("x-forwarded-proto"), "http");
    assert_eq!(seen.header("x-forwarded-host"), "www.example.com");
    assert_eq!(seen.header("x-forwarded-port"), "8080");
    let line = house.request().await;
    assert_eq!(line["client.address"], "192.0.2.7", "{line}");
    assert_eq!(line["network.peer.address"], "127.0.0.1", "{line}");
    assert_eq!(line["tls.client.server_name"], "shop.test", "{line}");
}

/// SPEC PX-3.
#[tokio::test]
async fn nobody_else_is_believed() {
    let house = House::with("trusted_proxies = [\"10.0.0.0/8\"]", "").await;
    let seen = house
        .seen(&[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "gopher"),
            ("x_forwarded_for", "6.6.6.6"),
            ("x_real-ip", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
        ])
        .await;
    assert_eq!(seen.header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(seen.header("x-forwarded-proto"), "https");
    assert!(!format!("{:?}", seen.headers).contains("6.6.6.6"), "{:?}", seen.headers);
    let line = house.request().await;
    assert_eq!(line["client.address"], "127.0.0.1");
    assert!(line.get("network.peer.address").is_none(), "{line}");
}

/// SPEC PX-3: a child may trust others than its parent does.
#[tokio::test]
async fn a_child_names_its_own_proxies() {
    let house = House::with("trusted_proxies = [\"127.0.0.1\"]", "trusted_proxies = []").await;
    let seen = house.seen(&[("x-forwarded-for", "192.0.2.7")]).await;
    assert_eq!(seen.header("x-forwarded-for"), "127.0.0.1");
}

/// SPEC PX-3.
#[tokio::test]
async fn what_is_malformed_is_ignored_and_all_before_it() {
    let house = House::with("trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]", "").await;
    let seen = house.seen(&[("x-forwarded-for", "192.0.2.7, not an address, 10.0.0.9")]).await;
    assert_eq!(seen.header("x-forwarded-for"), "10.0.0.9, 127.0.0.1");
    assert_eq!(seen.header("x-real-ip"), "10.0.0.9");
}

/// SPEC PX-3 (RFC 7239).
#[tokio::test]
async fn forwarded_says_the_same_in_the_words_of_the_standard() {
    let house = House::with("", "forwarded = \"rfc7239\"").await;
    let seen = house.seen(&[("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6")]).await;
    let forwarded = seen.header("forwarded");
    assert!(forwarded.starts_with("for=\"127.0.0.1:"), "{forwarded}");
    assert!(forwarded.ends_with("\";proto=https;host=shop.test"), "{forwarded}");
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
}

/// SPEC PX-3 (RFC 7239).
#[tokio::test]
async fn elements_of_trusted_proxies_are_added_to() {
    let house = House::with("trusted_proxies = [\"127.0.0.1\"]", "forwarded = \"both\"").await;
    let theirs = "for=\"[2001:db8::7]:47011\";proto=http;host=www.example.com";
    let seen = house.seen(&[("forwarded", theirs)]).await;
    let forwarded = seen.header("forwarded");
    assert!(forwarded.starts_with(&format!("{theirs}, for=\"127.0.0.1:")), "{forwarded}");
    assert_eq!(seen.header("x-forwarded-for"), "2001:db8::7, 127.0.0.1");
    assert_eq!(seen.header("x-forwarded-proto"), "http");
    assert_eq!(seen.header("x-forwarded-host"), "www.example.com");
    assert_eq!(house.request().await["client.address"], "2001:db8::7");
}

/// SPEC PX-4: who is denied is who asks, not who passes it on.
#[tokio::test]
async fn the_client_behind_the_proxy_is_denied() {
    let house = House::with("trusted_proxies = [\"127.0.0.1\"]", "deny = [\"192.0.2.7\"]").await;
    for (client, status) in [("192.0.2.7", 403), ("192.0.2.8", 200)] {
        let mut http = house.proxy.client("shop.test").http1().await;
        let request = http.head(hyper::Method::GET, "/").header("x-forwarded-for", client);
        let reply = http.send(request.body(empty()).unwrap()).await.unwrap();
        assert_eq!(reply.status, status, "{client}");
    }
}

impl House {
    async fn seen(&self, fields: &[(&str, &str)]) -> Seen {
        let mut http = self.proxy.client("shop.test").http1().await;
        let mut request = http.head(hyper::Method::GET, "/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        http.send(request.body(empty()).unwrap()).await.unwrap();
        self.origin.last()
    }
}
