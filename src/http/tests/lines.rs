//! What an exchange leaves behind: one line and its counts, on the right service (SPEC VS-7, VS-9).

use std::sync::Arc;

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::config::log::LogTarget;
use crate::service::Target;
use crate::service::fixture::recorder;
use crate::service::fixture::service;
use crate::telemetry::app_log::AppLog;
use crate::telemetry::exposition::Filter;
use crate::telemetry::recorder::Recorder;
use crate::telemetry::service_metrics::ServiceMetrics;

use super::Front;
use super::Origin;
use super::ask;
use super::pool;
use super::pool_config;
use super::read_head;

/// A front whose `shop` writes lines and counts.
struct Observed {
    front: Front,
    log: Arc<AppLog>,
    recorder: Recorder,
    directory: tempfile::TempDir,
}

impl Observed {
    fn new(origin: &Origin) -> Self {
        let recorder = recorder();
        let directory = tempfile::tempdir().expect("a directory");
        let log = AppLog::start(1, &recorder).expect("started");
        let mut shop = service("shop", &["shop.example.com"]);
        shop.target = Target::Pool(pool(&pool_config(&[origin.address])));
        shop.metrics = ServiceMetrics::new(&recorder, &shop.name);
        let target = LogTarget::File(directory.path().join("log").into());
        shop.log = log.sink(&target, 1.0).expect("opened");
        Self { front: Front::of(shop), log, recorder, directory }
    }

    /// The one line that was written, and the metrics.
    fn finish(self) -> (Value, String) {
        self.log.finish();
        let text = std::fs::read_to_string(self.directory.path().join("log")).expect("a log");
        assert_eq!(text.lines().count(), 1, "{text}");
        let line = serde_json::from_str(&text).expect("JSON");
        (line, self.recorder.render(&Filter::default()))
    }
}

#[tokio::test]
async fn a_served_request_is_one_line_with_all_that_is_known() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let observed = Observed::new(&origin);
    let get = "GET /p?secret=1 HTTP/1.1\r\nHost: shop.example.com\r\nX-Request-Id: id-1\r\n\
               Connection: close\r\n\r\n";
    ask(&observed.front, get).await;
    let (line, metrics) = observed.finish();
    for (key, value) in [
        ("event", "http"),
        ("portcullis.virtual_service", "shop"),
        ("portcullis.parent", "front"),
        ("client.address", "192.0.2.7"),
        ("tls.client.server_name", "shop.example.com"),
        ("tls.protocol.version", "1.3"),
        ("portcullis.certificate", "P256"),
        ("portcullis.key_type", crate::key::KeyType::Ec.as_str()),
        ("http.request.method", "GET"),
        ("server.address", "shop.example.com"),
        ("url.path", "/p"),
        ("network.protocol.version", "1.1"),
        ("portcullis.pool", "app"),
        ("portcullis.request_id", "id-1"),
    ] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    assert_eq!(line["http.response.status_code"], 200);
    assert_eq!(line["http.response.body.size"], 2);
    assert_eq!(line["portcullis.endpoint"], origin.address.to_string());
    assert_eq!(line["trace_id"].as_str().map(str::len), Some(32));
    for timing in ["handshake", "upstream_connect", "first_byte", "total"] {
        assert!(line[format!("portcullis.duration_us.{timing}")].is_u64(), "{timing} in {line}");
    }
    assert!(line.get("error.type").is_none(), "{line}");
    let count = "portcullis_http_requests_total{virtual_service=\"shop\",code=\"2xx\",protocol=\"http/1.1\"} 1\n";
    assert!(metrics.contains(count), "{metrics}");
    assert!(metrics.contains("portcullis_http_requests_active{virtual_service=\"shop\"} 0\n"));
}

#[tokio::test]
async fn a_mismatched_host_is_logged_and_counted_on_the_child() {
    let origin = Origin::echoing().await;
    let observed = Observed::new(&origin);
    let get = "GET / HTTP/1.1\r\nHost: other.example.org\r\nConnection: close\r\n\r\n";
    ask(&observed.front, get).await;
    let (line, metrics) = observed.finish();
    assert_eq!(line["error.type"], "host_mismatch");
    assert_eq!(line["tls.client.server_name"], "shop.example.com");
    assert_eq!(line["server.address"], "other.example.org");
    assert_eq!(line["http.response.status_code"], 421);
    assert!(
        metrics.contains("portcullis_http_host_mismatches_total{virtual_service=\"shop\"} 1\n")
    );
}

#[tokio::test]
async fn a_client_that_leaves_and_an_upstream_that_breaks_off_have_their_reasons() {
    let breaking = Origin::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel").await.expect("sent");
    })
    .await;
    let observed = Observed::new(&breaking);
    ask(&observed.front, "GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n").await;
    let (line, _) = observed.finish();
    assert_eq!(line["error.type"], "upstream_truncated");
    assert_eq!(line["http.response.body.size"], 3);

    let (asked, was_asked) = tokio::sync::oneshot::channel();
    let asked = std::sync::Mutex::new(Some(asked));
    let silent = Origin::start(move |_, mut stream| {
        let asked = asked.lock().expect("unpoisoned").take();
        async move {
            read_head(&mut stream).await;
            asked.expect("one connection").send(()).expect("awaited");
            read_head(&mut stream).await;
        }
    })
    .await;
    let observed = Observed::new(&silent);
    let (mut client, proxy) = observed.front.connect_with_task();
    client.write_all(b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n").await.expect("sent");
    super::within(was_asked).await.expect("asked");
    drop(client);
    super::within(proxy).await.expect("no panic");
    let (line, _) = observed.finish();
    assert_eq!(line["error.type"], "client_closed");
    assert!(line.get("http.response.status_code").is_none(), "{line}");
}

#[tokio::test]
async fn what_is_no_request_is_a_line_too() {
    let origin = Origin::echoing().await;
    let observed = Observed::new(&origin);
    let (mut client, proxy) = observed.front.connect_with_task();
    client.write_all(b"GARBAGE\r\n\r\n").await.expect("sent");
    read_head(&mut client).await;
    drop(client);
    super::within(proxy).await.expect("no panic");
    let (line, metrics) = observed.finish();
    assert_eq!(line["error.type"], "malformed_request");
    assert!(metrics.contains("reason=\"malformed_request\"} 1\n"), "{metrics}");
}
