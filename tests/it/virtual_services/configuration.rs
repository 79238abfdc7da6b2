//! Families that cannot be: refused at check with the line, and at reload with nothing changed.

use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Site;
use crate::kit::TwoSites;
use crate::kit::portcullis;

/// VS-1
#[tokio::test]
async fn a_child_with_an_address_is_refused_at_its_line() {
    let child = r#"
parent = "edge"
listen = ["127.0.0.1:8443"]
domains = ["a.test"]
"#;
    refused_at("listen = [\"127.0.0.1:8443\"]", child, "").await;
}

/// VS-1
#[tokio::test]
async fn a_child_without_a_parent_is_refused_at_its_line() {
    let child = "\ndomains = [\"a.test\"]\n";
    refused_at_one_of(&["[virtual_service.a]", "domains = [\"a.test\"]"], child, "").await;
}

/// VS-1
#[tokio::test]
async fn a_parent_that_does_not_exist_is_refused_at_its_line() {
    refused_at("parent = \"edgy\"", "\nparent = \"edgy\"\ndomains = [\"a.test\"]\n", "").await;
}

/// VS-1
#[tokio::test]
async fn a_child_of_a_child_is_refused_at_its_line() {
    let child = "\nparent = \"edge\"\ndomains = [\"a.test\"]\n";
    let grandchild = r#"
[virtual_service.b]
parent = "a"
domains = ["b.test"]
certificates = ["c"]
no_pool = { status = 200, body = "b" }
"#;
    refused_at("parent = \"a\"", child, grandchild).await;
}

/// VS-3
#[tokio::test]
async fn wildcards_elsewhere_than_at_one_end_are_refused_at_their_line() {
    for pattern in ["a.*.test", "*.a.*", "*a.test", "*"] {
        let child = format!("\nparent = \"edge\"\ndomains = [\"{pattern}\"]\n");
        refused_at(&format!("domains = [\"{pattern}\"]"), &child, "").await;
    }
}

/// VS-3
#[tokio::test]
async fn a_domain_of_two_children_is_refused_at_check_whatever_its_spelling() {
    let child = "\nparent = \"edge\"\ndomains = [\"a.test\"]\n";
    let twin = r#"
[virtual_service.b]
parent = "edge"
domains = ["A.Test."]
certificates = ["c"]
no_pool = { status = 200, body = "b" }
"#;
    refused_at("A.Test.", child, twin).await;
}

/// VS-3, RL-2
#[tokio::test]
async fn a_domain_of_two_children_is_refused_at_reload_and_the_rest_goes_on() {
    let street = TwoSites::start().await;
    let twin = r#"
[virtual_service.twin]
parent = "edge"
domains = ["SHOP.test"]
certificates = ["blog_ec"]
pool = "blog"
"#;
    street.site.configure(&street.toml(twin));
    let reply = street.proxy.try_reload().await.unwrap();
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("SHOP.test"), "{}", reply.text());
    let visit = street.client("shop.test").visit().await.unwrap();
    assert_eq!(visit.body, "hello from shop");
}

/// VS-2
#[tokio::test]
async fn a_certificate_that_does_not_cover_the_domains_is_a_warning_of_check() {
    let site = Site::new();
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("z.test")));
    site.configure(&family("\nparent = \"edge\"\ndomains = [\"a.test\"]\n", ""));
    let config = site.config();
    let checked =
        portcullis(&site, &["check".as_ref(), "--deep".as_ref(), config.as_os_str()]).await;
    assert_eq!(checked.code, 0, "{}", checked.text());
    assert!(checked.text().contains("warning"), "{}", checked.text());
    assert!(checked.text().contains("a.test"), "{}", checked.text());
}

async fn refused_at(line: &str, child: &str, more: &str) {
    refused_at_one_of(&[line], child, more).await;
}

/// `check` exits with 78 and points at the line that holds one of these texts.
async fn refused_at_one_of(lines: &[&str], child: &str, more: &str) {
    let site = Site::new();
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("a.test")));
    site.configure(&family(child, more));
    let config = site.config();
    let checked = portcullis(&site, &["check".as_ref(), config.as_os_str()]).await;
    assert_eq!(checked.code, 78, "{}", checked.text());
    let pointed = lines.iter().any(|line| {
        let place = format!("portcullis.toml:{}:", site.line_of(line));
        checked.text().contains(&place)
    });
    assert!(pointed, "none of {lines:?} is pointed at:\n{}", checked.text());
}

fn family(child: &str, more: &str) -> String {
    format!(
        r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["c"]

[virtual_service.a]{child}certificates = ["c"]
no_pool = {{ status = 200, body = "a" }}
{more}
"#
    )
}
