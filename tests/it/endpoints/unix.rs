//! Endpoints on Unix sockets.

use crate::endpoints::House;
use crate::kit::Origin;
use crate::kit::Site;

/// SPEC PX-2.
#[tokio::test]
async fn an_endpoint_may_be_a_unix_socket() {
    let site = Site::new();
    let path = site.path("app.sock");
    let origin = Origin::saying_on_unix("hello from a file", &path);
    let label = format!("unix:{}", path.display());
    let health = "health = { path = \"/\", interval = \"1s\" }";
    let pool = format!("endpoints = [\"{label}\"]\n{health}");
    let house = House::with(site, &pool, "").await;
    let mut http = house.proxy.client("one.test").http1().await;
    let checks = [("pool", "app"), ("endpoint", &label), ("result", "ok")];
    house.proxy.metric_becomes("portcullis_endpoint_checks_total", &checks, 1.0).await;
    for _ in 0..5 {
        assert_eq!(http.get("/").await.text(), "hello from a file");
    }
    let visits = origin.seen().iter().filter(|seen| seen.header("host") == "one.test").count();
    assert_eq!(visits, 5);
    let connects = [("pool", "app"), ("endpoint", label.as_str())];
    let connects = house.proxy.metric("portcullis_endpoint_connects_total", &connects).await;
    assert_eq!(connects, 1.0, "the connection is kept");
}

/// SPEC PX-2.
#[tokio::test]
async fn a_unix_socket_that_is_not_there_is_a_502() {
    let site = Site::new();
    let pool = format!("endpoints = [\"unix:{}\"]", site.path("no.sock").display());
    let house = House::with(site, &pool, "").await;
    assert_eq!(house.visit().await.0, 502);
}
