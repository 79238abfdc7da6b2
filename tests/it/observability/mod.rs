//! Metrics on the admin address, and who counts what.

mod logs;

use tokio::process::Command;

use crate::kit::Client;
use crate::kit::TwoSites;
use crate::kit::command::installed;
use crate::kit::command::run;

/// VS-7
#[tokio::test]
async fn connections_count_on_the_parent_and_all_else_on_the_child() {
    let street = TwoSites::start().await;
    let mut http = street.client("shop.test").http1().await;
    http.get("/bytes/1000").await;
    http.post("/echo", "12345").await;
    let proxy = &street.proxy;
    let shop = [("virtual_service", "shop")];
    let edge = [("virtual_service", "edge")];
    proxy.metric_becomes("portcullis_http_requests_total", &shop, 2.0).await;
    assert_eq!(proxy.metric("portcullis_listener_connections_total", &edge).await, 1.0);
    assert_eq!(proxy.metric("portcullis_listener_connections_total", &shop).await, 0.0);
    assert_eq!(proxy.metric("portcullis_connections_total", &shop).await, 1.0);
    assert_eq!(proxy.metric("portcullis_connections_active", &shop).await, 1.0);
    assert_eq!(proxy.metric("portcullis_tls_handshakes_total", &shop).await, 1.0);
    assert_eq!(proxy.metric("portcullis_sent_bytes_total", &shop).await, 1_005.0);
    assert_eq!(proxy.metric("portcullis_received_bytes_total", &shop).await, 5.0);
    for name in [
        "portcullis_connections_total",
        "portcullis_tls_handshakes_total",
        "portcullis_http_requests_total",
        "portcullis_sent_bytes_total",
    ] {
        assert_eq!(proxy.metric(name, &edge).await, 0.0, "{name} is the child's alone");
    }
    drop(http);
    proxy.metric_becomes("portcullis_connections_active", &shop, 0.0).await;
}

/// VS-4, VS-7: what no child matches counts on the parent.
#[tokio::test]
async fn the_parent_counts_what_it_serves_itself() {
    let street = TwoSites::start().await;
    street.client("nobody.test").visit().await.unwrap();
    let edge = [("virtual_service", "edge")];
    street.proxy.metric_becomes("portcullis_http_requests_total", &edge, 1.0).await;
    assert_eq!(street.proxy.metric("portcullis_connections_total", &edge).await, 1.0);
}

/// OBS-1
#[tokio::test]
async fn handshakes_are_told_apart() {
    let street = TwoSites::start().await;
    let shop = |client: fn(Client) -> Client| {
        let client = client(street.client("shop.test"));
        async move { client.visit().await.unwrap().facts }
    };
    shop(|c| c.tls13().groups(&[rustls::NamedGroup::X25519])).await;
    let rsa_suite = rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;
    shop(|c| {
        let c = c.tls12().groups(&[rustls::NamedGroup::secp256r1]);
        c.suites(&[rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384])
    })
    .await;
    let proxy = &street.proxy;
    let handshakes = "portcullis_tls_handshakes_total";
    let of = |version, key_type| {
        [
            ("virtual_service", "shop"),
            ("version", version),
            ("key_type", key_type),
            ("resumed", "false"),
            ("pfs", "true"),
        ]
    };
    proxy.metric_becomes(handshakes, &[("virtual_service", "shop")], 2.0).await;
    assert_eq!(proxy.metric(handshakes, &of("1.3", "ec")).await, 1.0);
    assert_eq!(proxy.metric(handshakes, &of("1.2", "rsa")).await, 1.0);
    let cipher = format!("{rsa_suite:?}");
    let cipher = [("virtual_service", "shop"), ("cipher", &*cipher)];
    assert_eq!(proxy.metric("portcullis_tls_cipher_total", &cipher).await, 1.0);
    let group = [("virtual_service", "shop"), ("group", "X25519")];
    assert_eq!(proxy.metric("portcullis_tls_group_total", &group).await, 1.0);
    let times = "portcullis_tls_handshake_duration_seconds_count";
    assert_eq!(proxy.metric(times, &[("virtual_service", "shop")]).await, 2.0);
}

/// OBS-1
#[tokio::test]
async fn requests_are_told_apart() {
    let street = TwoSites::start().await;
    let mut http1 = street.client("shop.test").http1().await;
    let mut http2 = street.client("shop.test").http2().await;
    http1.get("/").await;
    http1.get("/status/404").await;
    http2.get("/status/500").await;
    http2.get("/status/301").await;
    let proxy = &street.proxy;
    let requests = "portcullis_http_requests_total";
    proxy.metric_becomes(requests, &[("virtual_service", "shop")], 4.0).await;
    for code in ["2xx", "3xx", "4xx", "5xx"] {
        let labels = [("virtual_service", "shop"), ("code", code)];
        assert_eq!(proxy.metric(requests, &labels).await, 1.0, "{code}");
    }
    let protocols: std::collections::BTreeSet<String> = proxy
        .samples()
        .await
        .iter()
        .filter(|sample| sample.is(requests, &[("virtual_service", "shop")]))
        .map(|sample| sample.label("protocol").to_owned())
        .collect();
    assert_eq!(protocols.len(), 2, "{protocols:?}");
    for histogram in [
        "portcullis_http_request_duration_seconds",
        "portcullis_upstream_response_duration_seconds",
    ] {
        let count = format!("{histogram}_count");
        assert_eq!(proxy.metric(&count, &[("virtual_service", "shop")]).await, 4.0, "{count}");
    }
}

/// OBS-1
#[tokio::test]
async fn endpoints_and_certificates_are_counted_by_their_configured_names() {
    let street = TwoSites::start().await;
    street.client("shop.test").visit().await.unwrap();
    let proxy = &street.proxy;
    let endpoint = street.shop.endpoint();
    let labels = [("pool", "shop"), ("endpoint", &*endpoint)];
    proxy.metric_becomes("portcullis_endpoint_requests_total", &labels, 1.0).await;
    assert_eq!(proxy.metric("portcullis_endpoint_connects_total", &labels).await, 1.0);
    proxy.metric_becomes("portcullis_endpoint_requests_active", &labels, 0.0).await;
    for (certificate, key_type) in [("shop_ec", "ec"), ("shop_rsa", "rsa"), ("edge_ec", "ec")] {
        let labels = [("certificate", certificate), ("key_type", key_type)];
        let until = "portcullis_certificate_not_after_timestamp_seconds";
        assert!(proxy.metric(until, &labels).await > 1.7e9, "{certificate}");
        let good = [("certificate", certificate), ("status", "good")];
        assert_eq!(proxy.metric("portcullis_certificate_status", &good).await, 1.0);
    }
    for name in ["portcullis_build_info", "process_open_fds", "process_resident_memory_bytes"] {
        assert!(proxy.metric(name, &[]).await >= 1.0, "{name}");
    }
}

/// OBS-1
#[tokio::test]
async fn labels_come_from_the_configuration_alone() {
    let street = TwoSites::start().await;
    let secret = "sekrit";
    let name = format!("{secret}.shop.test");
    street.client(&name).visit().await.unwrap();
    street.client(&format!("{secret}.test")).visit().await.unwrap();
    street.client("shop.test").host(&format!("{secret}.test")).visit().await.unwrap();
    let mut http = street.client("shop.test").http1().await;
    http.get(&format!("/{secret}?{secret}")).await;
    let method = hyper::Method::from_bytes(b"SEKRIT").unwrap();
    let request = http.head(method, "/").header("user-agent", secret);
    http.send(request.body(crate::kit::http::empty()).unwrap()).await.unwrap();
    let scrape = street.proxy.ask("/metrics").await.text().to_ascii_lowercase();
    assert!(!scrape.contains(secret));
}

/// OBS-2
#[tokio::test]
async fn promtool_has_no_complaint() {
    if !installed("promtool") {
        return;
    }
    let street = TwoSites::start().await;
    let _ = street.client("shop.test").visit().await;
    let _ = street.client("nobody.test").visit().await;
    let _ = street.client("shop.test").host("blog.test").visit().await;
    let _ = street.client("shop.test").alpn(&["gopher"]).visit().await;
    let scrape = street.proxy.ask("/metrics").await;
    assert!(scrape.header("content-type").starts_with("text/plain; version=0.0.4"), "{scrape:?}");
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    let finished = run(command, &scrape.text()).await;
    assert_eq!((finished.code, &*finished.text()), (0, ""), "promtool check metrics");
}

/// OBS-1
#[tokio::test]
async fn a_scrape_can_be_narrowed() {
    let street = TwoSites::start().await;
    street.client("shop.test").visit().await.unwrap();
    street.client("blog.test").visit().await.unwrap();
    let all = street.proxy.samples().await;
    let named = street.proxy.ask("/metrics?name[]=portcullis_http_requests_total").await.text();
    let named = crate::kit::admin::samples(&named);
    assert!(!named.is_empty() && named.len() < all.len());
    assert!(named.iter().all(|sample| sample.name == "portcullis_http_requests_total"));
    let shop = street.proxy.ask("/metrics?virtual_service=shop").await.text();
    let shop = crate::kit::admin::samples(&shop);
    assert!(shop.iter().any(|sample| sample.label("virtual_service") == "shop"));
    assert!(shop.iter().all(|sample| sample.label("virtual_service") != "blog"));
}

/// OBS-1
#[tokio::test]
async fn health_readiness_and_status_are_answered() {
    let street = TwoSites::start().await;
    assert_eq!(street.proxy.ask("/healthz").await.status, 200);
    assert_eq!(street.proxy.ask("/readyz").await.status, 200);
    let status = street.proxy.ask("/status").await;
    let status: serde_json::Value = serde_json::from_str(&status.text()).unwrap();
    for word in ["shop", "blog", "edge", "shop_ec"] {
        assert!(status.to_string().contains(word), "{word}: {status:#}");
    }
    assert_eq!(street.proxy.ask("/nothing/here").await.status, 404);
    let reload = crate::kit::admin::ask(street.proxy.admin(), hyper::Method::GET, "/reload").await;
    assert_eq!(reload.unwrap().status, 405, "what changes something needs POST");
}
