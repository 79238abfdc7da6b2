//! Pools with several endpoints.

use hyper::Method;

use crate::kit::Origin;
use crate::kit::TwoSites;
use crate::kit::eventually;
use crate::kit::http::empty;
use crate::kit::raw_origin::unused_port;
use crate::kit::within;

/// PX-2
#[tokio::test]
async fn round_robin_takes_turns() {
    let three = Three::balanced("round_robin").await;
    let mut http = three.street.client("shop.test").http1().await;
    for _ in 0..30 {
        http.get("/").await;
    }
    let counts = three.origins.each_ref().map(|origin| origin.seen().len());
    assert_eq!(counts.iter().sum::<usize>(), 30);
    assert!(counts.iter().all(|count| (8..=12).contains(count)), "{counts:?}");
}

/// PX-2
#[tokio::test]
async fn least_requests_avoids_the_busy() {
    let three = Three::balanced("least_requests").await;
    let mut http = three.street.client("shop.test").http2().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let request = http.head(Method::GET, "/held").body(empty()).unwrap();
        held.push(http.begin(request));
    }
    let pool = [("pool", "shop")];
    three.street.proxy.metric_becomes("portcullis_endpoint_requests_active", &pool, 2.0).await;
    // In flight for the proxy is a moment earlier than seen by the origin.
    let busy = eventually("the two waits on two origins", async || {
        let busy = three.origins.each_ref().map(|origin| !origin.seen().is_empty());
        (busy.iter().filter(|busy| **busy).count() == 2).then_some(busy)
    })
    .await;
    for _ in 0..10 {
        http.get("/").await;
    }
    for (origin, busy) in three.origins.iter().zip(busy) {
        assert_eq!(origin.seen().len(), if busy { 1 } else { 10 });
        origin.release();
    }
    for waiting in held {
        within("a held answer", waiting).await.unwrap();
    }
}

/// PX-2
#[tokio::test]
async fn a_request_goes_to_another_endpoint_where_one_is_not_there() {
    let street = TwoSites::start().await;
    let alive = street.shop.endpoint();
    let both = format!("\"127.0.0.1:{}\", \"{alive}\"", unused_port().await);
    street.site.configure(&street.toml("").replace(&format!("\"{alive}\""), &both));
    street.proxy.reload().await;
    for client in
        [street.client("shop.test").http1().await, street.client("shop.test").http2().await]
    {
        let mut http = client;
        for _ in 0..10 {
            assert_eq!(http.get("/").await.text(), "hello from shop");
            // Nothing was sent, so it is safe to repeat even a POST.
            assert_eq!(http.post("/echo", "once").await.text(), "once");
        }
    }
    let retries = street.proxy.metric("portcullis_pool_retries_total", &[("pool", "shop")]).await;
    assert!(retries >= 1.0, "{retries}");
    assert_eq!(street.shop.seen().len(), 40, "nothing was sent twice");
}

/// PX-2: an idle connection that the origin has closed meanwhile is nobody's problem. Where the
/// news has not arrived yet, a request whose method is safe is sent again.
#[tokio::test]
async fn an_idle_connection_that_died_does_not_fail_a_request() {
    let street = TwoSites::start().await;
    let mut http = street.client("shop.test").http1().await;
    for _ in 0..5 {
        assert_eq!(http.get("/").await.text(), "hello from shop");
        street.shop.hang_up();
        assert_eq!(http.get("/").await.text(), "hello from shop");
    }
    street.shop.hang_up();
    // Anything that takes a moment: the news is older than the next request.
    street.proxy.ask("/metrics").await;
    assert_eq!(http.post("/echo", "once").await.text(), "once");
}

struct Three {
    origins: [Origin; 3],
    street: TwoSites,
}

impl Three {
    /// `shop` has three endpoints.
    async fn balanced(how: &str) -> Self {
        let origins = [
            Origin::saying("one").await,
            Origin::saying("two").await,
            Origin::saying("three").await,
        ];
        let street = TwoSites::start().await;
        let endpoints = origins.each_ref().map(|o| format!("\"{}\"", o.endpoint())).join(", ");
        let old = format!("endpoints = [\"{}\"]", street.shop.endpoint());
        let new = format!("endpoints = [{endpoints}]\nbalance = \"{how}\"");
        street.site.configure(&street.toml("").replace(&old, &new));
        street.proxy.reload().await;
        Self { origins, street }
    }
}
