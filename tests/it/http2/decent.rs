//! Clients that ask for much, and are never taken for a flood.

use std::time::Duration;

use hyper::Method;
use tokio::process::Command;

use crate::http::street_to;
use crate::kit::Proxy;
use crate::kit::TwoSites;
use crate::kit::command::installed;
use crate::kit::frames::*;
use crate::kit::http::empty;
use crate::kit::volume::VolumeOrigin;
use crate::kit::within;

/// SPEC PX-5, from the other side: one connection, a hundred streams, as fast as they are answered.
#[tokio::test]
async fn h2load_with_a_hundred_streams_on_one_connection() {
    if !installed("h2load") {
        return;
    }
    let street = TwoSites::start().await;
    let report = h2load(&street.proxy, &["-n", "20000", "-c", "1", "-m", "100"], "/").await;
    assert!(report.contains("20000 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
    assert_eq!(complaints(&street).await, 0.0);
}

/// SPEC PX-5, from the other side: small windows make for many updates.
#[tokio::test]
async fn h2load_with_small_windows_downloads_much() {
    if !installed("h2load") {
        return;
    }
    let origin = VolumeOrigin::start(false, 8 << 20).await;
    let street = Box::pin(street_to(&origin.endpoint(), "protocol = \"http1\"", "")).await;
    // 2^12 - 1 bytes for a stream, 2^16 - 1 for the connection.
    let arguments = ["-n", "8", "-c", "1", "-m", "4", "-w", "12", "-W", "16"];
    let report = h2load(&street.proxy, &arguments, "/volume").await;
    assert!(report.contains("8 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
    assert_eq!(complaints(&street).await, 0.0);
}

/// SPEC PX-5, from the other side: a large download.
#[tokio::test]
async fn curl_downloads_a_quarter_of_a_gibibyte() {
    if !installed("curl") {
        return;
    }
    let origin = VolumeOrigin::start(false, QUARTER).await;
    let street = Box::pin(street_to(&origin.endpoint(), "protocol = \"http1\"", "")).await;
    let port = street.proxy.address("edge").port();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--insecure", "--http2", "--output", "/dev/null"])
        .args(["--write-out", "%{http_version} %{http_code} %{size_download}"])
        .arg("--resolve")
        .arg(format!("shop.test:{port}:127.0.0.1"))
        .arg(format!("https://shop.test:{port}/volume"));
    let said = output(curl).await;
    assert_eq!(said, format!("2 200 {QUARTER}"));
    assert_eq!(complaints(&street).await, 0.0);
}

/// SPEC PX-5, from the other side: a client that thinks better of 300 of a thousand requests.
#[tokio::test]
async fn a_client_that_cancels_three_of_ten_requests_is_served_until_closed() {
    let street = TwoSites::start().await;
    let mut http = street.client("shop.test").http2().await;
    for number in 0..1000 {
        let path = if number % 10 < 3 { "/held" } else { "/" };
        let request = http.head(Method::GET, path).body(empty()).unwrap();
        let begun = http.begin(request);
        if number % 10 < 3 {
            // Seen by the origin, and then cancelled.
            let seen = async || (street.shop.seen().len() > number).then_some(());
            let mut begun = std::pin::pin!(begun);
            tokio::select! {
                _ = begun.as_mut() => panic!("it is held"),
                () = crate::kit::eventually("a request at the origin", seen) => {}
            }
        } else {
            assert_eq!(within("an answer", begun).await.unwrap().status(), 200, "{number}");
        }
    }
    assert_eq!(complaints(&street).await, 0.0);
}

/// SPEC PX-5, from the other side: what Firefox and gRPC do with each request and each message.
#[tokio::test]
async fn an_update_a_priority_and_a_ping_with_each_request_are_no_flood() {
    let street = TwoSites::start().await;
    let mut frames = Frames::open(&street.client("shop.test")).await;
    for number in 0..2000_u32 {
        let stream = number * 2 + 1;
        let request = [
            get(stream, "shop.test", "/bytes/20"),
            self::number(WINDOW_UPDATE, stream, 1 << 16),
            frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 16]),
        ];
        frames.say(&request.concat()).await;
        let heard = frames.until("an answer", |heard| heard.ended.contains(&stream)).await;
        assert!(heard.ended.contains(&stream), "{number}: {heard:?}");
        let after = [
            frame(PING, 0, 0, &[1; 8]),
            self::number(WINDOW_UPDATE, 0, 20),
            self::number(WINDOW_UPDATE, stream, 20),
        ];
        frames.say(&after.concat()).await;
    }
    assert_eq!(complaints(&street).await, 0.0);
}

/// How many requests and connections the proxy had anything against, but for clients that left.
async fn complaints(street: &TwoSites) -> f64 {
    let samples = street.proxy.samples().await;
    let failed = samples.iter().filter(|sample| {
        sample.is("portcullis_http_request_failures_total", &[])
            && !sample.is("portcullis_http_request_failures_total", &[("reason", "client_closed")])
    });
    failed.map(|sample| sample.value).sum()
}

async fn h2load(proxy: &Proxy, arguments: &[&str], path: &str) -> String {
    let port = proxy.address("edge").port();
    let mut command = Command::new("h2load");
    command.args(arguments).arg(format!("--connect-to=127.0.0.1:{port}"));
    command.arg(format!("https://shop.test:{port}{path}"));
    output(command).await
}

/// What a program says that has to succeed.
async fn output(mut command: Command) -> String {
    let running = command.kill_on_drop(true).output();
    let done = tokio::time::timeout(Duration::from_secs(120), running).await.expect("in time");
    let done = done.expect("a program that is installed");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{:?}: {errors}", done.status);
    String::from_utf8_lossy(&done.stdout).into_owned()
}

const QUARTER: u64 = 256 << 20;
