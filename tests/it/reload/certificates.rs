//! Certificate files that are replaced, in every way that files are, and files that are broken.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;
use std::time::Instant;

use crate::kit::Ca;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::TwoSites;
use crate::kit::eventually;

/// RL-1
#[tokio::test]
async fn files_replaced_by_rename_are_served_in_time() {
    let street = TwoSites::start().await;
    let next = Ca::shared().issue(&Leaf::p256("blog.test"));
    let mut before = street.client("blog.test").http1().await;
    before.get("/").await;
    street.site.renew("blog_ec", &next);
    is_served_in_time(&street.proxy, "blog.test", &next).await;
    assert_eq!(before.get("/").await.text(), "hello from blog", "established connections go on");
}

/// RL-1
#[tokio::test]
async fn files_written_in_place_are_served_in_time() {
    let street = TwoSites::start().await;
    let next = Ca::shared().issue(&Leaf::p256("blog.test"));
    street.site.write("certs/blog_ec.key", &next.key);
    street.site.write("certs/blog_ec.pem", &next.chain);
    is_served_in_time(&street.proxy, "blog.test", &next).await;
}

/// RL-1: Kubernetes mounts `file -> ..data/file` and `..data -> ..DATE`, and swaps `..data`, again
/// and again.
#[tokio::test]
async fn a_swap_of_the_directory_behind_a_link_is_served_in_time() {
    let site = Site::new();
    let mount = Mount { site: &site };
    let first = Ca::shared().issue(&Leaf::p256("one.test"));
    mount.swap("..2026_01", &first);
    for file in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), site.path(format!("mount/{file}"))).unwrap();
    }
    let proxy = Proxy::start(&site, KUBERNETES).await;
    assert!(proxy.client("one.test").handshake().await.unwrap().facts.served(&first));
    for date in ["..2026_02", "..2026_03", "..2026_04"] {
        let next = Ca::shared().issue(&Leaf::p256("one.test"));
        mount.swap(date, &next);
        is_served_in_time(&proxy, "one.test", &next).await;
    }
}

/// RL-1: not even a moment of the new certificate with the old key.
#[tokio::test]
async fn certificate_and_key_change_together_or_not_at_all() {
    let street = TwoSites::start().await;
    let next = Ca::shared().issue(&Leaf::p256("blog.test"));
    street.site.replace("certs/blog_ec.pem", &next.chain);
    let differs = [("certificate", "blog_ec")];
    street.proxy.metric_becomes("portcullis_certificate_served_differs", &differs, 1.0).await;
    let mismatched = street.client("blog.test").visit().await.unwrap();
    assert!(mismatched.facts.served(&street.blog_ec), "the old pair goes on");
    street.site.replace("certs/blog_ec.key", &next.key);
    is_served_in_time(&street.proxy, "blog.test", &next).await;
    street.proxy.metric_becomes("portcullis_certificate_served_differs", &differs, 0.0).await;
}

/// RL-3, RL-5
#[tokio::test]
async fn a_broken_file_keeps_the_old_material_and_disturbs_nobody() {
    for broken in ["", "no certificate at all", "-----BEGIN CERTIFICATE-----\nMIIB"] {
        let street = TwoSites::start().await;
        let next = Ca::shared().issue(&Leaf::p256("blog.test"));
        street.site.replace("certs/shop_ec.pem", broken);
        street.site.renew("blog_ec", &next);
        is_served_in_time(&street.proxy, "blog.test", &next).await;
        let differs = [("certificate", "shop_ec")];
        street.proxy.metric_becomes("portcullis_certificate_served_differs", &differs, 1.0).await;
        let shop = street.client("shop.test").visit().await.unwrap();
        assert!(shop.facts.served(&street.shop_ec), "the old material of this certificate");
        let named = |m: &serde_json::Value| m.to_string().contains("shop_ec.pem");
        let message = street.proxy.says("a message with the path", named).await;
        assert_ne!(message["level"], "INFO", "{message:#}");
        let refused = [("certificate", "shop_ec"), ("result", "refused")];
        assert!(street.proxy.metric("portcullis_certificate_reloads_total", &refused).await >= 1.0);
    }
}

/// RL-3
#[tokio::test]
async fn a_file_that_vanishes_keeps_the_old_material() {
    let street = TwoSites::start().await;
    fs::remove_file(street.site.path("certs/blog_ec.key")).unwrap();
    let differs = [("certificate", "blog_ec")];
    street.proxy.metric_becomes("portcullis_certificate_served_differs", &differs, 1.0).await;
    let visit = street.client("blog.test").visit().await.unwrap();
    assert!(visit.facts.served(&street.blog_ec));
}

/// RL-3, RL-5: back to what is served, and all is well again.
#[tokio::test]
async fn the_mark_goes_when_the_file_is_repaired() {
    let street = TwoSites::start().await;
    let differs = [("certificate", "blog_ec")];
    street.site.replace("certs/blog_ec.pem", "broken");
    street.proxy.metric_becomes("portcullis_certificate_served_differs", &differs, 1.0).await;
    street.site.replace("certs/blog_ec.pem", &street.blog_ec.chain);
    street.proxy.metric_becomes("portcullis_certificate_served_differs", &differs, 0.0).await;
}

/// RL-1: without the watching, SIGHUP and the admin call read the files.
#[tokio::test]
async fn a_reload_reads_certificate_files() {
    let street = TwoSites::with("[watch]\nfiles = false").await;
    let next = Ca::shared().issue(&Leaf::p256("blog.test"));
    street.site.renew("blog_ec", &next);
    let old = street.client("blog.test").visit().await.unwrap();
    assert!(old.facts.served(&street.blog_ec), "nothing happens by itself");
    street.proxy.reload().await;
    assert!(street.client("blog.test").visit().await.unwrap().facts.served(&next));
}

/// RL-1, OBS-1
#[tokio::test]
async fn expiry_and_identity_in_the_metrics_follow_the_served_certificate() {
    let street = TwoSites::start().await;
    let blog = [("certificate", "blog_ec")];
    let info = async || {
        let samples = street.proxy.samples().await;
        let mut infos = samples.iter().filter(|s| s.is("portcullis_certificate_info", &blog));
        let serial = infos.next().expect("a certificate in use").label("serial").to_owned();
        assert!(infos.next().is_none(), "the series of the old one is gone");
        serial
    };
    let before = info().await;
    let next = Ca::shared().issue(&Leaf::p256("blog.test"));
    street.site.renew("blog_ec", &next);
    is_served_in_time(&street.proxy, "blog.test", &next).await;
    assert_ne!(info().await, before);
    let not_after =
        street.proxy.metric("portcullis_certificate_not_after_timestamp_seconds", &blog);
    assert!(not_after.await > 1.7e9);
}

async fn is_served_in_time(proxy: &Proxy, name: &str, issued: &Issued) {
    let changed = Instant::now();
    eventually("the new certificate", async || {
        let session = proxy.client(name).handshake().await.expect("every handshake succeeds");
        session.facts.served(issued).then_some(())
    })
    .await;
    assert!(changed.elapsed() < IN_TIME, "it took {:?}", changed.elapsed());
}

/// The statement says 2 s; the rest is for a loaded machine.
const IN_TIME: Duration = Duration::from_secs(6);

struct Mount<'a> {
    site: &'a Site,
}

impl Mount<'_> {
    /// What kubelet's atomic writer does: a new directory, a new link, a rename over the old link.
    fn swap(&self, date: &str, issued: &Issued) {
        self.site.write(&format!("mount/{date}/tls.crt"), &issued.chain);
        self.site.write(&format!("mount/{date}/tls.key"), &issued.key);
        let old = fs::read_link(self.site.path("mount/..data"));
        symlink(date, self.site.path("mount/..data_tmp")).unwrap();
        fs::rename(self.site.path("mount/..data_tmp"), self.site.path("mount/..data")).unwrap();
        if let Ok(old) = old {
            fs::remove_dir_all(self.site.path("mount").join(old)).unwrap();
        }
    }
}

const KUBERNETES: &str = r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["mounted"]
no_pool = { status = 200, body = "one" }

[certificate.mounted]
chain = "mount/tls.crt"
key = { file = "mount/tls.key" }
"#;
