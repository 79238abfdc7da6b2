//! Parents without a pool: the handshake succeeds, then the configured action follows.

use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::Visit;

/// VS-8
#[tokio::test]
async fn without_a_word_the_connection_is_closed_after_the_handshake() {
    let visit = visit_parent_with("").await;
    assert_eq!(visit.answer, "");
}

/// VS-8
#[tokio::test]
async fn close_closes_the_connection_after_the_handshake() {
    let visit = visit_parent_with("no_pool = { close = true }").await;
    assert_eq!(visit.answer, "");
}

/// VS-8
#[tokio::test]
async fn a_fixed_response_is_given() {
    let visit = visit_parent_with("no_pool = { status = 404, body = \"no such site\\n\" }").await;
    assert_eq!((visit.status, &*visit.body), (404, "no such site\n"));
}

/// VS-8
#[tokio::test]
async fn a_redirect_is_given() {
    let visit =
        visit_parent_with("no_pool = { redirect = \"https://www.example.com/\", status = 302 }")
            .await;
    assert_eq!(visit.status, 302);
    let answer = visit.answer.to_ascii_lowercase();
    assert!(answer.contains("location: https://www.example.com/\r\n"), "{answer}");
}

async fn visit_parent_with(no_pool: &str) -> Visit {
    let site = Site::new();
    let edge = Ca::shared().issue(&Leaf::p256("edge.test"));
    site.certificate("edge_ec", &edge);
    let toml = format!(
        "\n[virtual_service.edge]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [\"edge_ec\"]\n{no_pool}\n"
    );
    let proxy = Proxy::start(&site, &toml).await;
    let visit = proxy.client("anything.test").visit().await.unwrap();
    assert!(visit.facts.served(&edge), "the handshake is the parent's");
    visit
}
