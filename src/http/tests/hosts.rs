//! Whose request is it? (SPEC VS-6, VS-8)

use std::sync::Arc;

use crate::certificate::testing::Kind;
use crate::certificate::testing::testing;
use crate::config::virtual_service::HostCheck;
use crate::config::virtual_service::NoPool;
use crate::service::Target;
use crate::service::fixture::acceptor;
use crate::service::fixture::acceptor_of_other_policy;
use crate::service::fixture::service;

use super::Front;
use super::Origin;
use super::ask;
use super::pool;
use super::pool_config;

fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn a_mismatched_host_gets_421_and_reaches_no_pool() {
    let origin = Origin::echoing().await;
    let front = Front::to(&origin);
    let response = ask(&front, &get("other.example.org")).await;
    assert!(response.starts_with("HTTP/1.1 421 "), "{response}");
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn port_case_and_trailing_dot_do_not_matter() {
    let origin = Origin::echoing().await;
    let front = Front::to(&origin);
    for host in
        ["shop.example.com:9999", "SHOP.example.COM", "shop.example.com.", "b.a.example.com"]
    {
        let response = ask(&front, &get(host)).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{host}: {response}");
    }
}

#[tokio::test]
async fn a_host_that_a_sibling_owns_by_a_longer_pattern_is_the_siblings() {
    let origin = Origin::echoing().await;
    let mut front = Front::to(&origin);
    front.others.push(Arc::new(service("bank", &["bank.example.com"])));
    let response = ask(&front, &get("bank.example.com")).await;
    assert!(response.starts_with("HTTP/1.1 421 "), "{response}");
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_sibling_with_the_same_policy_serves_if_the_certificate_covers_its_host() {
    let (mine, siblings) = (Origin::echoing().await, Origin::answering(SIBLING).await);
    let mut shop = service("shop", &["shop.example.com"]);
    shop.target = Target::Pool(pool(&pool_config(&[mine.address])));
    shop.host_check = HostCheck::SamePolicy;
    shop.tls = acceptor(vec![testing().slot(Kind::P256, -1, 30)]);
    let mut front = Front::of(shop);
    for (name, domain, tls) in [
        ("a", "a.example.com", acceptor(Vec::new())),
        ("b", "b.example.org", acceptor(Vec::new())),
        ("c", "c.example.com", acceptor_of_other_policy()),
    ] {
        let mut sibling = service(name, &[domain]);
        sibling.target = Target::Pool(pool(&pool_config(&[siblings.address])));
        sibling.tls = tls;
        front.others.push(Arc::new(sibling));
    }
    let covered = ask(&front, &get("a.example.com")).await;
    assert!(covered.ends_with("sibling"), "{covered}");
    for (host, why) in [("b.example.org", "not covered"), ("c.example.com", "other policy")] {
        let response = ask(&front, &get(host)).await;
        assert!(response.starts_with("HTTP/1.1 421 "), "{why}: {response}");
    }
    assert_eq!(mine.connections(), 0);
}

#[tokio::test]
async fn a_service_without_a_pool_answers_by_itself() {
    let with = |action| {
        let mut parent = service("front", &[]);
        parent.target = Target::NoPool(action);
        Front::of(parent)
    };
    let respond = NoPool::Respond { status: 404, body: "no such site\n".to_owned() };
    let response = ask(&with(respond), &get("any.example.org")).await;
    assert!(response.starts_with("HTTP/1.1 404 ") && response.ends_with("no such site\n"));
    let location = "https://www.example.com/".to_owned();
    let response =
        ask(&with(NoPool::Redirect { status: 302, location }), &get("any.example.org")).await;
    assert!(response.starts_with("HTTP/1.1 302 "), "{response}");
    assert!(response.contains("location: https://www.example.com/\r\n"), "{response}");
    assert_eq!(ask(&with(NoPool::Close), &get("any.example.org")).await, "");
}

const SIBLING: &str = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsibling";
