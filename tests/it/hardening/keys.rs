//! Files with secrets that everybody can read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;

use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::TwoSites;
use crate::kit::portcullis;

/// OPS-3: said by the deep check, and a start without any other certificate ends.
#[tokio::test]
async fn a_key_that_everybody_can_read_is_refused_with_what_to_do() {
    let site = site();
    chmod(&site, "certs/c.key", 0o644);
    site.configure(ONE);
    let config = site.config();
    for arguments in [&["check", "--deep"][..], &["run"]] {
        let mut arguments: Vec<&std::ffi::OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        arguments.push(config.as_os_str());
        let refused = portcullis(&site, &arguments).await;
        assert_eq!(refused.code, 78, "{}", refused.text());
        for word in ["certs/c.key", "0644", "chmod 0640", "world_readable_keys"] {
            assert!(refused.text().contains(word), "{word}: {}", refused.text());
        }
    }
}

/// OPS-3
#[tokio::test]
async fn a_group_may_read_a_key() {
    let site = site();
    chmod(&site, "certs/c.key", 0o640);
    let proxy = Proxy::start(&site, ONE).await;
    assert_eq!(proxy.client("one.test").visit().await.unwrap().body, "one");
}

/// OPS-3: as Kubernetes mounts secrets, where the option is for.
#[tokio::test]
async fn the_option_allows_a_readable_key_behind_links_and_warns() {
    let site = site();
    fs::create_dir(site.path("mount")).unwrap();
    fs::rename(site.path("certs/c.key"), site.path("mount/tls.key")).unwrap();
    chmod(&site, "mount/tls.key", 0o644);
    symlink("../mount", site.path("certs/data")).unwrap();
    symlink("data/tls.key", site.path("certs/c.key")).unwrap();
    let allowed = format!("[process]\nworld_readable_keys = \"allow\"\n{ONE}");
    let proxy = Proxy::start(&site, &allowed).await;
    assert_eq!(proxy.client("one.test").visit().await.unwrap().body, "one");
    let warning = proxy
        .says("a warning", |message| message["mode"] == "0644" && message["level"] == "WARN")
        .await;
    assert!(warning["file"].as_str().unwrap().ends_with("certs/c.key"), "{warning}");

    site.configure(ONE);
    let refused = proxy.try_reload().await.unwrap();
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("0644"), "{}", refused.text());
    assert_eq!(proxy.client("one.test").visit().await.unwrap().body, "one");
}

/// RL-3: a renewal that everybody can read is not taken up; the one before goes on.
#[tokio::test]
async fn a_renewed_key_that_everybody_can_read_is_not_used() {
    let street = TwoSites::start().await;
    let next = Ca::shared().issue(&Leaf::p256("blog.test"));
    street.site.write("certs/next.key", &next.key);
    chmod(&street.site, "certs/next.key", 0o644);
    street.site.replace("certs/blog_ec.pem", &next.chain);
    fs::rename(street.site.path("certs/next.key"), street.site.path("certs/blog_ec.key")).unwrap();
    let told = |message: &serde_json::Value| message["reason"] == "key_world_readable";
    street.proxy.says("a refusal", told).await;
    let session = street.client("blog.test").handshake().await.unwrap();
    assert!(session.facts.served(&street.blog_ec));

    // Mended by what the message says, without anything else.
    chmod(&street.site, "certs/blog_ec.key", 0o640);
    crate::kit::eventually("the new certificate", async || {
        let session = street.client("blog.test").handshake().await.unwrap();
        session.facts.served(&next).then_some(())
    })
    .await;
}

/// OPS-3: the secret of tickets and passphrases likewise.
#[tokio::test]
async fn other_secrets_that_everybody_can_read_are_refused() {
    let site = site();
    site.write("secret", "0123456789abcdef0123456789abcdef");
    chmod(&site, "secret", 0o604);
    site.configure(&format!("{ONE}\n[tickets]\nsecret = {{ file = \"secret\" }}\n"));
    let config = site.config();
    let refused = portcullis(&site, &["run".as_ref(), config.as_os_str()]).await;
    assert_ne!(refused.code, 0);
    assert!(refused.text().contains("0604"), "{}", refused.text());
    assert!(!refused.text().contains("0123456789"), "{}", refused.text());
}

const ONE: &str = r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["c"]
no_pool = { status = 200, body = "one" }
"#;

fn site() -> Site {
    let site = Site::new();
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test")));
    site
}

fn chmod(site: &Site, file: &str, mode: u32) {
    fs::set_permissions(site.path(file), fs::Permissions::from_mode(mode)).unwrap();
}
