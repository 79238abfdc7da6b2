//! The host of a request against the child of its connection.

use hyper::Method;
use hyper::StatusCode;

use crate::kit::Ca;
use crate::kit::Http;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Origin;
use crate::kit::Proxy;
use crate::kit::Reply;
use crate::kit::Site;
use crate::kit::TwoSites;
use crate::kit::http::empty;
use crate::kit::http::next_piece;
use crate::kit::proxy::log_line;

/// VS-6
#[tokio::test]
async fn a_host_of_another_site_is_misdirected_on_http1() {
    let street = TwoSites::start().await;
    let mut http = street.client("shop.test").http1().await;
    let reply = ask(&mut http, "blog.test").await;
    assert_eq!(reply.status, StatusCode::MISDIRECTED_REQUEST);
    misdirected_and_told_on_the_child(&street, "blog.test").await;
}

/// VS-6
#[tokio::test]
async fn a_host_of_nobody_is_misdirected_on_http1() {
    let street = TwoSites::start().await;
    let visit = street.client("shop.test").host("nobody.test").visit().await.unwrap();
    assert_eq!(visit.status, 421);
    misdirected_and_told_on_the_child(&street, "nobody.test").await;
}

/// VS-6
#[tokio::test]
async fn a_misdirected_stream_leaves_the_others_of_its_connection_alone() {
    let street = TwoSites::start().await;
    let mut http = street.client("shop.test").http2().await;
    let request = http.head(Method::GET, "/gate").body(empty()).unwrap();
    let mut streaming = http.start(request).await.unwrap();
    assert_eq!(next_piece(&mut streaming).await.unwrap(), "first");

    let reply = ask(&mut http, "blog.test").await;
    assert_eq!(reply.status, StatusCode::MISDIRECTED_REQUEST);

    street.shop.release();
    assert_eq!(next_piece(&mut streaming).await.unwrap(), "second");
    assert_eq!(http.get("/").await.text(), "hello from shop", "and new streams are served");
    assert_eq!(street.shop.seen().len(), 2);
    assert!(street.blog.seen().is_empty() && street.rest.seen().is_empty());
    let line =
        log_line(&street.site, "the 421", |line| line["error.type"] == "host_mismatch").await;
    assert_eq!(line["portcullis.virtual_service"], "shop");
}

/// VS-6
#[tokio::test]
async fn port_case_and_trailing_dot_of_a_host_do_not_matter() {
    let street = TwoSites::start().await;
    for host in ["shop.test:8443", "SHOP.Test", "shop.test.", "a.Shop.Test.:1"] {
        let visit = street.client("shop.test").host(host).visit().await.unwrap();
        assert_eq!((visit.status, &*visit.body), (200, "hello from shop"), "{host}");
        assert_eq!(street.shop.last().header("host"), host, "the origin gets what was asked");
    }
}

/// VS-6: another name of the same child is no mismatch, whatever the server name was.
#[tokio::test]
async fn another_domain_of_the_same_child_is_served() {
    let street = TwoSites::start().await;
    let mut http = street.client("a.shop.test").http2().await;
    assert_eq!(ask(&mut http, "b.shop.test").await.status, 200);
    assert_eq!(ask(&mut http, "shop.test").await.status, 200);
}

/// VS-6
#[tokio::test]
async fn with_the_check_off_the_selected_child_serves_every_host() {
    let street = TwoSites::with("host_check = \"off\"").await;
    for mut http in
        [street.client("blog.test").http1().await, street.client("blog.test").http2().await]
    {
        assert_eq!(ask(&mut http, "shop.test").await.text(), "hello from blog");
        assert_eq!(ask(&mut http, "nobody.test").await.text(), "hello from blog");
    }
    assert!(street.shop.seen().is_empty());
}

/// VS-6
#[tokio::test]
async fn with_same_policy_a_covered_sibling_serves_its_host() {
    let family = Family::start().await;
    let mut http = family.proxy.client("one.test").http2().await;
    assert!(http.facts().served(&family.shared));
    assert_eq!(ask(&mut http, "one.test").await.text(), "one");
    assert_eq!(ask(&mut http, "two.test").await.text(), "two", "same policy, covered");
    let line = log_line(&family.site, "two", |l| l["portcullis.virtual_service"] == "two").await;
    assert_eq!(line["tls.client.server_name"], "one.test");
}

/// VS-6
#[tokio::test]
async fn with_same_policy_other_policies_and_uncovered_hosts_are_misdirected() {
    let family = Family::start().await;
    let mut http = family.proxy.client("one.test").http2().await;
    for host in ["strict.test", "uncovered.test", "nobody.test"] {
        let reply = ask(&mut http, host).await;
        assert_eq!(reply.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
}

/// VS-4: a parent serves whatever host is asked.
#[tokio::test]
async fn a_parent_checks_no_host() {
    let street = TwoSites::start().await;
    let visit = street.client("nobody.test").host("shop.test").visit().await.unwrap();
    assert_eq!(visit.body, "hello from edge");
}

async fn ask(http: &mut Http, host: &str) -> Reply {
    let request = http.head_to(host, Method::GET, "/").body(empty()).unwrap();
    http.send(request).await.unwrap()
}

async fn misdirected_and_told_on_the_child(street: &TwoSites, host: &str) {
    let line =
        log_line(&street.site, "the 421", |line| line["error.type"] == "host_mismatch").await;
    assert_eq!(line["portcullis.virtual_service"], "shop");
    assert_eq!(line["tls.client.server_name"], "shop.test");
    assert_eq!(line["server.address"], host);
    assert_eq!(line["http.response.status_code"], 421);
    for origin in [&street.shop, &street.blog, &street.rest] {
        assert!(origin.seen().is_empty(), "no pool sees it");
    }
    let shop = [("virtual_service", "shop")];
    street.proxy.metric_becomes("portcullis_http_host_mismatches_total", &shop, 1.0).await;
}

/// `one` and `two` share certificate and profile, `strict` has another profile, `uncovered` a
/// domain that the certificate does not have. All of them look for the host among their siblings.
struct Family {
    shared: Issued,
    _origins: [Origin; 2],
    proxy: Proxy,
    site: Site,
}

impl Family {
    async fn start() -> Self {
        let site = Site::new();
        let leaf = Leaf::p256("one.test").and("two.test").and("strict.test");
        let shared = Ca::shared().issue(&leaf);
        site.certificate("c", &shared);
        let origins = [Origin::saying("one").await, Origin::saying("two").await];
        let mut toml = format!(
            r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["c"]
[tls_profile.strict]
versions = ["1.3"]
client_certificate = {{ mode = "request", ca = "clients.pem" }}
[pool.one]
endpoints = ["{}"]
[pool.two]
endpoints = ["{}"]
"#,
            origins[0].endpoint(),
            origins[1].endpoint()
        );
        site.write("clients.pem", Ca::shared().pem());
        for (child, profile, pool) in [
            ("one", "intermediate", "one"),
            ("two", "intermediate", "two"),
            ("strict", "strict", "two"),
            ("uncovered", "intermediate", "two"),
        ] {
            toml.push_str(&format!(
                "[virtual_service.{child}]\nparent = \"edge\"\ndomains = [\"{child}.test\"]\n\
                 certificates = [\"c\"]\ntls_profile = \"{profile}\"\npool = \"{pool}\"\n\
                 host_check = \"same_policy\"\n"
            ));
        }
        let proxy = Proxy::start(&site, &toml).await;
        Self { shared, _origins: origins, proxy, site }
    }
}
