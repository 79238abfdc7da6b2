//! Rate limits of requests and of connections.

use crate::kit::TwoSites;
use crate::kit::proxy::log_line;

/// PX-4: an hour has no second of this test in it, so the numbers are exact.
#[tokio::test]
async fn requests_over_the_limit_are_429_and_say_when_to_come_again() {
    for per in ["client", "service"] {
        let keys = format!("rate_limits = [{{ requests = \"60/h\", burst = 3, per = \"{per}\" }}]");
        let street = TwoSites::with(&keys).await;
        let mut http1 = street.client("blog.test").http1().await;
        let mut http2 = street.client("blog.test").http2().await;
        assert_eq!(http1.get("/").await.status, 200);
        assert_eq!(http2.get("/").await.status, 200);
        assert_eq!(http2.post("/", "x").await.status, 200);
        for http in [&mut http1, &mut http2] {
            let reply = http.get("/").await;
            assert_eq!(reply.status, 429);
            let seconds: u64 = reply.header("retry-after").parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
            assert_eq!(reply.header("cache-control"), "no-store");
        }
        assert_eq!(street.blog.seen().len(), 3);
        let labels = [("virtual_service", "blog"), ("reason", "rate_limited")];
        let failures = "portcullis_http_request_failures_total";
        street.proxy.metric_becomes(failures, &labels, 2.0).await;
        log_line(&street.site, "the limit", |line| line["error.type"] == "rate_limited").await;
        assert_eq!(street.client("shop.test").http1().await.get("/").await.status, 200);
    }
}

/// PX-4
#[tokio::test]
async fn a_rule_has_a_limit_of_its_own() {
    let street = TwoSites::with(
        "[[virtual_service.blog.rules]]\npath = \"/login\"\nrate_limits = [{ requests = \"1/h\" }]\n",
    )
    .await;
    let mut http = street.client("blog.test").http1().await;
    assert_eq!(http.get("/login").await.status, 200);
    assert_eq!(http.get("//login").await.status, 429);
    assert_eq!(http.get("/").await.status, 200);
}

/// PX-4
#[tokio::test]
async fn connections_over_the_limit_get_no_handshake() {
    let keys = "rate_limits = [{ connections = \"2/h\", per = \"service\" }]";
    let street = TwoSites::with(keys).await;
    let client = street.client("blog.test");
    let mut first = client.http1().await;
    let second = client.handshake().await;
    assert!(second.is_ok());
    let refused = client.handshake().await.err().expect("one too many");
    assert_eq!(refused.alert, None, "{}", refused.error);
    let labels = [("virtual_service", "blog"), ("reason", "connection_rate_limited")];
    street.proxy.metric_becomes("portcullis_connections_refused_total", &labels, 1.0).await;
    for _ in 0..5 {
        assert_eq!(first.get("/").await.status, 200, "requests are not counted");
    }
}
