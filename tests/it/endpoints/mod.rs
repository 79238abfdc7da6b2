//! How endpoints are found, reached and checked.

mod dns;
mod health;
mod proxy_protocol_out;
mod unix;

use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;

/// A service `one.test` in front of one pool.
struct House {
    // The proxy goes before the directory that it writes to.
    proxy: Proxy,
    site: Site,
}

impl House {
    /// The pool has these keys; `more` are other tables.
    async fn with(site: Site, pool: &str, more: &str) -> Self {
        site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test")));
        site.write("internal.pem", Ca::shared().pem());
        let proxy = Proxy::start(&site, &Self::toml(pool, more)).await;
        Self { proxy, site }
    }

    fn toml(pool: &str, more: &str) -> String {
        format!(
            r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["c"]
pool = "app"

[pool.app]
{pool}

{more}
"#
        )
    }

    async fn reload(&self, pool: &str, more: &str) {
        self.site.configure(&Self::toml(pool, more));
        self.proxy.reload().await;
    }

    async fn visit(&self) -> (u16, String) {
        let visit = self.proxy.client("one.test").visit().await.unwrap();
        (visit.status, visit.body)
    }
}
