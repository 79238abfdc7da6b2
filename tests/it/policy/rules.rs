//! Which rule a request is for, and every action.

use hyper::Method;

use crate::kit::TwoSites;
use crate::kit::http::empty;
use crate::kit::proxy::log_line;

const RULES: &str = r#"
[[virtual_service.blog.rules]]
path = "/old"
redirect = "https://www.example.com{uri}"
status = 308

[[virtual_service.blog.rules]]
path_prefix = "/moved"
redirect = "https://{host}:8443/new{path}"

[[virtual_service.blog.rules]]
path_prefix = "/gone"
status = 410
body = "<b>gone</b>"
content_type = "text/html"

[[virtual_service.blog.rules]]
path_prefix = "/shop"
methods = ["GET"]
pool = "shop"
strip_prefix = true

[[virtual_service.blog.rules]]
path_prefix = "/api"
rewrite = "/v2"

[[virtual_service.blog.rules]]
headers = { x-beta = "1", x-who = true }
pool = "rest"

[[virtual_service.blog.rules]]
path = "/private"
clients = ["10.0.0.0/8"]
status = 200
body = "inside"
"#;

/// PX-4
#[tokio::test]
async fn a_request_goes_to_the_pool_of_its_rule_and_its_line_says_so() {
    let street = TwoSites::with(RULES).await;
    let mut http = street.client("blog.test").http2().await;
    assert_eq!(http.get("/").await.text(), "hello from blog");
    assert_eq!(http.get("/shop/cart?id=1").await.text(), "hello from shop");
    assert_eq!(street.shop.last().path, "/cart?id=1");
    assert_eq!(street.shop.last().header("host"), "blog.test", "the host stays");
    assert_eq!(http.get("/shopping").await.text(), "hello from blog");
    assert_eq!(http.post("/shop/cart", "x").await.text(), "hello from blog", "not a GET");
    let line = log_line(&street.site, "the rule", |line| line["url.path"] == "/shop/cart").await;
    assert_eq!(line["portcullis.rule"], 4, "{line:#}");
    assert_eq!(line["portcullis.pool"], "shop", "{line:#}");
    assert_eq!(line["portcullis.virtual_service"], "blog", "{line:#}");
    let line = log_line(&street.site, "no rule", |line| line["url.path"] == "/shopping").await;
    assert!(line["portcullis.rule"].is_null() && line["portcullis.pool"] == "blog", "{line:#}");
}

/// PX-4
#[tokio::test]
async fn fields_choose_a_rule_when_all_of_them_are_there() {
    let street = TwoSites::with(RULES).await;
    let mut http = street.client("blog.test").http1().await;
    for (beta, who, text) in [
        ("1", "me", "hello from edge"),
        ("2", "me", "hello from blog"),
        ("1", "", "hello from blog"),
    ] {
        let mut request = http.head(Method::GET, "/any").header("x-beta", beta);
        if !who.is_empty() {
            request = request.header("x-who", who);
        }
        let reply = http.send(request.body(empty()).unwrap()).await.unwrap();
        assert_eq!(reply.text(), text, "{beta} {who}");
    }
}

/// PX-4
#[tokio::test]
async fn redirects_keep_what_their_template_names() {
    let street = TwoSites::with(RULES).await;
    for mut http in
        [street.client("blog.test").http1().await, street.client("blog.test").http2().await]
    {
        let reply = http.get("/old?a=1&b=2").await;
        assert_eq!(reply.status, 308);
        assert_eq!(reply.header("location"), "https://www.example.com/old?a=1&b=2");
        let reply = http.get("/moved/x/../y?q").await;
        assert_eq!(reply.status, 302, "the default");
        assert_eq!(reply.header("location"), "https://blog.test:8443/new/moved/y");
    }
    assert!(street.blog.seen().is_empty());
}

/// PX-4
#[tokio::test]
async fn a_fixed_response_is_answered_here() {
    let street = TwoSites::with(RULES).await;
    for mut http in
        [street.client("blog.test").http1().await, street.client("blog.test").http2().await]
    {
        let reply = http.get("/gone/with/the/wind").await;
        assert_eq!((reply.status.as_u16(), &*reply.text()), (410, "<b>gone</b>"));
        assert_eq!(reply.header("content-type"), "text/html");
        let head = http.head(Method::HEAD, "/gone").body(empty()).unwrap();
        let reply = http.send(head).await.unwrap();
        assert_eq!((reply.status.as_u16(), &*reply.text()), (410, ""));
        assert_eq!(reply.header("content-length"), "11");
        assert_eq!(http.post("/gone", "a body").await.status, 410);
    }
    assert!(street.blog.seen().is_empty());
    let line = log_line(&street.site, "the answer", |line| line["url.path"] == "/gone").await;
    assert!(line["portcullis.pool"].is_null() && line["portcullis.rule"] == 3, "{line:#}");
    assert!(line["error.type"].is_null(), "{line:#}");
}

/// PX-4
#[tokio::test]
async fn the_path_is_rewritten_and_the_query_stays() {
    let street = TwoSites::with(RULES).await;
    let mut http = street.client("blog.test").http1().await;
    for (asked, seen) in [
        ("/api", "/v2"),
        ("/api/", "/v2/"),
        ("/api/x%20y?q=%2F..", "/v2/x%20y?q=%2F.."),
        ("/a%70i/x", "/v2/x"),
        ("/other?q", "/other?q"),
    ] {
        assert_eq!(http.get(asked).await.text(), "hello from blog", "{asked}");
        assert_eq!(street.blog.last().path, seen, "{asked}");
    }
}

/// PX-4
#[tokio::test]
async fn clients_from_elsewhere_do_not_match() {
    let street = TwoSites::with(RULES).await;
    let reply = street.client("blog.test").http1().await.get("/private").await;
    assert_eq!(reply.text(), "hello from blog");
}

/// PX-4: VS-6 comes first.
#[tokio::test]
async fn no_rule_is_asked_about_a_host_that_is_not_ours() {
    let street =
        TwoSites::with("[[virtual_service.blog.rules]]\nstatus = 200\nbody = \"mine\"\n").await;
    let reply = street.client("blog.test").host("shop.test").http1().await.get("/").await;
    assert_eq!(reply.status, 421);
    assert_eq!(street.client("blog.test").http1().await.get("/").await.text(), "mine");
}

/// PX-4: a parent without a pool serves what its rules say.
#[tokio::test]
async fn a_parent_without_a_pool_has_rules() {
    let street = TwoSites::start().await;
    let rules = "[[virtual_service.edge.rules]]\npath = \"/hello\"\nstatus = 200\nbody = \"hi\"\n\
                 [[virtual_service.edge.rules]]\npath = \"/shop\"\npool = \"shop\"\n";
    let toml = street.toml(rules).replacen("pool = \"rest\"\n", "", 1);
    let rest = format!("[pool.rest]\nendpoints = [\"{}\"]\n", street.rest.endpoint());
    street.site.configure(&toml.replace(&rest, ""));
    street.proxy.reload().await;
    let mut http = street.client("edge.test").http1().await;
    assert_eq!(http.get("/hello").await.text(), "hi");
    assert_eq!(http.get("/shop").await.text(), "hello from shop");
    assert_eq!(http.get("/other").await.status, 503);
}
