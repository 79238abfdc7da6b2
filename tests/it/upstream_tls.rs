//! TLS to pool servers: verified unless told otherwise, with the right name, with a certificate.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use serde_json::Value;

use crate::kit::Ca;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Origin;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::proxy::log_line;

/// VS-10
#[tokio::test]
async fn an_origin_that_the_ca_vouches_for_is_used() {
    let house = House::with(&Leaf::p256("127.0.0.1"), r#"tls = { ca = "internal.pem" }"#).await;
    assert_eq!(house.visit().await, (200, "secret".to_owned()));
}

/// VS-10
#[tokio::test]
async fn the_server_name_can_be_set_and_is_sent_and_verified() {
    let keys = r#"tls = { server_name = "shop.internal", ca = "internal.pem" }"#;
    let house = House::with(&Leaf::rsa("shop.internal"), keys).await;
    assert_eq!(house.visit().await, (200, "secret".to_owned()));
    let tls = house.origin.last().tls.expect("a TLS connection");
    assert_eq!(tls.server_name.as_deref(), Some("shop.internal"));
}

/// VS-10
#[tokio::test]
async fn a_wrong_name_is_refused_with_a_reason() {
    let keys = r#"tls = { server_name = "shop.internal", ca = "internal.pem" }"#;
    let house = House::with(&Leaf::p256("other.internal"), keys).await;
    house.is_refused().await;
}

/// VS-10
#[tokio::test]
async fn the_endpoints_own_name_is_verified_by_default() {
    let house =
        House::with(&Leaf::p256("other.internal"), r#"tls = { ca = "internal.pem" }"#).await;
    house.is_refused().await;
}

/// VS-10
#[tokio::test]
async fn a_ca_that_nobody_named_is_refused_with_a_reason() {
    // Without `ca` those of the system are trusted, and ours is none of them.
    let house = House::with(&Leaf::p256("127.0.0.1"), "tls = {}").await;
    house.is_refused().await;
}

/// VS-10
#[tokio::test]
async fn an_expired_certificate_of_an_origin_is_refused_with_a_reason() {
    let leaf = Leaf::p256("127.0.0.1").expired();
    let house = House::with(&leaf, r#"tls = { ca = "internal.pem" }"#).await;
    house.is_refused().await;
}

/// VS-10
#[tokio::test]
async fn verification_can_be_turned_off_and_that_is_said() {
    let leaf = Leaf::p256("other.internal").expired();
    let house = House::with(&leaf, "tls = { verify = false }").await;
    assert_eq!(house.visit().await, (200, "secret".to_owned()));
    let warning = |m: &Value| m["level"] == "WARN" && m.to_string().contains("verif");
    house.proxy.says("a warning about verification", warning).await;
}

/// VS-10
#[tokio::test]
async fn a_client_certificate_is_presented() {
    let site = Site::new();
    let robot = Ca::shared().issue(&Leaf::p256("robot"));
    site.certificate("robot", &robot);
    let keys = r#"tls = { ca = "internal.pem", certificate = "robot" }"#;
    let config = requiring_certificates(&Ca::shared().issue(&Leaf::p256("127.0.0.1")));
    let house = House::on(site, config, keys).await;
    assert_eq!(house.visit().await, (200, "secret".to_owned()));
    let tls = house.origin.last().tls.expect("a TLS connection");
    assert_eq!(tls.client_certificate.as_deref(), Some(robot.certificate.as_ref()));
}

/// VS-10
#[tokio::test]
async fn without_a_client_certificate_an_origin_that_wants_one_is_a_502() {
    let config = requiring_certificates(&Ca::shared().issue(&Leaf::p256("127.0.0.1")));
    let house = House::on(Site::new(), config, r#"tls = { ca = "internal.pem" }"#).await;
    house.is_refused().await;
}

/// VS-10, PX-1
#[tokio::test]
async fn alpn_decides_what_is_spoken_over_tls() {
    for (offered, protocol, spoken) in [
        (&["h2", "http/1.1"][..], "auto", hyper::Version::HTTP_2),
        (&["http/1.1"], "auto", hyper::Version::HTTP_11),
        (&[], "auto", hyper::Version::HTTP_11),
        (&["h2", "http/1.1"], "http1", hyper::Version::HTTP_11),
        (&["h2"], "http2", hyper::Version::HTTP_2),
    ] {
        let mut config = serving(&Ca::shared().issue(&Leaf::p256("127.0.0.1")));
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let keys = format!("protocol = \"{protocol}\"\ntls = {{ ca = \"internal.pem\" }}");
        let house = House::on(Site::new(), config, &keys).await;
        assert_eq!(house.visit().await, (200, "secret".to_owned()), "{offered:?} {protocol}");
        assert_eq!(house.origin.last().version, spoken, "{offered:?} {protocol}");
    }
}

/// VS-10
#[tokio::test]
async fn plain_text_is_not_spoken_to_a_tls_origin_that_fails() {
    let house =
        House::with(&Leaf::p256("other.internal"), r#"tls = { ca = "internal.pem" }"#).await;
    house.is_refused().await;
    assert!(house.origin.seen().is_empty());
}

/// A service in front of one TLS origin.
struct House {
    origin: Origin,
    proxy: Proxy,
    site: Site,
}

impl House {
    /// The origin has this certificate of the internal CA, the pool these keys.
    async fn with(leaf: &Leaf, keys: &str) -> Self {
        Self::on(Site::new(), serving(&Ca::shared().issue(leaf)), keys).await
    }

    async fn on(site: Site, config: ServerConfig, keys: &str) -> Self {
        site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test")));
        site.write("internal.pem", Ca::shared().pem());
        let origin = Origin::saying_over_tls("secret", config).await;
        let toml = format!(
            r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["c"]
pool = "internal"

[pool.internal]
endpoints = ["{}"]
{keys}
"#,
            origin.endpoint()
        );
        let proxy = Proxy::start(&site, &toml).await;
        Self { origin, proxy, site }
    }

    async fn visit(&self) -> (u16, String) {
        let visit = self.proxy.client("one.test").visit().await.unwrap();
        (visit.status, visit.body)
    }

    /// 502 to the client, a reason in the log and in the metric, nothing said to the origin.
    async fn is_refused(&self) {
        assert_eq!(self.visit().await.0, 502);
        let failed = |line: &Value| line["http.response.status_code"] == 502;
        let line = log_line(&self.site, "the 502", failed).await;
        let reason = line["error.type"].as_str().expect("a reason");
        assert!(reason.contains("tls") || reason.contains("certificate"), "{line:#}");
        let labels = [("virtual_service", "edge"), ("reason", reason)];
        self.proxy.metric_becomes("portcullis_http_request_failures_total", &labels, 1.0).await;
        assert!(self.origin.seen().is_empty());
    }
}

fn serving(issued: &Issued) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(issued.chain_der(), issued.key_der())
        .unwrap()
}

fn requiring_certificates(issued: &Issued) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(Ca::shared().der()).unwrap();
    let provider = Arc::new(default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(issued.chain_der(), issued.key_der())
        .unwrap()
}
