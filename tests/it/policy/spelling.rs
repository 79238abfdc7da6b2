//! Other spellings of a path do not get past its rule.

use crate::kit::TwoSites;
use crate::kit::proxy::log_line;

const RULES: &str = r#"
[[virtual_service.blog.rules]]
path_prefix = "/admin"
status = 403
body = "no"
"#;

/// Asks for a path as it is written, which no well-behaved client would do.
async fn ask(street: &TwoSites, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: blog.test\r\nconnection: close\r\n\r\n");
    street.client("blog.test").say(request.as_bytes()).await.unwrap()
}

/// PX-4
#[tokio::test]
async fn no_spelling_of_a_path_gets_past_its_rule() {
    let street = TwoSites::with(RULES).await;
    for path in [
        "/admin",
        "/admin/users",
        "//admin",
        "/./admin",
        "/x/../admin",
        "/%61dmin",
        "/%2e/admin",
        "/x/%2e%2e/admin/",
        "/x/.%2E/%61%64min",
        "/../../admin",
        "/admin;v=1/users",
        "/admin%3Bx",
        "/admin/../admin",
        "https://blog.test/x/../admin",
    ] {
        let answer = ask(&street, path).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{path}: {answer}");
    }
    assert!(street.blog.seen().is_empty());
    let mut http2 = street.client("blog.test").http2().await;
    for path in ["/x/%2e%2e/admin", "//admin"] {
        assert_eq!(http2.get(path).await.status, 403, "{path}");
    }
}

/// PX-4
#[tokio::test]
async fn what_an_endpoint_might_read_in_another_way_is_refused() {
    let street = TwoSites::with(RULES).await;
    for path in [
        "/x%2f..%2fadmin",
        "/x/..%2Fadmin",
        "/admin%00",
        "/x\\..\\admin",
        "/x%5c..%5cadmin",
        "/%zz",
        "/x/..;/admin",
        "/x/%252e%252e/admin",
        "/%2561dmin",
        "/x/%c0%ae%c0%ae/admin",
        "/admin%0a",
    ] {
        let answer = ask(&street, path).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
    }
    assert!(street.blog.seen().is_empty());
    log_line(&street.site, "the reason", |line| line["error.type"] == "bad_path").await;
}

/// PX-4
#[tokio::test]
async fn what_was_matched_is_what_is_sent() {
    let street = TwoSites::with(RULES).await;
    for (asked, seen) in [
        ("/a/../b//c?q=/../x%2f", "/b/c?q=/../x%2f"),
        ("/%7Euser/%3ba%2db", "/~user/%3Ba-b"),
        ("/plain", "/plain"),
    ] {
        ask(&street, asked).await;
        assert_eq!(street.blog.last().path, seen, "{asked}");
    }
}

/// PX-4: nobody compares its path with anything.
#[tokio::test]
async fn a_service_without_rules_passes_a_path_on_as_it_is() {
    let street = TwoSites::start().await;
    for path in ["/a/../b//c", "/x%2f%00..;/y", "/%7E%zz", "//x%5c?\\"] {
        ask(&street, path).await;
        assert_eq!(street.blog.last().path, path);
    }
}
