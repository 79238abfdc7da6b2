//! Health checks: what they ask, and that traffic goes where they are good.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use serde_json::Value;

use crate::endpoints::House;
use crate::kit::Ca;
use crate::kit::Dns;
use crate::kit::Leaf;
use crate::kit::Origin;
use crate::kit::RawOrigin;
use crate::kit::Site;
use crate::kit::eventually;
use crate::kit::raw_origin::unused_port;

const UP: &str = "portcullis_endpoint_up";

fn endpoints(origins: &[&Origin]) -> String {
    let listed: Vec<_> = origins.iter().map(|o| format!("\"{}\"", o.endpoint())).collect();
    format!("endpoints = [{}]", listed.join(", "))
}

fn checks_of(origin: &Origin) -> usize {
    origin.seen().iter().filter(|seen| seen.header("user-agent") == "portcullis-health").count()
}

/// SPEC PX-2.
#[tokio::test]
async fn an_endpoint_that_fails_its_checks_gets_nothing_until_they_are_good_again() {
    let (sick, well) = (Origin::saying("sick").await, Origin::saying("well").await);
    let health = "health = { path = \"/healthz?deep\", interval = \"100ms\", timeout = \"1s\", rise = 2, fall = 2, host = \"app.internal\" }";
    let pool = format!("{}\n{health}", endpoints(&[&sick, &well]));
    let house = House::with(Site::new(), &pool, "").await;
    let label = sick.endpoint();
    let labels = [("pool", "app"), ("endpoint", label.as_str())];
    house.proxy.metric_becomes(UP, &labels, 1.0).await;

    sick.answers_with(503);
    let is_down = |m: &Value| m["message"] == "endpoint is down" && m["endpoint"] == label;
    let message = house.proxy.says("that it is down", is_down).await;
    assert_eq!((&message["pool"], &message["reason"]), (&"app".into(), &"check_status".into()));
    house.proxy.metric_becomes(UP, &labels, 0.0).await;
    let mut http = house.proxy.client("one.test").http1().await;
    for _ in 0..10 {
        let reply = http.get("/").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "well".to_owned()));
    }

    sick.answers_with(204);
    house.proxy.says("that it is up", |m| m["message"] == "endpoint is up").await;
    house.proxy.metric_becomes(UP, &labels, 1.0).await;
    eventually("an answer of both", async || (http.get("/").await.status == 204).then_some(()))
        .await;
    let seen = sick.seen();
    let check = seen.iter().find(|seen| seen.path == "/healthz?deep").unwrap();
    assert_eq!(check.header("host"), "app.internal");
    for (status, count) in [("down", 1.0), ("up", 1.0)] {
        let labels = [labels[0], labels[1], ("status", status)];
        let changes = "portcullis_endpoint_transitions_total";
        assert_eq!(house.proxy.metric(changes, &labels).await, count);
    }
    let failed = [labels[0], labels[1], ("result", "check_status")];
    assert!(house.proxy.metric("portcullis_endpoint_checks_total", &failed).await >= 2.0);
}

/// SPEC PX-2: the first check is made at once.
#[tokio::test]
async fn statuses_that_are_good_are_configured() {
    let origin = Origin::saying("hello").await;
    origin.answers_with(404);
    for (status, is_up) in [("\"404\"", true), ("\"200-299\"", false)] {
        let health = format!(
            "health = {{ path = \"/\", status = [{status}], interval = \"1h\", fall = 1 }}"
        );
        let house =
            House::with(Site::new(), &format!("{}\n{health}", endpoints(&[&origin])), "").await;
        let result = if is_up { "ok" } else { "check_status" };
        let labels = [("pool", "app"), ("result", result)];
        house.proxy.metric_becomes("portcullis_endpoint_checks_total", &labels, 1.0).await;
        let up = if is_up { 1.0 } else { 0.0 };
        house.proxy.metric_becomes(UP, &[("pool", "app")], up).await;
    }
}

/// SPEC PX-2: pools that speak HTTP/2 are asked with it, over TLS if they speak that.
#[tokio::test]
async fn checks_speak_the_protocol_and_the_tls_of_the_pool() {
    let health = "health = { path = \"/healthz\", interval = \"1h\" }";
    let plain = Origin::saying_over_http2("hello").await;
    let pool = format!("{}\nprotocol = \"http2\"\n{health}", endpoints(&[&plain]));
    let _one = House::with(Site::new(), &pool, "").await;
    let tls = Origin::saying_over_tls("hello", serving(&["h2"])).await;
    let keys = "tls = { ca = \"internal.pem\", server_name = \"app.internal\" }";
    let pool = format!("{}\n{keys}\n{health}", endpoints(&[&tls]));
    let _two = House::with(Site::new(), &pool, "").await;
    for origin in [&plain, &tls] {
        eventually("a check", async || (checks_of(origin) == 1).then_some(())).await;
        assert_eq!(origin.last().version, hyper::Version::HTTP_2);
    }
    assert_eq!(tls.last().authority.as_deref(), Some("app.internal"));
    let seen = tls.last().tls.unwrap();
    assert_eq!(seen.server_name.as_deref(), Some("app.internal"));
}

/// SPEC PX-2.
#[tokio::test]
async fn a_tls_check_wants_a_certificate_that_verifies() {
    let good = Origin::saying_over_tls("good", serving(&[])).await;
    let plain = Origin::saying("plain").await;
    let keys = "tls = { ca = \"internal.pem\", server_name = \"app.internal\" }";
    let health = "health = { probe = \"tls\", interval = \"100ms\", fall = 1 }";
    let pool = format!("{}\n{keys}\n{health}", endpoints(&[&good, &plain]));
    let house = House::with(Site::new(), &pool, "").await;
    let message =
        house.proxy.says("one that is down", |m| m["message"] == "endpoint is down").await;
    assert_eq!(message["endpoint"], plain.endpoint());
    assert_eq!(message["reason"], "upstream_tls_failed");
    assert!(plain.seen().is_empty() && good.seen().is_empty(), "no request was made");
    assert_eq!(house.visit().await, (200, "good".to_owned()));
}

/// SPEC PX-2: another port, TCP alone, and a silent server.
#[tokio::test]
async fn a_tcp_check_may_ask_another_port() {
    let origin = Origin::saying("hello").await;
    let silent = RawOrigin::silent().await;
    for (port, result) in [(silent.address.port(), "ok"), (unused_port().await, "connect_refused")]
    {
        let health = format!("health = {{ probe = \"tcp\", port = {port}, interval = \"1h\" }}");
        let house =
            House::with(Site::new(), &format!("{}\n{health}", endpoints(&[&origin])), "").await;
        let labels = [("pool", "app"), ("result", result)];
        house.proxy.metric_becomes("portcullis_endpoint_checks_total", &labels, 1.0).await;
        // One bad check is not enough, and it is the only one that there is.
        assert_eq!(house.visit().await, (200, "hello".to_owned()));
    }
    let keys = format!("endpoints = [\"{}\"]", silent.endpoint());
    let health = "health = { path = \"/\", interval = \"1h\", timeout = \"200ms\" }";
    let house = House::with(Site::new(), &format!("{keys}\n{health}"), "").await;
    let labels = [("pool", "app"), ("result", "check_timeout")];
    house.proxy.metric_becomes("portcullis_endpoint_checks_total", &labels, 1.0).await;
}

/// SPEC PX-2, RL-2: checks begin and end with a reload; what they said goes with them.
#[tokio::test]
async fn a_reload_begins_and_ends_checks() {
    let origin = Origin::saying("hello").await;
    origin.answers_with(500);
    let health = "health = { path = \"/\", interval = \"100ms\", fall = 1 }";
    let plain = endpoints(&[&origin]);
    let checked = format!("{plain}\n{health}");
    let house = House::with(Site::new(), &plain, "").await;
    assert_eq!(checks_of(&origin), 0);
    house.reload(&checked, "").await;
    house.proxy.says("that it is down", |m| m["message"] == "endpoint is down").await;
    assert_eq!(house.visit().await.0, 503);
    house.reload(&plain, "").await;
    assert_eq!(house.visit().await, (500, "hello".to_owned()));
    let checks = checks_of(&origin);
    // Time enough for several, if any were made.
    house.proxy.ask("/metrics").await;
    house.reload(&plain, "# the same\n").await;
    assert!(checks_of(&origin) <= checks + 1, "one may have been on its way");
}

/// SPEC PX-2: each address of a name is checked by itself, also one that comes later.
#[tokio::test]
async fn addresses_of_a_name_are_checked_each() {
    let first = Origin::saying("first").await;
    let port = first.address.port();
    let second = Origin::saying_at("second", ([127, 0, 0, 2], port).into()).await;
    second.answers_with(500);
    let dns = Dns::start().await;
    dns.set("app.test", &["127.0.0.1"]);
    let health = "health = { path = \"/\", interval = \"100ms\", fall = 1 }";
    let pool = format!("endpoints = [\"app.test:{port}\"]\n{health}");
    let house = House::with(Site::new(), &pool, &dns.table()).await;
    eventually("a check", async || (checks_of(&first) > 0).then_some(())).await;
    dns.set("app.test", &["127.0.0.1", "127.0.0.2"]);
    let is_down = |m: &Value| m["message"] == "endpoint is down";
    let message = house.proxy.says("that the second is down", is_down).await;
    assert_eq!(message["endpoint"], second.endpoint());
    let check = first.last();
    assert_eq!(check.header("host"), "app.test", "the name, not the address");
    for _ in 0..5 {
        assert_eq!(house.visit().await, (200, "first".to_owned()));
    }
}

fn serving(alpn: &[&str]) -> ServerConfig {
    let issued = Ca::shared().issue(&Leaf::p256("app.internal"));
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(issued.chain_der(), issued.key_der())
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}
