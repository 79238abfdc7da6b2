//! More connections than open files: clients wait, the accept loop goes on.

use tokio::net::TcpStream;

use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;

/// PX-5
#[tokio::test]
async fn the_accept_loop_survives_the_end_of_descriptors() {
    let site = Site::new();
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test")));
    let proxy = Proxy::start_with_few_files(&site, CONFIG, DESCRIPTORS).await;

    let mut crowd = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        crowd.push(TcpStream::connect(proxy.address("edge")).await.unwrap());
    }
    let cannot = |message: &serde_json::Value| {
        message["message"].as_str().is_some_and(|text| text.starts_with("cannot accept"))
    };
    proxy.says("a failed accept", cannot).await;
    drop(crowd);

    let visit = proxy.client("one.test").visit().await.unwrap();
    assert_eq!(visit.status, 404);
    let labels = [("virtual_service", "edge"), ("reason", "no_descriptors")];
    let failures = proxy.metric("portcullis_listener_accept_failures_total", &labels).await;
    assert!(failures >= 1.0, "{failures}");
}

/// What the process needs for itself, and room for some clients.
const DESCRIPTORS: u32 = 64;

const CONFIG: &str = r#"
[limits]
connections = 1000

[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["c"]
no_pool = { status = 404, body = "nobody\n" }

[certificate.c]
chain = "certs/c.pem"
key = { file = "certs/c.key" }
"#;
