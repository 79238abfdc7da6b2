//! What an operator does: stop, rotate logs, check, explain, look around, try it out.

mod commands;
mod first_steps;

use std::fs;

use hyper::Method;
use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::kit::Reply;
use crate::kit::TwoSites;
use crate::kit::eventually;
use crate::kit::http::empty;
use crate::kit::http::next_piece;
use crate::kit::proxy::log_line;
use crate::kit::proxy::log_lines;
use crate::kit::within;

/// OPS-2
#[tokio::test]
async fn sigterm_lets_requests_in_flight_finish() {
    let mut street = TwoSites::start().await;
    let mut http1 = street.client("shop.test").http1().await;
    let mut http2 = street.client("shop.test").http2().await;
    let mut begun = Vec::new();
    for http in [&mut http1, &mut http2] {
        let request = http.head(Method::GET, "/gate").body(empty()).unwrap();
        let mut response = http.start(request).await.unwrap();
        assert_eq!(next_piece(&mut response).await.unwrap(), "first");
        begun.push(response);
    }
    let address = street.proxy.address("edge");
    street.proxy.signal(Signal::TERM);
    let refused = async || TcpStream::connect(address).await.is_err().then_some(());
    eventually("the end of the listener", refused).await;
    assert!(street.proxy.is_running(), "it waits for the two");
    for mut response in begun {
        street.shop.release();
        assert_eq!(next_piece(&mut response).await.unwrap(), "second");
        assert!(next_piece(&mut response).await.is_none(), "a whole response");
    }
    assert_eq!(street.proxy.exit_code().await, 0);
}

/// OPS-2
#[tokio::test]
async fn idle_connections_do_not_hold_up_a_drain() {
    let mut street = TwoSites::start().await;
    let mut http1 = street.client("shop.test").http1().await;
    let mut http2 = street.client("shop.test").http2().await;
    http1.get("/").await;
    http2.get("/").await;
    street.proxy.signal(Signal::TERM);
    http1.closed().await;
    http2.closed().await;
    assert_eq!(street.proxy.exit_code().await, 0);
}

/// OPS-2
#[tokio::test]
async fn a_response_during_a_drain_says_that_the_connection_closes() {
    let mut street = TwoSites::start().await;
    let mut http = street.client("shop.test").http1().await;
    let request = http.head(Method::GET, "/held").body(empty()).unwrap();
    let waiting = tokio::spawn(http.begin(request));
    let shop = [("virtual_service", "shop")];
    street.proxy.metric_becomes("portcullis_http_requests_active", &shop, 1.0).await;
    let address = street.proxy.address("edge");
    street.proxy.signal(Signal::TERM);
    let refused = async || TcpStream::connect(address).await.is_err().then_some(());
    eventually("the end of the listener", refused).await;
    street.shop.release();
    let response = within("the held answer", waiting).await.unwrap().unwrap();
    let reply = Reply::collect(response).await.unwrap();
    assert_eq!(reply.text(), "hello from shop");
    assert_eq!(reply.header("connection"), "close");
    assert_eq!(street.proxy.exit_code().await, 0);
}

/// OPS-2
#[tokio::test]
async fn a_drain_has_a_limit() {
    let mut street = TwoSites::with("[timeouts]\ndrain = \"300ms\"").await;
    let mut http = street.client("shop.test").http1().await;
    let request = http.head(Method::GET, "/held").body(empty()).unwrap();
    let waiting = tokio::spawn(http.begin(request));
    let shop = [("virtual_service", "shop")];
    street.proxy.metric_becomes("portcullis_http_requests_active", &shop, 1.0).await;
    street.proxy.signal(Signal::TERM);
    street.proxy.exit_code().await;
    assert!(within("the cut answer", waiting).await.unwrap().is_err());
}

/// OPS-2
#[tokio::test]
async fn the_last_lines_are_written_before_the_end() {
    let mut street = TwoSites::start().await;
    let mut http = street.client("shop.test").http2().await;
    for number in 0..100 {
        http.get(&format!("/{number}")).await;
    }
    street.proxy.signal(Signal::TERM);
    assert_eq!(street.proxy.exit_code().await, 0);
    let lines = log_lines(&street.site, "app.log");
    assert_eq!(lines.iter().filter(|line| line["event"] == "http").count(), 100);
}

/// OBS-3
#[tokio::test]
async fn sigusr1_reopens_the_log_and_loses_no_line() {
    let street = TwoSites::start().await;
    let mut http = street.client("shop.test").http1().await;
    http.get("/before").await;
    log_line(&street.site, "the first", |line| line["url.path"] == "/before").await;
    fs::rename(street.site.path("app.log"), street.site.path("app.log.1")).unwrap();
    http.get("/between").await;
    street.proxy.signal(Signal::USR1);
    eventually("the new file", async || street.site.path("app.log").exists().then_some(())).await;
    http.get("/after").await;
    log_line(&street.site, "the last", |line| line["url.path"] == "/after").await;
    let both = [log_lines(&street.site, "app.log.1"), log_lines(&street.site, "app.log")].concat();
    let paths: Vec<_> = both.iter().filter_map(|line| line["url.path"].as_str()).collect();
    assert_eq!(paths, ["/before", "/between", "/after"]);
}
