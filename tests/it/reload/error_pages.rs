//! Files of error pages: read before anything changes, watched, and a change of their service alone.

use serde_json::Value;

use crate::kit::Site;
use crate::kit::TwoSites;
use crate::kit::portcullis;

/// SPEC PX-4, RL-2.
#[tokio::test]
async fn an_edited_page_changes_its_service_alone() {
    let street = street().await;
    street.site.write("errors/502.html", "sorry");
    let report = reloaded(&street).await;
    let changed = &report["changes"]["virtual_services"]["changed"];
    assert_eq!(*changed, serde_json::json!(["blog"]), "{report:#}");
    assert_eq!(reloaded(&street).await["outcome"], "unchanged");
}

/// SPEC PX-4, RL-2.
#[tokio::test]
async fn an_edited_page_is_noticed_without_being_asked() {
    let street = TwoSites::with("").await;
    street.site.write("errors/502.html", "bad gateway");
    street.site.configure(&street.toml(PAGES));
    let applied = [("result", "applied")];
    street.proxy.metric_becomes("portcullis_config_reloads_total", &applied, 1.0).await;
    street.site.replace("errors/502.html", "sorry");
    street.proxy.metric_becomes("portcullis_config_reloads_total", &applied, 2.0).await;
}

/// SPEC PX-4, RL-2.
#[tokio::test]
async fn a_page_that_is_missing_or_too_large_changes_nothing_and_is_named() {
    let street = street().await;
    std::fs::remove_file(street.site.path("errors/502.html")).unwrap();
    refused(&street, "No such file").await;
    street.site.write("errors/502.html", vec![b'x'; (1 << 20) + 1]);
    refused(&street, "larger than 1024KiB").await;
    street.site.write("errors/502.html", "sorry");
    assert_eq!(reloaded(&street).await["outcome"], "applied");
}

/// SPEC PX-2, RL-2.
#[tokio::test]
async fn other_dns_servers_are_a_change_that_keeps_pools_and_services() {
    let street = street().await;
    street.site.configure(&street.toml(&format!("{PAGES}[dns]\nmin_ttl = \"3s\"\n{UNWATCHED}")));
    let report = reloaded(&street).await;
    assert_eq!(report["changes"]["dns"], true, "{report:#}");
    let kept = serde_json::json!({ "added": [], "changed": [], "removed": [] });
    assert_eq!(report["changes"]["pools"], kept, "{report:#}");
    assert_eq!(report["changes"]["virtual_services"], kept, "{report:#}");
}

/// A page for `blog`, and a proxy that reloads only when it is asked to.
async fn street() -> TwoSites {
    let street = TwoSites::with(UNWATCHED).await;
    street.site.write("errors/502.html", "bad gateway");
    street.site.configure(&street.toml(&format!("{PAGES}{UNWATCHED}")));
    street.proxy.reload().await;
    street
}

async fn reloaded(street: &TwoSites) -> Value {
    let reply = street.proxy.try_reload().await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_str(&reply.text()).expect("a report")
}

async fn refused(street: &TwoSites, why: &str) {
    let reply = street.proxy.try_reload().await.unwrap();
    assert_eq!(reply.status, 422, "{}", reply.text());
    for part in ["`blog`", "status 502", "errors/502.html", why] {
        assert!(reply.text().contains(part), "{part}: {}", reply.text());
    }
    let checked = check_deep(&street.site).await;
    assert!(checked.contains(why), "{checked}");
}

async fn check_deep(site: &Site) -> String {
    let config = site.config();
    let checked =
        portcullis(site, &["check".as_ref(), "--deep".as_ref(), config.as_os_str()]).await;
    assert_ne!(checked.code, 0, "{}", checked.text());
    checked.text()
}

const PAGES: &str = "error_pages = { 502 = \"errors/502.html\" }\n";

const UNWATCHED: &str = "[watch]\nfiles = false\n";
