//! Which certificate is served while a token cannot sign, and that it does not take long when it can again.

use std::os::unix::fs::symlink;

use rustls::AlertDescription;
use serde_json::Value;

use crate::kit::Ca;
use crate::kit::Client;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::eventually;
use crate::kit::proxy::log_line;
use crate::kit::token::FaultModule;
use crate::tokens::token_site::EDGE;
use crate::tokens::token_site::TokenSite;
use crate::tokens::token_site::certificate;
use crate::tokens::token_site::child;
use crate::tokens::token_site::child_with;
use crate::tokens::token_site::group;

/// DUAL, row 14
#[tokio::test]
async fn rsa_is_served_while_the_token_with_the_ec_key_is_away() {
    let Some(shop) = Shop::start().await else { return };
    for version in VERSIONS {
        shop.serves(version, &shop.ec).await;
    }
    shop.fault.absent(true);
    shop.member_is_up(0.0).await;
    for version in VERSIONS {
        shop.serves(version, &shop.rsa).await;
    }
    shop.fallbacks_become(2.0).await;
    shop.fault.absent(false);
    shop.member_is_up(1.0).await;
    for version in VERSIONS {
        shop.serves(version, &shop.ec).await;
    }
    shop.fallbacks_become(2.0).await;
}

/// DUAL, row 14: a client that cannot use the certificate on file is told whose fault it is.
#[tokio::test]
async fn who_wants_nothing_but_the_ec_key_is_refused_meanwhile() {
    let Some(shop) = Shop::start().await else { return };
    shop.fault.absent(true);
    shop.member_is_up(0.0).await;
    let p256 = [rustls::SignatureScheme::ECDSA_NISTP256_SHA256];
    let refused = shop.client("shop").schemes(&p256).handshake().await.map(drop).unwrap_err();
    assert_eq!(refused.alert, Some(AlertDescription::InternalError), "{refused:?}");
    let line = shop.refusal().await;
    assert_eq!(line["portcullis.selected"], "shop");
    assert_eq!(line["error.type"], "signing_failed");
}

/// DUAL, row 14: and with nothing on file, everybody is; the parent counts it, and others notice nothing.
#[tokio::test]
async fn a_service_whose_only_key_cannot_sign_refuses_and_disturbs_nobody() {
    let Some(shop) = Shop::start().await else { return };
    assert_eq!(shop.client("only").visit().await.unwrap().body, "only");
    shop.fault.absent(true);
    shop.member_is_up(0.0).await;
    for version in VERSIONS {
        let refused = version(shop.client("only")).handshake().await.map(drop).unwrap_err();
        assert_eq!(refused.alert, Some(AlertDescription::InternalError), "{refused:?}");
        assert_eq!(version(shop.client("file")).visit().await.unwrap().body, "file");
        assert_eq!(version(shop.client("other")).visit().await.unwrap().body, "other");
    }
    let labels = [("virtual_service", "edge"), ("reason", "signing_failed")];
    shop.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, 2.0).await;
    let line = shop.refusal().await;
    assert_eq!(line["error.type"], "signing_failed");
    assert_eq!(line["portcullis.virtual_service"], "edge", "failures are the parent's");
    assert_eq!(line["portcullis.selected"], "only");
    assert_eq!(line["tls.client.server_name"], "only.test");
    shop.fault.absent(false);
    eventually("the service again", async || shop.client("only").visit().await.ok()).await;
}

/// DUAL, row 14: with RSA preferred it is the other way round.
#[tokio::test]
async fn ec_on_file_is_served_while_the_preferred_rsa_key_is_away() {
    let Some(shop) = Shop::start().await else { return };
    let asks = async || shop.client("rsafirst").visit().await.unwrap().facts;
    assert!(asks().await.served(&shop.rsa_in_token));
    shop.fault.absent(true);
    shop.member_is_up(0.0).await;
    assert!(asks().await.served(&shop.ec_on_file));
    let labels = [("virtual_service", "rsafirst"), ("reason", "cannot_sign")];
    shop.proxy.metric_becomes("portcullis_tls_certificate_fallbacks_total", &labels, 1.0).await;
}

/// DUAL, row 14, HSM-6: the module is not even installed at the start.
#[tokio::test]
async fn a_module_that_is_installed_later_is_used_as_soon_as_it_is_there() {
    let Some(site) = TokenSite::new() else { return };
    let token = site.softhsm.token("a").await;
    let ec = site.issue("ec", &Leaf::p256("shop.test"), &[&token]).await;
    let rsa = Ca::shared().issue(&Leaf::rsa("shop.test"));
    site.site.certificate("rsa", &rsa);
    let later = site.site.path("later.so");
    let toml = [
        EDGE.to_owned(),
        group("prod", &later, "{ token = \"a\" }", ""),
        certificate("ec", "prod"),
        child("shop", &["ec", "rsa"]),
    ];
    let proxy = Proxy::start(&site.site, &toml.concat()).await;
    let visit = proxy.client("shop.test").visit().await.unwrap();
    assert!(visit.facts.served(&rsa));
    let labels = [("virtual_service", "shop"), ("reason", "cannot_sign")];
    proxy.metric_becomes("portcullis_tls_certificate_fallbacks_total", &labels, 1.0).await;
    symlink(&site.softhsm.module.path, &later).unwrap();
    eventually("the certificate of the token", async || {
        let session = proxy.client("shop.test").handshake().await.unwrap();
        session.facts.served(&ec).then_some(())
    })
    .await;
}

/// DUAL: a token that knows an old way to sign with RSA only signs for clients of TLS 1.2.
#[tokio::test]
async fn a_token_without_pss_signs_for_old_clients_only() {
    let Some(site) = TokenSite::new() else { return };
    let token = site.softhsm.token("a").await;
    let rsa = site.issue("rsa", &Leaf::rsa("shop.test"), &[&token]).await;
    let ec = Ca::shared().issue(&Leaf::p256("shop.test"));
    site.site.certificate("ec", &ec);
    let conf = site.site.read("softhsm/softhsm2.conf");
    site.site.write("softhsm/softhsm2.conf", format!("{conf}slots.mechanisms = CKM_RSA_PKCS\n"));
    let toml = [
        EDGE.to_owned(),
        group("prod", &site.softhsm.module.path, "{ token = \"a\" }", ""),
        certificate("rsa", "prod"),
        child_with("shop", &["rsa", "ec"], RSA_FIRST),
    ];
    let proxy = Proxy::start(&site.site, &toml.concat()).await;
    let old = proxy.client("shop.test").tls12().visit().await.unwrap();
    assert!(old.facts.served(&rsa));
    let modern = proxy.client("shop.test").tls13().visit().await.unwrap();
    assert!(modern.facts.served(&ec));
}

const VERSIONS: [fn(Client) -> Client; 2] = [Client::tls12, Client::tls13];

const RSA_FIRST: &str = "tls_profile = \"rsa_first\"\nno_pool = { status = 200, body = \"rsa\" }\n\
                         [tls_profile.rsa_first]\nprefer = \"rsa\"\n";

/// `shop` has an EC key in a token and an RSA key on file, `rsafirst` the same the other way round, `only` the
/// EC key in the token alone, `file` a key on file alone, `other` a key in another token.
struct Shop {
    ec: Issued,
    rsa: Issued,
    ec_on_file: Issued,
    rsa_in_token: Issued,
    /// The token with the keys of all but `other`.
    fault: FaultModule,
    proxy: Proxy,
    site: TokenSite,
}

impl Shop {
    async fn start() -> Option<Self> {
        let site = TokenSite::new()?;
        let [a, b] = [site.softhsm.token("a").await, site.softhsm.token("b").await];
        let fault = FaultModule::before(&site.softhsm);
        let ec = site.issue("ec", &Leaf::p256("shop.test"), &[&a]).await;
        let rsa_in_token = site.issue("rsa", &Leaf::rsa("shop.test"), &[&a]).await;
        site.issue("other", &Leaf::p256("other.test"), &[&b]).await;
        let (rsa, ec_on_file) = (
            Ca::shared().issue(&Leaf::rsa("shop.test")),
            Ca::shared().issue(&Leaf::p256("shop.test")),
        );
        site.site.certificate("file_rsa", &rsa);
        site.site.certificate("file_ec", &ec_on_file);
        let toml = [
            EDGE.to_owned(),
            group("prod", &fault.module.path, "{ token = \"a\" }", "probe_interval = \"1s\""),
            group("other", &site.softhsm.module.path, "{ token = \"b\" }", ""),
            certificate("ec", "prod"),
            certificate("rsa", "prod"),
            certificate("other", "other"),
            child("shop", &["ec", "file_rsa"]),
            child("only", &["ec"]),
            child("file", &["file_ec"]),
            child("other", &["other"]),
            child_with("rsafirst", &["rsa", "file_ec"], RSA_FIRST),
        ];
        let proxy = Proxy::start(&site.site, &toml.concat()).await;
        Some(Self { ec, rsa, ec_on_file, rsa_in_token, fault, proxy, site })
    }

    fn client(&self, name: &str) -> Client {
        self.proxy.client(&format!("{name}.test"))
    }

    async fn serves(&self, version: fn(Client) -> Client, issued: &Issued) {
        let visit = version(self.client("shop")).visit().await.unwrap();
        assert!(visit.facts.served(issued));
        assert_eq!(visit.body, "shop");
    }

    async fn member_is_up(&self, value: f64) {
        let labels = [("hsm", "prod"), ("member", "a")];
        self.proxy.metric_becomes("portcullis_hsm_member_up", &labels, value).await;
    }

    /// The first line about a handshake that was refused.
    async fn refusal(&self) -> Value {
        log_line(&self.site.site, "a refusal", |line| line["event"] == "tls").await
    }

    async fn fallbacks_become(&self, times: f64) {
        let labels = [("virtual_service", "shop"), ("reason", "cannot_sign")];
        let counter = "portcullis_tls_certificate_fallbacks_total";
        self.proxy.metric_becomes(counter, &labels, times).await;
    }
}
