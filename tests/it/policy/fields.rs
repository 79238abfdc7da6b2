//! Header fields of requests and responses, HSTS, Location and cookies.

use hyper::Method;

use super::blog_answered_with;
use crate::kit::TwoSites;
use crate::kit::http::empty;

/// PX-4
#[tokio::test]
async fn fields_are_edited_for_the_service_and_then_for_the_rule() {
    let street = TwoSites::with(
        r#"
request_headers = { set = { x-env = "prod", x-who = "service" }, add = { x-tag = "a" }, remove = ["x-debug"] }
response_headers = { set = { x-frame-options = "DENY", x-who = "service" }, remove = ["date", "x-none"] }

[[virtual_service.blog.rules]]
path_prefix = "/api"
request_headers = { set = { x-who = "rule" } }
response_headers = { set = { x-who = "rule" }, add = { x-more = "1" } }

[[virtual_service.blog.rules]]
path = "/here"
status = 204
response_headers = { set = { x-who = "here" } }
"#,
    )
    .await;
    for mut http in
        [street.client("blog.test").http1().await, street.client("blog.test").http2().await]
    {
        for (path, who) in [("/", "service"), ("/api/x", "rule")] {
            let request = http.head(Method::GET, path).header("x-debug", "1").header("x-tag", "b");
            let reply = http.send(request.body(empty()).unwrap()).await.unwrap();
            let seen = street.blog.last();
            assert_eq!((seen.header("x-env"), seen.header("x-debug")), ("prod", ""), "{path}");
            let tags: Vec<_> = seen.headers.get_all("x-tag").iter().collect();
            assert_eq!(tags, ["b", "a"]);
            assert_eq!((seen.header("x-who"), reply.header("x-who")), (who, who), "{path}");
            assert_eq!(reply.header("x-frame-options"), "DENY");
        }
        let own = http.get("/here").await;
        assert_eq!((own.status.as_u16(), own.header("x-who")), (204, "here"));
        assert_eq!(own.header("x-frame-options"), "DENY", "answers of our own, too");
    }
}

/// PX-4 (RFC 6797)
#[tokio::test]
async fn hsts_is_on_every_response_over_tls_that_is_for_this_host() {
    let response =
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nstrict-transport-security: max-age=1\r\n\r\n";
    let keys = "hsts = { max_age = \"30d\", include_subdomains = true }\n\
                [[virtual_service.blog.rules]]\npath = \"/no\"\nstatus = 404\n";
    let (street, _origin) = blog_answered_with(response, keys).await;
    let mut http = street.client("blog.test").http1().await;
    for (path, status) in [("/", 200), ("/no", 404), ("/%00", 400)] {
        let reply = http.get(path).await;
        assert_eq!(reply.status, status);
        let all: Vec<_> = reply.headers.get_all("strict-transport-security").iter().collect();
        assert_eq!(all, ["max-age=2592000; includeSubDomains"], "{path}");
    }
    let foreign = street.client("blog.test").host("shop.test").http1().await.get("/").await;
    assert_eq!((foreign.status.as_u16(), foreign.header("strict-transport-security")), (421, ""));
}

/// PX-4
#[tokio::test]
async fn a_location_in_plain_text_of_this_host_becomes_https() {
    for (location, expected) in [
        ("http://blog.test/login?a", "https://blog.test/login?a"),
        ("http://other.test/", "http://other.test/"),
        ("/relative", "/relative"),
    ] {
        let response =
            format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let (street, _origin) = blog_answered_with(&response, "rewrite_location = true").await;
        let reply = street.client("blog.test").http2().await.get("/").await;
        assert_eq!(reply.header("location"), expected);
    }
}

/// PX-4
#[tokio::test]
async fn cookies_of_the_origin_get_the_attributes_that_they_lack() {
    let response = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nset-cookie: a=1; path=/\r\n\
                    x-between: 1\r\nset-cookie: b=\"2; x\"; SECURE; samesite=none\r\n\r\n";
    let keys = "cookies = { secure = true, http_only = true, same_site = \"lax\" }";
    let (street, _origin) = blog_answered_with(response, keys).await;
    let reply = street.client("blog.test").http1().await.get("/").await;
    let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
    assert_eq!(
        cookies,
        [
            "a=1; path=/; Secure; HttpOnly; SameSite=Lax",
            "b=\"2; x\"; SECURE; HttpOnly; SameSite=Lax"
        ]
    );
}
