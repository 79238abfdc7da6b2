//! What breaks around the proxy while it serves: what can be served is served, and what was lost is counted.
//!
//! Clients keep asking in the background; each step waits for answers and not for time.

mod all_at_once;
mod files;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::process::Stdio;

use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::kit::Origin;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::TwoSites;
use crate::kit::command::binary;
use crate::kit::eventually;
use crate::kit::load::Load;
use crate::kit::load::Outcomes;
use crate::kit::load::beside;
use crate::kit::proxy::log_lines;

/// PX-5, UP-3: its requests get a 5xx meanwhile, and nobody else's do.
#[tokio::test]
async fn an_origin_that_is_killed_and_comes_back() {
    let street = TwoSites::start().await;
    let (shop, blog) = (load(&street, "shop.test"), load(&street, "blog.test"));
    shop.sees(200, ENOUGH).await;
    let address = street.shop.address;
    street.shop.stop();
    shop.sees(502, ENOUGH).await;
    let _back = Origin::saying_at("hello from shop", address).await;
    shop.sees(200, ENOUGH).await;
    blog.sees(200, ENOUGH).await;
    assert_eq!(beside(&shop.end().await, &[200, 502]), Outcomes::new());
    assert_eq!(beside(&blog.end().await, &[200]), Outcomes::new());
}

/// OB-1: lines are lost and counted, requests are not.
#[tokio::test]
async fn a_full_disk_under_the_application_log() {
    let street = TwoSites::start().await;
    let shop = load(&street, "shop.test");
    shop.sees(200, ENOUGH).await;
    fill_the_disk(&street).await;
    loses_lines(&street.proxy).await;
    shop.sees(200, ENOUGH).await;

    free_the_disk(&street);
    writes_lines(&street.site).await;
    assert_eq!(beside(&shop.end().await, &[200]), Outcomes::new());
}

/// OB-1: the kernel sends a signal with this failure, which would end the process.
#[tokio::test]
async fn an_application_log_at_the_limit_of_file_sizes() {
    let site = Site::new();
    let origin = Origin::saying("hello").await;
    site.certificate("c", &crate::kit::Ca::shared().issue(&crate::kit::Leaf::p256("one.test")));
    let mut command = Command::new("sh");
    command.arg("-c").arg("ulimit -f 8; exec \"$0\" \"$@\"").arg(binary());
    let toml = ONE.replace("ORIGIN", &origin.endpoint());
    let mut proxy = Proxy::start_by((command, Stdio::null()), &site, &toml).await;
    let load = Load::of(2, &proxy.client("one.test"));
    loses_lines(&proxy).await;
    load.sees(200, ENOUGH).await;
    assert_eq!(beside(&load.end().await, &[200]), Outcomes::new());
    assert!(fs::metadata(site.path("app.log")).unwrap().len() <= 8 * 1024);
    assert!(proxy.is_running());
}

/// PX-5: without descriptors clients wait or get a 5xx; with them all is as before.
#[tokio::test]
async fn no_descriptors_under_load() {
    let site = Site::new();
    let origin = Origin::saying("hello").await;
    site.certificate("c", &crate::kit::Ca::shared().issue(&crate::kit::Leaf::p256("one.test")));
    let toml = ONE.replace("ORIGIN", &origin.endpoint());
    let proxy = Proxy::start(&site, &toml).await;
    let load = Load::of(2, &proxy.client("one.test"));
    load.sees(200, ENOUGH).await;
    without_descriptors(&proxy).await;
    load.sees(200, ENOUGH).await;
    assert_eq!(beside(&load.end().await, &[200, 502, 503]), Outcomes::new());
    let labels = [("reason", "no_descriptors")];
    assert!(proxy.metric("portcullis_listener_accept_failures_total", &labels).await >= 1.0);
}

/// A few clients of one site.
fn load(street: &TwoSites, name: &str) -> Load {
    Load::of(2, &street.client(name))
}

/// Takes the descriptors away that are not in use, until a client could not be accepted.
async fn without_descriptors(proxy: &Proxy) {
    let cannot = |message: &serde_json::Value| {
        message["message"].as_str().is_some_and(|text| text.starts_with("cannot accept"))
    };
    let failures = || proxy.messages().iter().filter(|message| cannot(message)).count();
    let before = failures();
    proxy.limit_descriptors(Some(FEWER_THAN_ANY_PROXY_HAS));
    let client = TcpStream::connect(proxy.address("edge")).await.unwrap();
    let failed = async || (failures() > before).then_some(());
    eventually("a failed accept", failed).await;
    proxy.limit_descriptors(None);
    drop(client);
}

/// Below the application log, which has been written before.
async fn fill_the_disk(street: &TwoSites) {
    writes_lines(&street.site).await;
    let beside = street.site.path("app.log.next");
    symlink("/dev/full", &beside).unwrap();
    fs::rename(beside, street.site.path("app.log")).unwrap();
    street.proxy.signal(Signal::USR1);
}

/// Space again, and a file again.
fn free_the_disk(street: &TwoSites) {
    fs::remove_file(street.site.path("app.log")).unwrap();
    street.proxy.signal(Signal::USR1);
}

async fn loses_lines(proxy: &Proxy) {
    let labels = [("log", "application"), ("reason", "write_failed")];
    eventually("lines that are lost and counted", async || {
        let lost = proxy.metric("portcullis_log_lines_dropped_total", &labels).await;
        (lost >= ENOUGH as f64).then_some(())
    })
    .await;
}

async fn writes_lines(site: &Site) {
    let lines = async || (log_lines(site, "app.log").len() >= ENOUGH).then_some(());
    eventually("lines in the log", lines).await;
}

/// Answers after which a step has happened.
const ENOUGH: usize = 10;

/// Its listeners alone are more.
const FEWER_THAN_ANY_PROXY_HAS: u64 = 4;

const ONE: &str = r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["c"]
pool = "one"

[pool.one]
endpoints = ["ORIGIN"]
"#;
