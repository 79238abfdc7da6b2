//! What changes while the proxy runs: configuration, one way like the other, all or nothing.

mod certificates;
mod error_pages;
mod under_load;

use rustix::process::Signal;

use crate::kit::TwoSites;

/// RL-2
#[tokio::test]
async fn the_admin_call_reloads() {
    let street = street_without_watching().await;
    street.site.configure(&street.toml(WITH_NEWS));
    assert_eq!(body(&street, "news.test").await, "hello from edge", "nothing happens by itself");
    street.proxy.reload().await;
    assert_eq!(body(&street, "news.test").await, "news");
}

/// RL-2
#[tokio::test]
async fn the_command_reloads() {
    let street = street_without_watching().await;
    street.site.configure(&street.toml(WITH_NEWS));
    let command = street.proxy.reload_command(&street.site).await;
    assert_eq!(command.code, 0, "{}", command.text());
    assert_eq!(body(&street, "news.test").await, "news");
}

/// RL-2
#[tokio::test]
async fn sighup_reloads() {
    let street = street_without_watching().await;
    street.site.configure(&street.toml(WITH_NEWS));
    street.proxy.signal(Signal::HUP);
    reloads_become(&street, "applied", 1.0).await;
    assert_eq!(body(&street, "news.test").await, "news");
}

/// RL-2
#[tokio::test]
async fn an_edit_reloads() {
    let street = TwoSites::start().await;
    street.site.configure(&street.toml(NEWS));
    reloads_become(&street, "applied", 1.0).await;
    assert_eq!(body(&street, "news.test").await, "news");
}

/// RL-2
#[tokio::test]
async fn an_edit_in_place_reloads() {
    let street = TwoSites::start().await;
    let complete = street.site.complete(&street.toml(NEWS));
    street.site.write("portcullis.toml", complete);
    let asked = async || (body(&street, "news.test").await == "news").then_some(());
    crate::kit::eventually("the new service", asked).await;
}

/// RL-2
#[tokio::test]
async fn an_invalid_edit_changes_nothing_and_the_admin_call_says_so() {
    let street = street_without_watching().await;
    break_blog(&street);
    let reply = street.proxy.try_reload().await.unwrap();
    assert_eq!(reply.status, 422, "{}", reply.text());
    let line = street.site.line_of("pool = \"blgo\"");
    assert!(reply.text().contains(&line.to_string()), "the line {line}: {}", reply.text());
    assert!(reply.text().contains("blgo"), "{}", reply.text());
    nothing_changed(&street).await;
}

/// RL-2
#[tokio::test]
async fn an_invalid_edit_changes_nothing_and_the_command_fails() {
    let street = street_without_watching().await;
    break_blog(&street);
    let command = street.proxy.reload_command(&street.site).await;
    assert_ne!(command.code, 0, "{}", command.text());
    let line = street.site.line_of("pool = \"blgo\"");
    assert!(command.text().contains(&format!("portcullis.toml:{line}:")), "{}", command.text());
    nothing_changed(&street).await;
}

/// RL-2
#[tokio::test]
async fn an_invalid_edit_changes_nothing_and_the_log_says_so() {
    let street = TwoSites::start().await;
    break_blog(&street);
    reloads_become(&street, "refused", 1.0).await;
    let told = |message: &serde_json::Value| message.to_string().contains("blgo");
    let message = street.proxy.says("a message about the edit", told).await;
    assert_eq!(message["level"], "ERROR", "{message:#}");
    nothing_changed(&street).await;
}

/// RL-2
#[tokio::test]
async fn a_good_edit_after_a_bad_one_is_applied() {
    let street = street_without_watching().await;
    break_blog(&street);
    assert_eq!(street.proxy.try_reload().await.unwrap().status, 422);
    street.site.configure(&street.toml(WITH_NEWS));
    street.proxy.reload().await;
    assert_eq!(body(&street, "news.test").await, "news");
    let successful = street.proxy.metric("portcullis_config_last_reload_successful", &[]).await;
    assert_eq!(successful, 1.0);
}

/// RL-2
#[tokio::test]
async fn unchanged_services_keep_their_connections_and_counters() {
    let street = street_without_watching().await;
    let mut http1 = street.client("shop.test").http1().await;
    let mut http2 = street.client("shop.test").http2().await;
    http1.get("/").await;
    http2.get("/").await;
    street.site.configure(&street.toml(WITH_NEWS));
    street.proxy.reload().await;
    assert_eq!(http1.get("/").await.text(), "hello from shop", "the same HTTP/1.1 connection");
    assert_eq!(http2.get("/").await.text(), "hello from shop", "the same HTTP/2 connection");
    let shop = [("virtual_service", "shop")];
    street.proxy.metric_becomes("portcullis_http_requests_total", &shop, 4.0).await;
    street.proxy.metric_becomes("portcullis_connections_total", &shop, 2.0).await;
}

/// RL-2
#[tokio::test]
async fn unchanged_pools_keep_their_idle_connections() {
    let street = street_without_watching().await;
    // One connection: one worker, and so one idle connection to the origin.
    let mut http = street.client("shop.test").http1().await;
    http.get("/").await;
    assert_eq!(street.shop.connections(), 1);
    street.site.configure(&street.toml(WITH_NEWS));
    street.proxy.reload().await;
    http.get("/").await;
    assert_eq!(street.shop.connections(), 1);
}

/// RL-2, OBS-1
#[tokio::test]
async fn a_removed_service_goes_with_its_connections_and_series() {
    let street = street_without_watching().await;
    let mut http1 = street.client("blog.test").http1().await;
    let mut http2 = street.client("blog.test").http2().await;
    http1.get("/").await;
    http2.get("/").await;
    let blog = [("virtual_service", "blog")];
    street.proxy.metric_becomes("portcullis_http_requests_total", &blog, 2.0).await;
    let without = street.toml("").replace("[virtual_service.blog]", "[virtual_service.other]");
    let without = without.replace("\"blog.test\"", "\"other.test\"");
    street.site.configure(&format!("{without}\n{}", WITHOUT_WATCHING));
    street.proxy.reload().await;
    // HTTP/2 can say that it ends; HTTP/1.1 says it with the answer to the request after.
    http2.closed().await;
    let last = http1.get("/").await;
    assert_eq!((last.header("connection"), &*last.text()), ("close", "hello from blog"));
    http1.closed().await;
    assert_eq!(body(&street, "blog.test").await, "hello from edge");
    let gone = async || {
        let samples = street.proxy.samples().await;
        (!samples.iter().any(|sample| sample.label("virtual_service") == "blog")).then_some(())
    };
    crate::kit::eventually("the end of the series of blog", gone).await;
}

/// RL-2: a listener that comes and one that goes.
#[tokio::test]
async fn listeners_are_added_and_removed() {
    let street = street_without_watching().await;
    let side = "\n[virtual_service.side]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [\"edge_ec\"]\n\
                no_pool = { status = 200, body = \"side\" }\n";
    street.site.configure(&street.toml(&format!("{WITHOUT_WATCHING}{side}")));
    street.proxy.reload().await;
    let address = street.proxy.says("the new listener", |m| m["virtual_service"] == "side").await;
    let address = address["address"].as_str().unwrap().parse().unwrap();
    let visit = street.client("any.test").instead_to(address).visit().await.unwrap();
    assert_eq!(visit.body, "side");
    street.site.configure(&street.toml(WITHOUT_WATCHING));
    street.proxy.reload().await;
    let refused = async || tokio::net::TcpStream::connect(address).await.is_err().then_some(());
    crate::kit::eventually("the end of the listener", refused).await;
    assert_eq!(body(&street, "shop.test").await, "hello from shop");
}

/// RL-2: what cannot be bound is found out before anything changes.
#[tokio::test]
async fn a_new_listener_on_an_address_in_use_changes_nothing() {
    let street = street_without_watching().await;
    let taken = street.shop.endpoint();
    let side = format!(
        "\n[virtual_service.side]\nlisten = [\"{taken}\"]\ncertificates = [\"edge_ec\"]\n\
         no_pool = {{ status = 200, body = \"side\" }}\n"
    );
    street.site.configure(&street.toml(&format!("{WITHOUT_WATCHING}{NEWS}{side}")));
    let reply = street.proxy.try_reload().await.unwrap();
    assert_ne!(reply.status, 200, "{}", reply.text());
    assert!(reply.text().contains(&taken), "{}", reply.text());
    nothing_changed(&street).await;
}

const WITHOUT_WATCHING: &str = "\n[watch]\nfiles = false\n";

/// A third child.
const NEWS: &str = r#"
[virtual_service.news]
parent = "edge"
domains = ["news.test"]
certificates = ["blog_ec"]
no_pool = { status = 200, body = "news" }
"#;

/// The same, and still no watching.
const WITH_NEWS: &str = r#"
[virtual_service.news]
parent = "edge"
domains = ["news.test"]
certificates = ["blog_ec"]
no_pool = { status = 200, body = "news" }

[watch]
files = false
"#;

async fn street_without_watching() -> TwoSites {
    TwoSites::with(WITHOUT_WATCHING).await
}

/// A misspelt pool of `blog`, and a new child that must not appear.
fn break_blog(street: &TwoSites) {
    let broken = street.toml(NEWS).replace("pool = \"blog\"", "pool = \"blgo\"");
    street.site.configure(&broken);
}

async fn nothing_changed(street: &TwoSites) {
    assert_eq!(body(street, "blog.test").await, "hello from blog");
    assert_eq!(body(street, "shop.test").await, "hello from shop");
    assert_eq!(body(street, "news.test").await, "hello from edge", "not even the valid part");
    street.proxy.metric_becomes("portcullis_config_last_reload_successful", &[], 0.0).await;
    let generation = street.proxy.metric("portcullis_config_generation", &[]).await;
    assert_eq!(generation, 1.0);
}

async fn reloads_become(street: &TwoSites, result: &str, times: f64) {
    let labels = [("result", result)];
    street.proxy.metric_becomes("portcullis_config_reloads_total", &labels, times).await;
}

async fn body(street: &TwoSites, name: &str) -> String {
    street.client(name).visit().await.expect("to be served").body
}
