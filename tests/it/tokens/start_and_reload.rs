//! Groups of tokens while the proxy starts and while its configuration and its certificates change.

use serde_json::Value;

use crate::kit::Ca;
use crate::kit::Client;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::eventually;
use crate::kit::load::Load;
use crate::kit::load::beside;
use crate::kit::token::FaultModule;
use crate::kit::token::Token;
use crate::tokens::token_site::EDGE;
use crate::tokens::token_site::TokenSite;
use crate::tokens::token_site::certificate;
use crate::tokens::token_site::child;
use crate::tokens::token_site::group;

/// HSM-3, HSM-6: everybody else is served, and the service too as soon as there is a token with its key.
#[tokio::test]
async fn a_token_that_is_missing_at_the_start_is_found_when_it_is_there() {
    let Some(site) = TokenSite::new() else { return };
    let issued = site.issue("shop", &Leaf::p256("shop.test"), &[]).await;
    let toml = [
        EDGE.to_owned(),
        group("prod", &site.softhsm.module.path, "{ token = \"late\" }", ""),
        certificate("shop", "prod"),
        child("shop", &["shop"]),
        child("file", &["edge"]),
    ];
    let proxy = Proxy::start(&site.site, &toml.concat()).await;
    let told = |message: &Value| {
        let text = message["message"].as_str().unwrap_or_default();
        text.contains("certificate `shop`") && text.contains("late: the token is not there")
    };
    assert_eq!(proxy.says("what is missing", told).await["level"], "ERROR");
    assert!(proxy.client("shop.test").handshake().await.is_err());
    assert_eq!(proxy.client("file.test").visit().await.unwrap().body, "file");
    let token = site.softhsm.token("late").await;
    token.import("shop", "10", &issued).await;
    is_served(&proxy, &issued).await;
}

/// HSM-6, RL-3: at a start, a key of another certificate is an error of that certificate alone; and it is
/// served when the right one is there.
#[tokio::test]
async fn a_mismatch_at_the_start_keeps_nobody_else_dark() {
    let Some(site) = TokenSite::new() else { return };
    let token = site.softhsm.token("a").await;
    let right = site.issue("shop", &Leaf::p256("shop.test"), &[&token]).await;
    site.issue("shop", &Leaf::p256("shop.test"), &[]).await;
    let fault = FaultModule::before(&site.softhsm);
    let proxy = Proxy::start(&site.site, &toml(&fault, "")).await;
    assert!(proxy.client("shop.test").handshake().await.is_err());
    assert_eq!(proxy.client("edge.test").visit().await.unwrap().body, "edge");
    site.site.replace("certs/shop.pem", &right.chain);
    is_served(&proxy, &right).await;
}

/// HSM-6, RL-3, RL-5
#[tokio::test]
async fn a_certificate_of_another_key_is_not_served_and_the_old_one_is() {
    let Some(shop) = Shop::start("").await else { return };
    let stranger = Ca::shared().issue(&Leaf::p256("shop.test"));
    shop.site.site.replace("certs/shop.pem", &stranger.chain);
    let differs = [("certificate", "shop")];
    shop.proxy.metric_becomes("portcullis_certificate_served_differs", &differs, 1.0).await;
    let told =
        |message: &Value| message["certificate"] == "shop" && message["reason"] == "key_mismatch";
    let message = shop.proxy.says("what is wrong", told).await;
    let text = message["message"].as_str().unwrap();
    assert!(text.contains("the group prod") && text.contains("a: the key is not that"), "{text}");
    assert!(shop.client().visit().await.unwrap().facts.served(&shop.issued));
    shop.site.site.replace("certs/shop.pem", &shop.issued.chain);
    shop.proxy.metric_becomes("portcullis_certificate_served_differs", &differs, 0.0).await;
}

/// HSM-6, RL-1: without a reload, and without another login; while the token is away, as soon as it is back.
#[tokio::test]
async fn a_certificate_that_is_renewed_for_the_same_key_is_served() {
    let Some(site) = TokenSite::new() else { return };
    let token = site.softhsm.token("a").await;
    // All RSA certificates of a run have one key.
    let first = site.issue("shop", &Leaf::rsa("shop.test"), &[&token]).await;
    let fault = FaultModule::before(&site.softhsm);
    let proxy = Proxy::start(&site.site, &toml(&fault, "")).await;
    is_settled(&proxy).await;
    is_served(&proxy, &first).await;
    let logins = fault.logins();
    let next = site.issue("shop", &Leaf::rsa("shop.test"), &[]).await;
    assert_ne!(first.certificate, next.certificate);
    is_served(&proxy, &next).await;
    assert_eq!(fault.logins(), logins);
    fault.absent(true);
    let member = [("hsm", "prod"), ("member", "a")];
    proxy.metric_becomes("portcullis_hsm_member_up", &member, 0.0).await;
    let last = site.issue("shop", &Leaf::rsa("shop.test"), &[]).await;
    let differs = [("certificate", "shop")];
    proxy.metric_becomes("portcullis_certificate_served_differs", &differs, 1.0).await;
    fault.absent(false);
    is_served(&proxy, &last).await;
    assert_eq!(proxy.metric("portcullis_config_reloads_total", &[]).await, 0.0);
}

/// HSM-6, RL-2: neither a login nor a session, a thread or a file more.
#[tokio::test]
async fn reloads_about_something_else_leave_groups_alone() {
    let Some(shop) = Shop::start("[watch]\nfiles = false\n").await else { return };
    shop.reload("[watch]\nfiles = false\n").await;
    let before = (shop.fault.logins(), shop.fault.sessions(), shop.fault.initialized());
    let (threads, descriptors) = (shop.proxy.threads("hsm-"), shop.proxy.descriptors().await);
    for number in 0..20 {
        let news = child(&format!("news{number}"), &["edge"]);
        shop.reload(&format!("[watch]\nfiles = false\n{news}")).await;
    }
    assert_eq!((shop.fault.logins(), shop.fault.sessions(), shop.fault.initialized()), before);
    assert_eq!(shop.proxy.threads("hsm-"), threads);
    shop.proxy.descriptors_become(descriptors).await;
    assert_eq!(shop.client().visit().await.unwrap().body, "shop");
}

/// HSM-6, RL-2: what is up to the token has been shown before, and is not asked again.
#[tokio::test]
async fn reloads_about_something_else_are_applied_while_a_token_is_away() {
    let Some(shop) = Shop::start("").await else { return };
    shop.fault.absent(true);
    let labels = [("hsm", "prod"), ("member", "a")];
    shop.proxy.metric_becomes("portcullis_hsm_member_up", &labels, 0.0).await;
    shop.reload(&child("news", &["edge"])).await;
    assert_eq!(shop.proxy.client("news.test").visit().await.unwrap().body, "news");
    assert!(shop.client().handshake().await.is_err());
    shop.fault.absent(false);
    is_served(&shop.proxy, &shop.issued).await;
}

/// HSM-6: sessions that are open find the keys of a new certificate.
#[tokio::test]
async fn a_certificate_that_is_added_uses_the_sessions_that_are_open() {
    let Some(shop) = Shop::start("").await else { return };
    let sessions = shop.fault.sessions();
    let news = shop.site.issue("news", &Leaf::p384("news.test"), &[&shop.token]).await;
    shop.reload(&[certificate("news", "prod"), child("news", &["news"])].concat()).await;
    let visit = shop.proxy.client("news.test").visit().await.unwrap();
    assert!(visit.facts.served(&news));
    assert_eq!(shop.fault.sessions(), sessions);
}

/// HSM-6, RL-2: a token that has lost the only key in use is of no use, until it is told of another.
#[tokio::test]
async fn a_key_that_was_deleted_gives_way_to_another() {
    let Some(shop) = Shop::start("").await else { return };
    shop.token.delete("shop").await;
    let labels = [("hsm", "prod"), ("member", "a")];
    shop.proxy.metric_becomes("portcullis_hsm_member_up", &labels, 0.0).await;
    let next = shop.site.issue("next", &Leaf::p256("shop.test"), &[&shop.token]).await;
    let config = toml(&shop.fault, "").replace("label = \"shop\"", "label = \"next\"");
    shop.site.site.configure(&config.replace("certs/shop.pem", "certs/next.pem"));
    shop.proxy.reload().await;
    assert!(shop.client().visit().await.unwrap().facts.served(&next));
}

/// HSM-6, RL-2
#[tokio::test]
async fn the_threads_of_a_group_end_when_it_is_removed() {
    let Some(shop) = Shop::start("").await else { return };
    shop.client().visit().await.unwrap();
    shop.proxy.threads_become("hsm-a-", 8).await;
    assert!(shop.proxy.threads("hsm-prod") > 0, "and those of its lane");
    shop.site.site.configure(&format!("{EDGE}{}", child("shop", &["edge"])));
    shop.proxy.reload().await;
    shop.proxy.threads_become("hsm-", 0).await;
    assert_eq!(shop.client().visit().await.unwrap().body, "shop");
    let gone = async || {
        let samples = shop.proxy.samples().await;
        (!samples.iter().any(|sample| sample.label("hsm") == "prod")).then_some(())
    };
    eventually("the end of the series of the group", gone).await;
}

/// HSM-6, RL-4: the new group takes over, and no handshake falls between the two.
#[tokio::test]
async fn a_group_that_is_edited_under_load_fails_no_handshake() {
    let Some(shop) = Shop::start("").await else { return };
    let load = Load::of(4, &shop.client());
    load.sees(200, 20).await;
    for sessions in [2, 5, 3] {
        let keys = format!("sessions = {sessions}");
        shop.site.site.configure(&configuration(&shop.fault, &keys, ""));
        shop.proxy.reload().await;
        load.sees(200, 20).await;
        shop.proxy.threads_become("hsm-a-", sessions).await;
    }
    let outcomes = load.end().await;
    assert!(beside(&outcomes, &[200]).is_empty(), "{outcomes:?}");
}

/// One child whose key is in the token `a`, which is asked every second.
struct Shop {
    issued: Issued,
    token: Token,
    fault: FaultModule,
    proxy: Proxy,
    site: TokenSite,
}

impl Shop {
    /// With more tables.
    async fn start(more: &str) -> Option<Self> {
        let site = TokenSite::new()?;
        let token = site.softhsm.token("a").await;
        let issued = site.issue("shop", &Leaf::p256("shop.test"), &[&token]).await;
        let fault = FaultModule::before(&site.softhsm);
        let proxy = Proxy::start(&site.site, &toml(&fault, more)).await;
        is_settled(&proxy).await;
        Some(Self { issued, token, fault, proxy, site })
    }

    fn client(&self) -> Client {
        self.proxy.client("shop.test")
    }

    /// With other tables than it was started with.
    async fn reload(&self, more: &str) {
        self.site.site.configure(&toml(&self.fault, more));
        self.proxy.reload().await;
    }
}

fn toml(fault: &FaultModule, more: &str) -> String {
    configuration(fault, "", more)
}

fn configuration(fault: &FaultModule, keys: &str, more: &str) -> String {
    let keys = format!("probe_interval = \"1s\"\n{keys}");
    [
        EDGE,
        &group("prod", &fault.module.path, "{ token = \"a\" }", &keys),
        &certificate("shop", "prod"),
        &child("shop", &["shop"]),
        more,
    ]
    .concat()
}

/// Waits until all sessions are open.
async fn is_settled(proxy: &Proxy) {
    let idle = [("hsm", "prod"), ("member", "a"), ("state", "idle")];
    proxy.metric_becomes("portcullis_hsm_sessions", &idle, 8.0).await;
}

/// Waits until `shop.test` has this certificate.
async fn is_served(proxy: &Proxy, issued: &Issued) {
    eventually("the certificate", async || {
        let session = proxy.client("shop.test").handshake().await.ok()?;
        session.facts.served(issued).then_some(())
    })
    .await;
}
