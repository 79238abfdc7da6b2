//! Bytes that are relayed: TLS that passes through, and TLS that ends here.

mod lines;
mod passthrough;
mod tcp;

use crate::kit::Ca;
use crate::kit::FarEnd;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Origin;
use crate::kit::Proxy;
use crate::kit::Site;

/// The three modes under one parent: `web.test` speaks HTTP, `through.test` passes through, and TLS of
/// `bytes.test` ends here. `gone.test` passes through to nobody.
struct Street {
    web: Origin,
    through: FarEnd,
    bytes: FarEnd,
    /// Of `bytes.test` and `web.test`.
    ours: Issued,
    /// The endpoint's own, of `through.test`.
    theirs: Issued,
    proxy: Proxy,
    site: Site,
}

impl Street {
    async fn start() -> Self {
        Self::with("").await
    }

    /// With more tables.
    async fn with(more: &str) -> Self {
        let site = Site::new();
        let ours = Ca::shared().issue(&Leaf::p256("bytes.test").and("web.test"));
        let theirs = Ca::shared().issue(&Leaf::rsa("through.test"));
        site.certificate("ours", &ours);
        let web = Origin::saying("hello from web").await;
        let (through, bytes) = (FarEnd::start().await, FarEnd::start().await);
        let nobody = crate::kit::far_end::nobody().await;
        let (a, b, c) = (web.endpoint(), through.endpoint(), bytes.endpoint());
        let toml = format!(
            r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["ours"]
[virtual_service.web]
parent = "edge"
domains = ["web.test"]
certificates = ["ours"]
pool = "web"
[virtual_service.through]
parent = "edge"
domains = ["through.test"]
mode = "passthrough"
pool = "through"
[virtual_service.bytes]
parent = "edge"
domains = ["bytes.test"]
certificates = ["ours"]
mode = "tcp"
pool = "bytes"
[virtual_service.gone]
parent = "edge"
domains = ["gone.test"]
mode = "passthrough"
pool = "gone"
[pool.web]
endpoints = ["{a}"]
[pool.through]
endpoints = ["{b}"]
[pool.bytes]
endpoints = ["{c}"]
[pool.gone]
endpoints = ["{nobody}"]
{more}
"#
        );
        let proxy = Proxy::start(&site, &toml).await;
        Self { web, through, bytes, ours, theirs, proxy, site }
    }
}
