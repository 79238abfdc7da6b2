//! Who may come, by address: before the handshake, or with each request behind a trusted proxy.

use crate::kit::TwoSites;
use crate::kit::proxy::log_line;

const REFUSED: &str = "portcullis_connections_refused_total";

/// PX-4
#[tokio::test]
async fn a_denied_address_gets_no_handshake_and_the_child_says_so() {
    for keys in ["deny = [\"127.0.0.0/8\"]", "allow = [\"10.0.0.0/8\", \"::1\"]"] {
        let street = TwoSites::with(keys).await;
        let refused = street.client("blog.test").handshake().await.err().expect("no handshake");
        assert_eq!(refused.alert, None, "closed without a word: {}", refused.error);
        let labels = [("virtual_service", "blog"), ("reason", "address_denied")];
        street.proxy.metric_becomes(REFUSED, &labels, 1.0).await;
        let line =
            log_line(&street.site, "the denial", |line| line["error.type"] == "address_denied")
                .await;
        assert_eq!(line["portcullis.virtual_service"], "blog", "{line:#}");
        assert_eq!(line["portcullis.parent"], "edge", "{line:#}");
        assert_eq!(line["event"], "connection", "{line:#}");
        assert_eq!(line["client.address"], "127.0.0.1", "{line:#}");
        assert_eq!(line["tls.client.server_name"], "blog.test", "{line:#}");
        let failures = street.proxy.metric("portcullis_tls_handshake_failures_total", &[]).await;
        assert_eq!(failures, 0.0, "it is not the parent's");
        let other = street.client("shop.test").http1().await.get("/").await;
        assert_eq!(other.text(), "hello from shop", "other services are open");
    }
}

/// PX-4
#[tokio::test]
async fn an_address_that_is_allowed_is_served() {
    let street = TwoSites::with("allow = [\"127.0.0.1\"]\ndeny = [\"127.0.0.2\"]").await;
    let reply = street.client("blog.test").http1().await.get("/").await;
    assert_eq!(reply.text(), "hello from blog");
}

/// PX-4: the connection is the proxy's, and each request is judged by who it comes from.
#[tokio::test]
async fn behind_a_trusted_proxy_the_request_is_refused() {
    let keys = "trusted_proxies = [\"127.0.0.0/8\"]\ndeny = [\"127.0.0.0/8\"]";
    let street = TwoSites::with(keys).await;
    for mut http in
        [street.client("blog.test").http1().await, street.client("blog.test").http2().await]
    {
        assert_eq!(http.get("/").await.status, 403);
        assert_eq!(http.get("/").await.status, 403, "the connection goes on");
    }
    assert!(street.blog.seen().is_empty());
    log_line(&street.site, "the refusal", |line| {
        line["error.type"] == "address_denied" && line["http.response.status_code"] == 403
    })
    .await;
}
