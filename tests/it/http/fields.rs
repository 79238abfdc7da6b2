//! Fields of requests and responses: what is passed on, what is for this hop alone, what is added.

use hyper::Method;

use crate::http::Crossing;
use crate::kit::TwoSites;
use crate::kit::http::empty;
use crate::kit::http::full;

/// PX-1 (RFC 9110, section 7.6.1)
#[tokio::test]
async fn hop_by_hop_fields_of_requests_stop_here() {
    for mut crossing in Crossing::all().await {
        let what = crossing.what;
        let mut head = crossing.http.head(Method::GET, "/").header("x-public", "stays");
        if what.starts_with("HTTP/1.1") {
            head = head
                .header("connection", "keep-alive, X-Private")
                .header("x-private", "for the proxy only")
                .header("keep-alive", "timeout=5")
                .header("proxy-connection", "keep-alive")
                .header("proxy-authorization", "Basic Zm9vOmJhcg==");
        }
        let request = head.header("te", "trailers").body(empty()).unwrap();
        crossing.http.send(request).await.unwrap();
        let seen = crossing.origin.last();
        assert_eq!(seen.header("x-public"), "stays", "{what}");
        for name in ["x-private", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding"]
        {
            assert!(!seen.headers.contains_key(name), "{what}: {name} reached the origin");
        }
        let connection = seen.header("connection").to_ascii_lowercase();
        assert!(!connection.contains("x-private"), "{what}: {connection}");
    }
}

/// PX-1 (RFC 9110, section 7.6.1)
#[tokio::test]
async fn hop_by_hop_fields_of_responses_stop_here() {
    for mut crossing in Crossing::all().await {
        if crossing.upstream == hyper::Version::HTTP_2 {
            continue;
        }
        let reply = crossing.http.get("/hop-by-hop").await;
        assert_eq!(reply.text(), "fields", "{}", crossing.what);
        assert_eq!(reply.header("x-public"), "for everybody");
        for name in ["x-private", "keep-alive", "transfer-encoding"] {
            assert!(!reply.headers.contains_key(name), "{}: {name}", crossing.what);
        }
        let connection = reply.header("connection").to_ascii_lowercase();
        assert!(!connection.contains("x-private"), "{}: {connection}", crossing.what);
    }
}

/// PX-3
#[tokio::test]
async fn forwarded_fields_are_the_proxys_own() {
    for mut crossing in Crossing::all().await {
        let request = crossing
            .http
            .head(Method::GET, "/")
            .header("x-forwarded-for", "6.6.6.6")
            .header("x-forwarded-proto", "gopher")
            .header("x-forwarded-host", "evil.test")
            .header("x-forwarded-port", "1")
            .header("forwarded", "for=6.6.6.6")
            .body(empty())
            .unwrap();
        crossing.http.send(request).await.unwrap();
        let seen = crossing.origin.last();
        let what = crossing.what;
        assert_eq!(seen.header("x-forwarded-for"), "127.0.0.1", "{what}");
        assert_eq!(seen.header("x-forwarded-proto"), "https", "{what}");
        assert_eq!(seen.header("x-forwarded-host"), "shop.test", "{what}");
        let port = crossing.port().to_string();
        assert_eq!(seen.header("x-forwarded-port"), port, "{what}");
        assert!(!format!("{:?}", seen.headers).contains("6.6.6.6"), "{what}");
        for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"] {
            assert_eq!(seen.headers.get_all(name).iter().count(), 1, "{what}: {name}");
        }
    }
}

/// PX-1
#[tokio::test]
async fn repeated_fields_and_cookies_arrive_as_they_were() {
    for mut crossing in Crossing::all().await {
        let request = crossing
            .http
            .head(Method::GET, "/")
            .header("x-many", "one")
            .header("x-many", "two")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(empty())
            .unwrap();
        crossing.http.send(request).await.unwrap();
        let seen = crossing.origin.last();
        let many: Vec<_> = seen.headers.get_all("x-many").iter().collect();
        assert_eq!(many, ["one", "two"], "{}", crossing.what);
        if crossing.upstream == hyper::Version::HTTP_11 && crossing.what.starts_with("HTTP/2") {
            // RFC 9113, section 8.2.3: crumbs are one field again in HTTP/1.1.
            assert_eq!(seen.header("cookie"), "a=1; b=2", "{}", crossing.what);
        }
    }
}

/// OBS-4
#[tokio::test]
async fn a_trace_is_passed_on_and_a_request_id_is_made() {
    let street = TwoSites::start().await;
    let mut http = street.client("shop.test").http1().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = http.head(Method::GET, "/").header("traceparent", trace).body(empty()).unwrap();
    http.send(request).await.unwrap();
    let seen = street.shop.last();
    assert_eq!(&seen.header("traceparent")[..35], &trace[..35], "the same trace");
    assert!(!seen.header("x-request-id").is_empty());

    http.get("/").await;
    let other = street.shop.last();
    assert_ne!(other.header("x-request-id"), seen.header("x-request-id"));
    assert_eq!(other.header("traceparent").len(), trace.len(), "one is made where there is none");
}

/// PX-1: content-length and transfer-encoding in one request is how requests are smuggled.
#[tokio::test]
async fn two_lengths_in_one_request_are_refused_or_made_one() {
    let street = TwoSites::start().await;
    let attack = "POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 4\r\n\
                  transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\
                  host: shop.test\r\nconnection: close\r\n\r\n";
    let answer = street.client("shop.test").say(attack.as_bytes()).await.unwrap_or_default();
    let lengths = street.shop.seen().iter().all(|seen| {
        !(seen.headers.contains_key("content-length")
            && seen.headers.contains_key("transfer-encoding"))
    });
    assert!(lengths, "{answer}");
}

/// PX-1 (RFC 9112, section 6.3)
#[tokio::test]
async fn two_different_content_lengths_are_refused() {
    let street = TwoSites::start().await;
    let attack = "POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 4\r\ncontent-length: 5\r\n\
                  \r\nabcde";
    let answer = street.client("shop.test").say(attack.as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(street.shop.seen().is_empty());
}

/// PX-1 (RFC 9112, section 3.2)
#[tokio::test]
async fn a_request_without_a_host_is_refused() {
    let street = TwoSites::start().await;
    let answer = street.client("shop.test").say(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(street.shop.seen().is_empty());
}

/// PX-1: a body without a length is chunked in HTTP/1.1 and just ends in HTTP/2.
#[tokio::test]
async fn a_length_that_is_known_is_kept() {
    for mut crossing in Crossing::all().await {
        let request = crossing.http.head(Method::POST, "/").body(full("12345")).unwrap();
        crossing.http.send(request).await.unwrap();
        assert_eq!(crossing.origin.last().header("content-length"), "5", "{}", crossing.what);
        let reply = crossing.http.get("/bytes/17").await;
        assert_eq!(reply.header("content-length"), "17", "{}", crossing.what);
    }
}
