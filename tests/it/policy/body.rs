//! The bound of request bodies: declared and streamed, over both protocols.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;

use super::blog_at;
use crate::kit::Origin;
use crate::kit::TwoSites;
use crate::kit::eventually;
use crate::kit::http::full;
use crate::kit::http::next_piece;
use crate::kit::http::pieces;
use crate::kit::proxy::log_line;
use crate::kit::within;

const KEYS: &str = "request_body = \"1KiB\"\n\
    [[virtual_service.blog.rules]]\npath = \"/large\"\nrequest_body = \"4KiB\"\n";

/// PX-4
#[tokio::test]
async fn a_declared_length_over_the_bound_is_refused_at_once() {
    let street = TwoSites::with(KEYS).await;
    let head = "POST / HTTP/1.1\r\nhost: blog.test\r\ncontent-length: 1025\r\n\
                expect: 100-continue\r\n\r\n";
    let answer = street.client("blog.test").say(head.as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "no 100, and no waiting: {answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    let mut http2 = street.client("blog.test").http2().await;
    let request = http2.head(Method::POST, "/").header("content-length", "2000");
    let request = request.body(full(vec![b'x'; 2000])).unwrap();
    assert_eq!(http2.send(request).await.unwrap().status, 413);
    assert_eq!(http2.get("/").await.status, 200, "other streams go on");
    assert_eq!(street.blog.seen().len(), 1);
    let reason = "request_body_too_large";
    log_line(&street.site, "the bound", |line| line["error.type"] == reason).await;
}

/// PX-4
#[tokio::test]
async fn a_body_within_the_bound_passes_and_a_rule_has_its_own() {
    let street = TwoSites::with(KEYS).await;
    for mut http in
        [street.client("blog.test").http1().await, street.client("blog.test").http2().await]
    {
        assert_eq!(http.post("/count", vec![b'x'; 1024]).await.text(), "1024");
        let large = http.post("/large", vec![b'x'; 4096]).await;
        assert_eq!(large.text(), "hello from blog");
        let (mut sender, body) = pieces();
        let request = http.head(Method::POST, "/count").body(body).unwrap();
        let sending = async move {
            sender.send_data(Bytes::from(vec![b'x'; 1000])).await.unwrap();
            sender.send_data(Bytes::from(vec![b'x'; 24])).await.unwrap();
        };
        let ((), reply) = tokio::join!(sending, http.send(request));
        assert_eq!(reply.unwrap().text(), "1024");
    }
}

/// PX-4
#[tokio::test]
async fn a_streamed_body_over_the_bound_is_a_413_and_the_endpoint_never_takes_it_for_whole() {
    for http2_origin in [false, true] {
        let origin = match http2_origin {
            false => Origin::saying("hello").await,
            true => Origin::saying_over_http2("hello").await,
        };
        let street = blog_at(&origin.endpoint(), KEYS).await;
        let toml = street.site.read("portcullis.toml");
        if http2_origin {
            let pool = "[pool.blog]\n";
            street.site.configure(&toml.replace(pool, "[pool.blog]\nprotocol = \"http2\"\n"));
            street.proxy.reload().await;
        }
        for mut http in
            [street.client("blog.test").http1().await, street.client("blog.test").http2().await]
        {
            let (mut sender, body) = pieces();
            let request = http.head(Method::POST, "/count").body(body).unwrap();
            let sending = async move {
                for _ in 0..3 {
                    // The proxy may have closed already.
                    let _ = sender.send_data(Bytes::from(vec![b'x'; 500])).await;
                }
                sender
            };
            let (_sender, reply) = tokio::join!(sending, http.send(request));
            assert_eq!(reply.unwrap().status, 413, "HTTP/2 origin: {http2_origin}");
        }
        let reason = "request_body_too_large";
        log_line(&street.site, "the bound", |line| line["error.type"] == reason).await;
        let mut http = street.client("blog.test").http1().await;
        assert_eq!(http.get("/").await.text(), "hello", "the pool goes on");
    }
}

/// PX-4
#[tokio::test]
async fn a_response_that_has_begun_breaks_off_with_a_body_over_the_bound() {
    let street = TwoSites::with(KEYS).await;
    for mut http in
        [street.client("blog.test").http1().await, street.client("blog.test").http2().await]
    {
        let (mut sender, body) = pieces();
        let request = http.head(Method::POST, "/echo").body(body).unwrap();
        sender.send_data(Bytes::from(vec![b'x'; 500])).await.unwrap();
        let mut response = http.start(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(next_piece(&mut response).await.is_some());
        sender.send_data(Bytes::from(vec![b'x'; 600])).await.unwrap();
        let rest = within("the end", response.body_mut().collect()).await;
        assert!(rest.is_err(), "not whole");
    }
    let over = async || {
        let lines = crate::kit::proxy::log_lines(&street.site, "app.log");
        let over = lines.iter().filter(|line| line["error.type"] == "request_body_too_large");
        (over.count() == 2).then_some(())
    };
    eventually("two lines that say why", over).await;
}
