//! More connections than open files: clients wait, endpoints are reached, the accept loop goes on.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::net::TcpStream;

use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Origin;
use crate::kit::Proxy;
use crate::kit::RawOrigin;
use crate::kit::Site;
use crate::kit::http::empty;

/// SPEC PX-5: each of the clients has a connection to an endpoint too, until there are no descriptors.
#[tokio::test]
async fn the_accept_loop_survives_the_end_of_descriptors() {
    let (silent, origin) = (RawOrigin::silent().await, Origin::saying("hello").await);
    let site = Site::new();
    let proxy = start(&site, &origin, &silent.endpoint()).await;
    let cannot = |message: &serde_json::Value| {
        message["message"].as_str().is_some_and(|text| text.starts_with("cannot accept"))
    };
    let has_failed = || proxy.messages().iter().any(cannot);
    let answered = Arc::new(AtomicUsize::new(0));
    let mut crowd = Vec::new();
    while !has_failed() {
        assert!(crowd.len() < DESCRIPTORS as usize / 2, "each needs two");
        let (client, answered_too) = (proxy.client("slow.test"), Arc::clone(&answered));
        crowd.push(tokio::spawn(async move {
            let mut http = client.http1().await;
            let request = http.head(hyper::Method::GET, "/").body(empty()).unwrap();
            let _ = http.send(request).await;
            answered_too.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }));
        // The next one comes when this one has both of its connections, or was told that it cannot.
        let settled = async || {
            let clients = silent.heads().len() + answered.load(Ordering::SeqCst);
            (has_failed() || clients >= crowd.len()).then_some(())
        };
        crate::kit::eventually("a request at the endpoint, or no room for it", settled).await;
    }
    for client in &crowd {
        client.abort();
    }
    drop(crowd);

    let visit = proxy.client("one.test").visit().await.unwrap();
    assert_eq!(visit.body, "hello");
    let labels = [("virtual_service", "edge"), ("reason", "no_descriptors")];
    let failures = proxy.metric("portcullis_listener_accept_failures_total", &labels).await;
    assert!(failures >= 1.0, "{failures}");
}

/// SPEC PX-5: connections of clients never use up what is needed for endpoints, whatever was wanted.
#[tokio::test]
async fn a_crowd_of_clients_leaves_descriptors_for_endpoints() {
    let origin = Origin::saying("hello").await;
    let site = Site::new();
    let proxy = start(&site, &origin, &origin.endpoint()).await;
    let warned = |message: &serde_json::Value| {
        message["wanted"] == 1000 && message["used"] == DESCRIPTORS / 2
    };
    proxy.says("a warning about the limit", warned).await;
    let mut early = proxy.client("one.test").http1().await;
    let mut crowd = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        crowd.push(TcpStream::connect(proxy.address("edge")).await.unwrap());
    }
    let labels = [("virtual_service", "edge"), ("reason", "connection_limit")];
    let waiting = async || {
        let times = proxy.metric("portcullis_listener_connections_rejected_total", &labels).await;
        (times >= 1.0).then_some(())
    };
    crate::kit::eventually("connections that wait", waiting).await;
    assert_eq!(early.get("/").await.text(), "hello", "by a connection that was made just now");
    assert!(origin.seen().len() == 1);
    let failures = "portcullis_listener_accept_failures_total";
    assert_eq!(proxy.metric(failures, &[("virtual_service", "edge")]).await, 0.0);
}

/// SPEC PX-5
#[tokio::test]
async fn connections_of_a_plain_listener_count_as_others_do() {
    let origin = Origin::saying("hello").await;
    let site = Site::new();
    let proxy = start(&site, &origin, &origin.endpoint()).await;
    let mut crowd = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        let plain = proxy.listening("redirect", "edge")[0];
        crowd.push(TcpStream::connect(plain).await.unwrap());
    }
    let labels = [("virtual_service", "edge"), ("reason", "connection_limit")];
    let waiting = async || {
        let times = proxy.metric("portcullis_listener_connections_rejected_total", &labels).await;
        (times >= 1.0).then_some(())
    };
    crate::kit::eventually("connections that wait", waiting).await;
    assert!(proxy.descriptors().await < DESCRIPTORS as usize, "some are left");
    drop(crowd);
    assert_eq!(proxy.client("one.test").visit().await.unwrap().body, "hello");
}

async fn start(site: &Site, origin: &Origin, slow: &str) -> Proxy {
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test").and("slow.test")));
    let fast = origin.endpoint();
    let toml = format!(
        r#"
[limits]
connections = 1000
[virtual_service.edge]
listen = ["127.0.0.1:0"]
redirect_http = ["127.0.0.1:0"]
certificates = ["c"]
pool = "fast"
[virtual_service.slow]
parent = "edge"
domains = ["slow.test"]
certificates = ["c"]
pool = "slow"
[pool.fast]
endpoints = ["{fast}"]
[pool.slow]
endpoints = ["{slow}"]
"#
    );
    Proxy::start_with_few_files(site, &toml, DESCRIPTORS).await
}

/// What the process needs for itself, and room for some clients.
const DESCRIPTORS: u32 = 80;
