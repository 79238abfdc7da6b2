//! The application log: what a line says, who writes it, and that nobody waits for it.

use serde_json::Value;

use crate::kit::Client;
use crate::kit::TwoSites;
use crate::kit::eventually;
use crate::kit::proxy::log_line;
use crate::kit::proxy::log_lines;

/// VS-9
#[tokio::test]
async fn a_line_says_everything_about_an_exchange() {
    let street = TwoSites::start().await;
    let mut http = street.client("a.shop.test").tls13().http2().await;
    http.post("/echo?secret=1", "12345").await;
    let line = log_line(&street.site, "the exchange", |line| line["event"] == "http").await;
    for (key, value) in [
        ("portcullis.virtual_service", "shop"),
        ("tls.client.server_name", "a.shop.test"),
        ("tls.protocol.version", "1.3"),
        ("tls.curve", "X25519MLKEM768"),
        ("tls.next_protocol", "h2"),
        ("portcullis.certificate", "shop_ec"),
        ("portcullis.key_type", "ec"),
        ("http.request.method", "POST"),
        ("server.address", "a.shop.test"),
        ("url.path", "/echo"),
        ("portcullis.pool", "shop"),
        ("portcullis.endpoint", &street.shop.endpoint()),
    ] {
        assert_eq!(line[key], value, "{key} in {line:#}");
    }
    assert!(line["tls.cipher"].as_str().is_some_and(|c| c.starts_with("TLS")), "{line:#}");
    assert_eq!(line["tls.pfs"], true);
    assert_eq!(line["tls.resumed"], false);
    assert_eq!(line["http.response.status_code"], 200);
    assert_eq!(line["http.request.body.size"], 5);
    assert_eq!(line["http.response.body.size"], 5);
    assert_eq!(line["portcullis.retries"], 0);
    assert!(line["client.address"].as_str().is_some_and(|a| a.starts_with("127.0.0.1")));
    let id = line["portcullis.request_id"].as_str().expect("a request id");
    assert_eq!(street.shop.last().header("x-request-id"), id, "the origin has the same");
    let durations = line.as_object().unwrap().keys();
    let durations = durations.filter(|key| key.starts_with("portcullis.duration_us.")).count();
    assert!(durations >= 3, "handshake, upstream and total at least: {line:#}");
    assert!(line.get("error.type").is_none_or(Value::is_null), "no reason where nothing failed");
    assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line:#}");
}

/// VS-9
#[tokio::test]
async fn a_line_says_which_certificate_was_chosen_and_that_a_session_was_resumed() {
    let street = TwoSites::start().await;
    let rsa = street
        .client("shop.test")
        .tls12()
        .suites(&[rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256])
        .resuming();
    rsa.visit().await.unwrap();
    rsa.visit().await.unwrap();
    let line = log_line(&street.site, "resumption", |line| line["tls.resumed"] == true).await;
    assert_eq!(line["tls.protocol.version"], "1.2");
    assert_eq!(line["tls.cipher"], "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    let first = log_line(&street.site, "the first", |line| line["tls.resumed"] == false).await;
    assert_eq!(first["portcullis.certificate"], "shop_rsa");
    assert_eq!(first["portcullis.key_type"], "rsa");
}

/// VS-7
#[tokio::test]
async fn a_failed_handshake_is_logged_on_the_parent_with_what_was_offered() {
    let street = TwoSites::start().await;
    let x25519 = street.client("blog.test").tls12().groups(&[rustls::NamedGroup::X25519]);
    assert!(x25519.handshake().await.is_err());
    let line = log_line(&street.site, "the failure", |line| line["event"] == "tls").await;
    assert_eq!(line["portcullis.virtual_service"], "edge");
    assert_eq!(line["tls.client.server_name"], "blog.test");
    assert!(line["error.type"].is_string(), "{line:#}");
    assert!(
        line.to_string().to_lowercase().contains("x25519"),
        "what the client offered: {line:#}"
    );
    assert!(line["client.address"].is_string());
    assert!(
        log_lines(&street.site, "app.log")
            .iter()
            .all(|l| l["portcullis.virtual_service"] != "blog")
    );
}

/// OBS-3
#[tokio::test]
async fn each_service_may_have_a_file_of_its_own() {
    let log = "[log]\napplication = \"logs-{virtual_service}.log\"\nformat = \"json\"";
    let street = TwoSites::with(log).await;
    for name in ["shop.test", "blog.test", "nobody.test"] {
        street.client(name).visit().await.unwrap();
    }
    for service in ["shop", "blog", "edge"] {
        let file = format!("logs-{service}.log");
        let lines = eventually(&file, async || {
            Some(log_lines(&street.site, &file)).filter(|lines| !lines.is_empty())
        })
        .await;
        assert!(lines.iter().all(|line| line["portcullis.virtual_service"] == service));
    }
}

/// OBS-3
#[tokio::test]
async fn the_log_can_go_to_standard_output() {
    let street = TwoSites::with("[log]\napplication = \"stdout\"\nformat = \"json\"").await;
    street.client("shop.test").visit().await.unwrap();
    let line = eventually("a line on standard output", async || street.proxy.stdout().pop()).await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["portcullis.virtual_service"], "shop");
}

/// VS-9
#[tokio::test]
async fn sampling_leaves_out_successes_and_never_errors() {
    let street = TwoSites::with("log = { sample = 0.0 }").await;
    let mut http = street.client("blog.test").http1().await;
    for _ in 0..20 {
        http.get("/").await;
    }
    let request = http.head_to("shop.test", hyper::Method::GET, "/");
    http.send(request.body(crate::kit::http::empty()).unwrap()).await.unwrap();
    log_line(&street.site, "the error", |line| line["error.type"] == "host_mismatch").await;
    let lines = log_lines(&street.site, "app.log");
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

/// OBS-3
#[tokio::test]
async fn a_full_disk_blocks_nobody_and_is_counted() {
    let street = TwoSites::with("log = { application = \"/dev/full\" }").await;
    let mut http = street.client("blog.test").http2().await;
    for _ in 0..50 {
        assert_eq!(http.get("/").await.text(), "hello from blog");
    }
    let dropped = async || {
        let dropped = street.proxy.metric("portcullis_log_lines_dropped_total", &[]).await;
        (dropped > 0.0).then_some(())
    };
    eventually("dropped lines", dropped).await;
    assert_eq!(http.get("/").await.text(), "hello from blog");
}

/// OBS-3: whatever a client sends, a line stays one line of JSON.
#[tokio::test]
async fn hostile_bytes_stay_within_their_line() {
    let street = TwoSites::start().await;
    let client: Client = street.client("shop.test");
    let mut request = b"GET /quote\"backslash\\\xff\xfe HTTP/1.1\r\nhost: shop.test\r\n".to_vec();
    request
        .extend_from_slice(b"user-agent: \"}\\\xf0\x9f\x98\x80\xff\r\nconnection: close\r\n\r\n");
    let _ = client.say(&request).await;
    let mut http = client.http1().await;
    http.get("/the-last-one").await;
    log_line(&street.site, "the last one", |line| line["url.path"] == "/the-last-one").await;
}

/// OBS-3, CERT-8: keys, cookies and passwords are in no log.
#[tokio::test]
async fn secrets_are_in_no_log() {
    let street =
        TwoSites::with("[log]\napplication = \"app.log\"\nformat = \"json\"\nlevel = \"debug\"")
            .await;
    let mut http = street.client("shop.test").http1().await;
    let request = http
        .head(hyper::Method::GET, "/?token=sekrit-query")
        .header("authorization", "Bearer sekrit-bearer")
        .header("cookie", "session=sekrit-cookie")
        .body(crate::kit::http::empty());
    http.send(request.unwrap()).await.unwrap();
    log_line(&street.site, "the exchange", |line| line["event"] == "http").await;
    let all = format!("{}\n{}", street.site.read("app.log"), street.proxy.stderr().join("\n"));
    assert!(!all.contains("sekrit"), "{all}");
    let key_line = street.shop_ec.key.lines().nth(1).unwrap();
    assert!(!all.contains(key_line));
}
