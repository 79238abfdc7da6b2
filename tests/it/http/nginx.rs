//! Debian's nginx as an origin, h2load and curl as clients.

use tokio::process::Command;

use crate::kit::TwoSites;
use crate::kit::command::installed;
use crate::kit::command::run;
use crate::kit::nginx::Nginx;

/// PX-1
#[tokio::test]
async fn nginx_is_served_as_it_is() {
    if !installed("nginx") {
        return;
    }
    let street = TwoSites::start().await;
    let page = "<html>a page</html>".repeat(1_000);
    street.site.write("www/index.html", &page);
    street.site.write("www/large.bin", vec![7; 4_000_000]);
    let nginx = Nginx::serving(&street.site).await;
    let endpoint = nginx.address.to_string();
    street.site.configure(&street.toml("").replace(&street.shop.endpoint(), &endpoint));
    street.proxy.reload().await;
    for mut http in
        [street.client("shop.test").http1().await, street.client("shop.test").http2().await]
    {
        // More requests than nginx takes on one connection: its closing is not the client's problem.
        for _ in 0..10 {
            let reply = http.get("/").await;
            assert_eq!((reply.status.as_u16(), reply.text()), (200, page.clone()));
        }
        assert_eq!(http.get("/large.bin").await.body.len(), 4_000_000);
        assert_eq!(http.get("/missing").await.status, 404);
        assert_eq!(http.get("/made").await.text(), "made\n");
        let moved = http.get("/moved").await;
        assert_eq!(moved.status, 302);
        assert!(moved.header("location").ends_with("/elsewhere"), "{moved:?}");
        let etag = http.get("/").await.header("etag").to_owned();
        let request = http.head(hyper::Method::GET, "/").header("if-none-match", etag);
        let unchanged = http.send(request.body(crate::kit::http::empty()).unwrap()).await.unwrap();
        assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
    }
}

/// PX-1
#[tokio::test]
async fn h2load_loses_nothing() {
    if !installed("h2load") {
        return;
    }
    let street = TwoSites::start().await;
    let port = street.proxy.address("edge").port();
    for protocol in ["h2", "http/1.1"] {
        let mut command = Command::new("h2load");
        command.args(["-n", "2000", "-c", "8", "-m", "10"]);
        command.arg(format!("--npn-list={protocol}"));
        command.arg(format!("--connect-to=127.0.0.1:{port}"));
        command.arg(format!("https://shop.test:{port}/bytes/1000"));
        let finished = run(command, "").await;
        let text = finished.text();
        assert!(text.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
        assert!(text.contains("2000 2xx"), "{text}");
    }
}

/// PX-1
#[tokio::test]
async fn curl_speaks_both_versions_and_verifies_the_chain() {
    if !installed("curl") {
        return;
    }
    let street = TwoSites::start().await;
    street.site.write("root.pem", crate::kit::Ca::shared().pem());
    let port = street.proxy.address("edge").port();
    for (version, said) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "20", version, "-w", " over %{http_version}"]);
        command.arg("--cacert").arg(street.site.path("root.pem"));
        command.arg("--resolve").arg(format!("shop.test:{port}:127.0.0.1"));
        command.arg(format!("https://shop.test:{port}/"));
        let finished = run(command, "").await;
        assert_eq!(finished.stdout, format!("hello from shop over {said}"), "{}", finished.stderr);
    }
}
