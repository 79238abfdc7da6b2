//! Limits of handshakes: what is too many is shed, where it came from, and nowhere else.

use crate::edge::first_byte;
use crate::edge::refused_at;
use crate::edge::stalled;
use crate::kit::TwoSites;
use crate::kit::proxy::log_line;
use crate::kit::proxy::log_lines;

/// SPEC PX-5: one child's flood is shed at that child.
#[tokio::test]
async fn a_flood_of_one_service_leaves_the_others_alone() {
    let street = TwoSites::with("handshakes = 8\n").await;
    let mut of_flooded = street.client("blog.test").http1().await;
    let mut of_other = street.client("shop.test").http2().await;

    let mut flood = Vec::new();
    for _ in 0..64 {
        flood.push(stalled(&street, "blog.test").await);
    }
    let mut answered = 0;
    for tcp in &mut flood {
        answered += usize::from(first_byte(tcp).await == Some(HANDSHAKE_RECORD));
    }
    assert_eq!(answered, 8, "the others were closed without a word");
    refused_at(&street, "blog", "handshake_limit", 56.0).await;

    let refused = street.client("blog.test").handshake().await.err().expect("no room for it");
    assert_eq!(refused.alert, None, "{}", refused.error);
    for _ in 0..16 {
        assert_eq!(street.client("shop.test").visit().await.unwrap().body, "hello from shop");
    }
    assert_eq!(of_flooded.get("/").await.status, 200, "established before the flood");
    assert_eq!(of_other.get("/").await.status, 200);

    drop(flood);
    let labels = [("virtual_service", "edge"), ("reason", "eof")];
    street.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, 8.0).await;
    assert_eq!(street.client("blog.test").visit().await.unwrap().body, "hello from blog");
    assert_eq!(street.proxy.metric(REFUSED, &[("virtual_service", "shop")]).await, 0.0);
}

/// SPEC PX-5: half for one service, which leaves half for all others.
#[tokio::test]
async fn a_service_has_half_of_the_process_unless_it_says_otherwise() {
    let street = TwoSites::with("[limits]\nhandshakes = 8\n").await;
    let mut held = Vec::new();
    for name in ["blog.test", "shop.test"] {
        for _ in 0..4 {
            let mut tcp = stalled(&street, name).await;
            assert_eq!(first_byte(&mut tcp).await, Some(HANDSHAKE_RECORD));
            held.push(tcp);
        }
        let mut more = stalled(&street, name).await;
        assert_eq!(first_byte(&mut more).await, None, "{name}");
    }
    let mut of_parent = stalled(&street, "nobody.test").await;
    assert_eq!(first_byte(&mut of_parent).await, None, "the process has its eight");
    refused_at(&street, "edge", "handshake_limit", 1.0).await;
    drop(held);
    let labels = [("virtual_service", "edge"), ("reason", "eof")];
    street.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, 8.0).await;
    assert_eq!(street.client("nobody.test").visit().await.unwrap().body, "hello from edge");
}

/// SPEC PX-5: as a limit, a reload makes it larger for whatever is under way already.
#[tokio::test]
async fn limits_follow_a_reload_and_what_is_under_way_stays_counted() {
    let street = TwoSites::with("[limits]\nhandshakes = 2\n").await;
    let mut held = stalled(&street, "blog.test").await;
    assert_eq!(first_byte(&mut held).await, Some(HANDSHAKE_RECORD));
    assert_eq!(first_byte(&mut stalled(&street, "blog.test").await).await, None);
    street.site.configure(&street.toml("[limits]\nhandshakes = 4\n"));
    street.proxy.reload().await;
    let mut more = stalled(&street, "blog.test").await;
    assert_eq!(first_byte(&mut more).await, Some(HANDSHAKE_RECORD));
    assert_eq!(first_byte(&mut stalled(&street, "blog.test").await).await, None);
    // Replaced: its successor counts anew, and the process goes on counting both.
    street.site.configure(&street.toml("handshakes = 9\n[limits]\nhandshakes = 4\n"));
    street.proxy.reload().await;
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(stalled(&street, "blog.test").await);
        assert_eq!(first_byte(others.last_mut().unwrap()).await, Some(HANDSHAKE_RECORD));
    }
    assert_eq!(first_byte(&mut stalled(&street, "blog.test").await).await, None);
    drop((held, more, others));
    let labels = [("virtual_service", "edge"), ("reason", "eof")];
    street.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, 4.0).await;
    assert_eq!(street.client("blog.test").visit().await.unwrap().body, "hello from blog");
}

/// SPEC PX-5, PX-2: all are counted, and a few are written down.
#[tokio::test]
async fn a_rate_of_handshakes_sheds_and_a_flood_does_not_fill_the_log() {
    let street = TwoSites::with("handshakes_per_second = 1\n").await;
    let mut shed = 0;
    while shed < 100 {
        let client = street.client("blog.test");
        shed += usize::from(client.handshake().await.is_err());
    }
    refused_at(&street, "blog", "handshake_rate", 100.0).await;
    assert_eq!(street.client("shop.test").visit().await.unwrap().status, 200);
    let is_shed = |line: &serde_json::Value| line["error.type"] == "handshake_rate";
    let line = log_line(&street.site, "a handshake that was shed", is_shed).await;
    assert_eq!(line["portcullis.virtual_service"], "blog");
    assert_eq!(line["portcullis.parent"], "edge");
    assert_eq!(line["tls.client.server_name"], "blog.test");
    let lines = log_lines(&street.site, "app.log").iter().filter(|line| is_shed(line)).count();
    assert!(lines < 100, "{lines}");
}

/// The whole process's rate is everybody's.
#[tokio::test]
async fn a_rate_of_the_process_holds_for_all_services_together() {
    let street = TwoSites::with("[limits]\nhandshakes_per_second = 1\n").await;
    for name in ["blog", "shop"] {
        let client = street.client(&format!("{name}.test"));
        while client.handshake().await.is_ok() {}
        refused_at(&street, name, "handshake_rate", 1.0).await;
    }
}

const HANDSHAKE_RECORD: u8 = 22;

const REFUSED: &str = "portcullis_connections_refused_total";
