//! The street that most tests live in: a parent `edge` and its children `shop` and `blog`.

use super::ca::Ca;
use super::ca::Issued;
use super::ca::Leaf;
use super::client::Client;
use super::origin::Origin;
use super::proxy::Proxy;
use super::site::Site;

/// `shop.test` has an EC and an RSA certificate, `blog.test` and the parent have an EC one each.
/// Each of the three has an origin of its own that says its name.
pub(crate) struct TwoSites {
    pub(crate) shop: Origin,
    pub(crate) blog: Origin,
    pub(crate) rest: Origin,
    pub(crate) shop_ec: Issued,
    pub(crate) shop_rsa: Issued,
    pub(crate) blog_ec: Issued,
    pub(crate) edge_ec: Issued,
    // The proxy goes before the directory that it writes to.
    pub(crate) proxy: Proxy,
    pub(crate) site: Site,
}

impl TwoSites {
    /// With nothing special about them.
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// With more tables, or more keys of `blog`, whose table is the last one.
    pub(crate) async fn with(more: &str) -> Self {
        let site = Site::new();
        let ca = Ca::shared();
        let shop_ec = ca.issue(&Leaf::p256("shop.test").and("*.shop.test"));
        let shop_rsa = ca.issue(&Leaf::rsa("shop.test").and("*.shop.test"));
        let blog_ec = ca.issue(&Leaf::p256("blog.test"));
        let edge_ec = ca.issue(&Leaf::p256("edge.test"));
        site.certificate("shop_ec", &shop_ec);
        site.certificate("shop_rsa", &shop_rsa);
        site.certificate("blog_ec", &blog_ec);
        site.certificate("edge_ec", &edge_ec);
        let shop = Origin::saying("hello from shop").await;
        let blog = Origin::saying("hello from blog").await;
        let rest = Origin::saying("hello from edge").await;
        let toml = configuration([&shop, &blog, &rest].map(Origin::endpoint), more);
        let proxy = Proxy::start(&site, &toml).await;
        Self { shop, blog, rest, shop_ec, shop_rsa, blog_ec, edge_ec, proxy, site }
    }

    /// The configuration with something else behind it than it was started with.
    pub(crate) fn toml(&self, more: &str) -> String {
        configuration([&self.shop, &self.blog, &self.rest].map(Origin::endpoint), more)
    }

    /// A client of the parent that asks for this server name.
    pub(crate) fn client(&self, name: &str) -> Client {
        self.proxy.client(name)
    }
}

fn configuration([shop, blog, rest]: [String; 3], more: &str) -> String {
    format!(
        r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["edge_ec"]
pool = "rest"

[virtual_service.shop]
parent = "edge"
domains = ["shop.test", "*.shop.test"]
certificates = ["shop_ec", "shop_rsa"]
pool = "shop"

[pool.shop]
endpoints = ["{shop}"]

[pool.blog]
endpoints = ["{blog}"]

[pool.rest]
endpoints = ["{rest}"]

[virtual_service.blog]
parent = "edge"
domains = ["blog.test"]
certificates = ["blog_ec"]
pool = "blog"
{more}
"#
    )
}
