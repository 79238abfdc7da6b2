//! The admin address is for the operator of this machine, not for the pages that their browser shows.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use tokio::process::Command;

use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::TwoSites;
use crate::kit::command::Finished;
use crate::kit::command::binary;
use crate::kit::command::installed;
use crate::kit::command::run;

/// OPS-4: DNS rebinding gives a page's own name the address of this machine.
#[tokio::test]
async fn a_host_that_is_not_this_machine_is_refused() {
    if !installed("curl") {
        return;
    }
    let street = TwoSites::start().await;
    for (host, status) in [
        ("evil.example", "403"),
        ("localhost.evil.example", "403"),
        ("", "403"),
        ("localhost", "200"),
        ("127.0.0.1", "200"),
    ] {
        let asked = curl(&street.proxy, "/status", &["-H", &format!("Host: {host}")]).await;
        assert_eq!(asked.stdout, status, "{host}");
    }
}

/// OPS-4
#[tokio::test]
async fn a_page_of_another_origin_cannot_reload() {
    if !installed("curl") {
        return;
    }
    let street = TwoSites::start().await;
    for origin in ["http://evil.example", "null", "https://127.0.0.1:1"] {
        let origin = format!("Origin: {origin}");
        let asked = curl(&street.proxy, "/reload", &["-X", "POST", "-H", &origin]).await;
        assert_eq!(asked.stdout, "403", "{origin}");
    }
    assert_eq!(street.proxy.metric("portcullis_config_reloads_total", &[]).await, 0.0);
    let own = curl(&street.proxy, "/reload", &["-X", "POST"]).await;
    assert_eq!(own.stdout, "200");
}

/// OPS-4
#[tokio::test]
async fn the_status_tells_no_secret() {
    let street = TwoSites::start().await;
    let status = street.proxy.ask("/status").await.text();
    assert!(status.contains("shop_ec"), "{status}");
    let secret = std::fs::read(street.site.path("state/ticket-secret")).unwrap();
    let told = String::from_utf8_lossy(&secret);
    assert!(!status.contains(&*told) && !status.contains("PRIVATE KEY"), "{status}");
    for line in street.shop_ec.key.lines().filter(|line| line.len() > 40) {
        assert!(!status.contains(line));
    }
}

/// OPS-4: whatever the umask is.
#[tokio::test]
async fn the_socket_file_is_its_owners_alone() {
    if !installed("curl") {
        return;
    }
    let site = Site::new();
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test")));
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg("umask 000; exec \"$0\" \"$@\"").arg(binary());
    let _proxy = Proxy::start_by((command, Stdio::null()), &site, WITH_SOCKET).await;
    let path = site.path("admin.sock");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut command = Command::new("curl");
    command.args(["-s", "--unix-socket"]).arg(path).arg("http://localhost/livez");
    let asked = run(command, "").await;
    assert!(asked.stdout.contains("alive"), "{}", asked.text());
}

const WITH_SOCKET: &str = r#"
[admin]
listen = "unix:admin.sock"

[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["c"]
no_pool = { status = 200, body = "one" }
"#;

/// The status of an answer of the admin address.
async fn curl(proxy: &Proxy, path: &str, more: &[&str]) -> Finished {
    let mut command = Command::new("curl");
    command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]).args(more);
    command.arg(format!("http://{}{path}", proxy.admin()));
    run(command, "").await
}
