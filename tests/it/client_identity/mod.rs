//! Who the client is, behind load balancers and proxies: the PROXY protocol, forwarded fields, and the
//! client's certificate.

mod certificate;
mod fields;
mod proxy_protocol;

use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Origin;
use crate::kit::Proxy;
use crate::kit::Site;

/// A parent and a child `shop.test` behind it, with keys of the test's own.
struct House {
    origin: Origin,
    proxy: Proxy,
    site: Site,
}

impl House {
    async fn with(parent: &str, child: &str) -> Self {
        let site = Site::new();
        site.certificate("c", &Ca::shared().issue(&Leaf::p256("shop.test")));
        let origin = Origin::saying("welcome").await;
        let toml = format!(
            r#"
[pool.shop]
endpoints = ["{}"]
[virtual_service.edge]
listen = ["127.0.0.1:0"]
redirect_http = ["127.0.0.1:0"]
certificates = ["c"]
{parent}
[virtual_service.shop]
parent = "edge"
domains = ["shop.test"]
certificates = ["c"]
pool = "shop"
{child}
"#,
            origin.endpoint()
        );
        let proxy = Proxy::start(&site, &toml).await;
        Self { origin, proxy, site }
    }
}
