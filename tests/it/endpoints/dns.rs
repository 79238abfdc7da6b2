//! Names of endpoints: looked up again, one endpoint for each address.

use std::net::SocketAddr;

use serde_json::Value;

use crate::endpoints::House;
use crate::kit::Dns;
use crate::kit::Origin;
use crate::kit::Site;
use crate::kit::eventually;

const CHECKED: &str = "portcullis_pool_lookups_total";

/// Two origins on the same port of two addresses of this machine.
async fn neighbours() -> [Origin; 2] {
    let first = Origin::saying("first").await;
    let second = SocketAddr::from(([127, 0, 0, 2], first.address.port()));
    let second = Origin::saying_at("second", second).await;
    [first, second]
}

/// `app.test` at the port of this origin.
fn pool(origin: &Origin) -> String {
    format!("endpoints = [\"app.test:{}\"]", origin.address.port())
}

async fn resolved(house: &House, addresses: &str) {
    let what = format!("app.test is {addresses}");
    let is_it = |m: &Value| m["message"] == "name resolved" && m["addresses"] == addresses;
    house.proxy.says(&what, is_it).await;
}

/// SPEC PX-2: every address of a name is an endpoint of its own, in the metrics too.
#[tokio::test]
async fn every_address_of_a_name_is_an_endpoint() {
    let [first, second] = neighbours().await;
    let dns = Dns::start().await;
    dns.set("app.test", &["127.0.0.2", "127.0.0.1"]);
    let house = House::with(Site::new(), &pool(&first), &dns.table()).await;
    resolved(&house, "127.0.0.1 127.0.0.2").await;
    let mut http = house.proxy.client("one.test").http1().await;
    for _ in 0..10 {
        http.get("/").await;
    }
    for origin in [&first, &second] {
        assert_eq!(origin.seen().len(), 5);
        let endpoint = origin.endpoint();
        let labels = [("pool", "app"), ("endpoint", endpoint.as_str())];
        house.proxy.metric_becomes("portcullis_endpoint_requests_total", &labels, 5.0).await;
    }
    let line = crate::kit::proxy::log_line(&house.site, "a request", |_| true).await;
    let endpoint = line["portcullis.endpoint"].as_str().unwrap();
    assert!([first.endpoint(), second.endpoint()].contains(&endpoint.to_owned()), "{line}");
}

/// SPEC PX-2: an address that comes or goes fails no request, and what is under way at one that goes
/// is finished.
#[tokio::test]
async fn addresses_change_under_load_without_a_failed_request() {
    let [first, second] = neighbours().await;
    let dns = Dns::start().await;
    dns.set("app.test", &["127.0.0.1"]);
    let house = House::with(Site::new(), &pool(&first), &dns.table()).await;
    resolved(&house, "127.0.0.1").await;
    let mut slow = house.proxy.client("one.test").http2().await;
    let request = slow.head(hyper::Method::GET, "/held").body(crate::kit::http::empty()).unwrap();
    let held = slow.begin(request);
    eventually("a request at the first", async || (!first.seen().is_empty()).then_some(())).await;

    let mut http = house.proxy.client("one.test").http1().await;
    for (addresses, last) in [
        (&["127.0.0.1", "127.0.0.2"][..], "second"),
        (&["127.0.0.2"], "second"),
        (&["127.0.0.1"], "first"),
    ] {
        dns.set("app.test", addresses);
        eventually(&format!("an answer of {addresses:?}"), async || {
            let reply = http.get("/").await;
            assert_eq!(reply.status, 200);
            (reply.text() == last).then_some(())
        })
        .await;
    }
    // Its address went and came back meanwhile; the request is where it was.
    first.release();
    let response = crate::kit::within("the held answer", held).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!second.seen().is_empty());
}

/// SPEC PX-2: connections to an address that stays are kept when another one comes.
#[tokio::test]
async fn connections_to_an_address_that_stays_are_kept() {
    let [first, second] = neighbours().await;
    let dns = Dns::start().await;
    dns.set("app.test", &["127.0.0.1"]);
    let house = House::with(Site::new(), &pool(&first), &dns.table()).await;
    resolved(&house, "127.0.0.1").await;
    let mut http = house.proxy.client("one.test").http1().await;
    http.get("/").await;
    let before = first.connections();
    dns.set("app.test", &["127.0.0.1", "127.0.0.2"]);
    resolved(&house, "127.0.0.1 127.0.0.2").await;
    eventually("both", async || {
        http.get("/").await;
        (!second.seen().is_empty() && first.seen().len() > 3).then_some(())
    })
    .await;
    assert_eq!(first.connections(), before);
}

/// SPEC PX-2: a name server that fails takes no pool down.
#[tokio::test]
async fn the_last_answer_stays_when_the_name_server_fails() {
    let [first, _second] = neighbours().await;
    let dns = Dns::start().await;
    dns.set("app.test", &["127.0.0.1"]);
    let house = House::with(Site::new(), &pool(&first), &dns.table()).await;
    resolved(&house, "127.0.0.1").await;
    dns.is_broken(true);
    let failed = |m: &Value| m["message"] == NOT_RESOLVED && m["reason"] == "no_answer";
    house.proxy.says("that it fails", failed).await;
    assert_eq!(house.visit().await, (200, "first".to_owned()));
    let again = dns.queries();
    eventually("another attempt", async || (dns.queries() > again).then_some(())).await;
    dns.is_broken(false);
    dns.set("app.test", &["127.0.0.2"]);
    resolved(&house, "127.0.0.2").await;
    house.proxy.says("that it is well", |m| m["message"] == "name resolves again").await;
    let said = house.proxy.messages().into_iter().filter(failed).count();
    assert_eq!(said, 1, "once for each change, not for each attempt");
    let labels = [("pool", "app"), ("endpoint", "app.test"), ("result", "no_answer")];
    assert!(house.proxy.metric(CHECKED, &labels).await >= 1.0);
}

/// SPEC PX-2: a start does not depend on name servers.
#[tokio::test]
async fn a_name_that_does_not_resolve_does_not_keep_the_proxy_from_starting() {
    let [first, _second] = neighbours().await;
    let dns = Dns::start().await;
    let house = House::with(Site::new(), &pool(&first), &dns.table()).await;
    let failed = |m: &Value| m["message"] == NOT_RESOLVED && m["reason"] == "no_address";
    house.proxy.says("that it fails", failed).await;
    assert_eq!(house.visit().await.0, 502);
    dns.set("app.test", &["127.0.0.1"]);
    resolved(&house, "127.0.0.1").await;
    assert_eq!(house.visit().await, (200, "first".to_owned()));
}

/// SPEC PX-2: without `[dns]` the system's files hold.
#[tokio::test]
async fn localhost_is_what_the_system_says() {
    let origin = Origin::saying("here").await;
    let pool = format!("endpoints = [\"localhost:{}\"]", origin.address.port());
    let house = House::with(Site::new(), &pool, "").await;
    house.proxy.says("the addresses", |m| m["message"] == "name resolved").await;
    // Nobody listens on ::1, if that is one of them.
    assert_eq!(house.visit().await, (200, "here".to_owned()));
}

const NOT_RESOLVED: &str = "name does not resolve; what was known of it stays";
