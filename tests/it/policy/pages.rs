//! Error pages from files: for answers of our own, and for those alone.

use hyper::Method;

use super::blog_at;
use super::reconfigure;
use crate::kit::Reply;
use crate::kit::TwoSites;
use crate::kit::eventually;
use crate::kit::http::empty;
use crate::kit::raw_origin::unused_port;

const KEYS: &str = r#"
error_pages = { 400 = "errors/400.html", 404 = "errors/404.html", 421 = "errors/421.txt", 502 = "errors/502.html", 503 = "errors/503.json" }

[[virtual_service.blog.rules]]
path = "/none"
status = 404

[[virtual_service.blog.rules]]
path = "/written"
status = 404
body = "as it was written"

[[virtual_service.blog.rules]]
path = "/later"
status = 503
"#;

fn write_pages(street: &TwoSites) {
    street.site.write("errors/400.html", "<h1>What?</h1>");
    street.site.write("errors/404.html", "<h1>Not here</h1>");
    street.site.write("errors/421.txt", "Another connection, please.");
    street.site.write("errors/502.html", "<h1>Soon</h1>");
    street.site.write("errors/503.json", "{\"later\": true}");
}

/// PX-4
#[tokio::test]
async fn answers_of_our_own_have_their_page() {
    let street = TwoSites::start().await;
    write_pages(&street);
    reconfigure(&street, &format!("127.0.0.1:{}", unused_port().await), KEYS).await;
    let html = "text/html; charset=utf-8";
    for mut http in
        [street.client("blog.test").http1().await, street.client("blog.test").http2().await]
    {
        for (path, status, body, content_type) in [
            ("/none", 404, "<h1>Not here</h1>", html),
            ("/written", 404, "as it was written", "text/plain; charset=utf-8"),
            ("/later", 503, "{\"later\": true}", "application/json"),
            ("/", 502, "<h1>Soon</h1>", html),
        ] {
            let reply = http.get(path).await;
            assert_eq!((reply.status.as_u16(), &*reply.text()), (status, body), "{path}");
            assert_eq!(reply.header("content-type"), content_type, "{path}");
            let head = http.head(Method::HEAD, path).body(empty()).unwrap();
            let reply = http.send(head).await.unwrap();
            assert_eq!((reply.status.as_u16(), &*reply.text()), (status, ""), "HEAD {path}");
            assert_eq!(reply.header("content-length"), body.len().to_string(), "HEAD {path}");
        }
    }
    let foreign = street.client("blog.test").host("shop.test").http1().await.get("/").await;
    assert_eq!((foreign.status.as_u16(), &*foreign.text()), (421, "Another connection, please."));
}

/// PX-4
#[tokio::test]
async fn a_response_of_the_origin_keeps_its_body() {
    let street = TwoSites::start().await;
    write_pages(&street);
    reconfigure(&street, &street.blog.endpoint(), KEYS).await;
    let reply = street.client("blog.test").http1().await.get("/status/404").await;
    assert_eq!((reply.status.as_u16(), &*reply.text()), (404, ""));
}

/// PX-4, RL-2: a page is read again when it changes, and the other services do not notice.
#[tokio::test]
async fn a_page_that_changes_is_read_again() {
    let street = TwoSites::start().await;
    write_pages(&street);
    reconfigure(&street, &street.blog.endpoint(), KEYS).await;
    street.site.replace("errors/404.html", "<h1>Somewhere else</h1>");
    eventually("the new page", async || {
        let reply = Box::pin(none(&street)).await;
        (reply.text() == "<h1>Somewhere else</h1>").then_some(())
    })
    .await;
}

async fn none(street: &TwoSites) -> Reply {
    street.client("blog.test").http1().await.get("/none").await
}

/// RL-2
#[tokio::test]
async fn a_page_that_is_not_there_is_refused_and_named() {
    let street = blog_at("127.0.0.1:1", "").await;
    street.site.configure(&street.toml("error_pages = { 502 = \"errors/missing.html\" }"));
    let reply = street.proxy.try_reload().await.unwrap();
    assert_ne!(reply.status, 200);
    assert!(reply.text().contains("errors/missing.html"), "{}", reply.text());
    assert_eq!(street.client("blog.test").http1().await.get("/").await.status, 502, "as before");
}

/// PX-4: what is no request has its page, too, and the fields of the service.
#[tokio::test]
async fn what_is_no_request_has_its_page() {
    let street = TwoSites::start().await;
    write_pages(&street);
    let keys = format!("response_headers = {{ set = {{ x-said-by = \"blog\" }} }}\n{KEYS}");
    reconfigure(&street, &street.blog.endpoint(), &keys).await;
    let answer = street.client("blog.test").say(b"GET / HTTP/1.1\nhost: x\r\n\r\n").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("<h1>What?</h1>"), "{answer}");
    for field in ["x-said-by: blog", "content-type: text/html; charset=utf-8", "content-length: 14"]
    {
        assert!(answer.contains(&format!("\r\n{field}\r\n")), "{field} in {answer}");
    }
}
