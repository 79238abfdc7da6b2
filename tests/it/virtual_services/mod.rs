//! Which virtual service a connection and a request belong to.

mod configuration;
mod hosts;
mod names;
mod without_pool;

use crate::kit::Ca;
use crate::kit::Client;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::TwoSites;
use crate::kit::command::as_root;

use rustls::AlertDescription;

/// VS-2
#[tokio::test]
async fn each_server_name_reaches_its_own_certificate_and_pool() {
    let street = TwoSites::start().await;
    let shop = street.client("shop.test").visit().await.unwrap();
    let blog = street.client("blog.test").visit().await.unwrap();
    assert!(shop.facts.served(&street.shop_ec));
    assert_eq!(shop.body, "hello from shop");
    assert!(blog.facts.served(&street.blog_ec));
    assert_eq!(blog.body, "hello from blog");
}

/// VS-2
#[tokio::test]
async fn the_names_in_a_certificate_play_no_role() {
    let site = Site::new();
    let wrong = Ca::shared().issue(&Leaf::p256("z.test"));
    let edge = Ca::shared().issue(&Leaf::p256("edge.test"));
    site.certificate("wrong", &wrong);
    site.certificate("edge_ec", &edge);
    let proxy = Proxy::start(
        &site,
        r#"
        [virtual_service.edge]
        listen = ["127.0.0.1:0"]
        certificates = ["edge_ec"]
        [virtual_service.a]
        parent = "edge"
        domains = ["a.test"]
        certificates = ["wrong"]
        no_pool = { status = 200, body = "a" }
        "#,
    )
    .await;
    let a = proxy.client("a.test").handshake().await.unwrap();
    let z = proxy.client("z.test").handshake().await.unwrap();
    assert!(a.facts.served(&wrong), "the configured domain selects");
    assert!(z.facts.served(&edge), "a name that only a certificate has selects nothing");
}

/// VS-4
#[tokio::test]
async fn no_name_and_an_unknown_name_reach_the_parent() {
    let street = TwoSites::start().await;
    let unknown = street.client("nobody.test").visit().await.unwrap();
    let absent = Client::to(street.proxy.address("edge")).visit().await.unwrap();
    for visit in [unknown, absent] {
        assert!(visit.facts.served(&street.edge_ec));
        assert_eq!(visit.body, "hello from edge");
    }
    let unmatched = "portcullis_tls_sni_unmatched_total";
    let of = |sni| [("virtual_service", "edge"), ("sni", sni)];
    assert_eq!(street.proxy.metric(unmatched, &of("unknown")).await, 1.0);
    assert_eq!(street.proxy.metric(unmatched, &of("absent")).await, 1.0);
}

/// VS-4
#[tokio::test]
async fn a_strict_parent_refuses_unknown_names_with_an_alert() {
    let street = TwoSites::start().await;
    let strict = street
        .toml("")
        .replace("[virtual_service.edge]", "[virtual_service.edge]\nstrict_sni = true");
    street.site.configure(&strict);
    street.proxy.reload().await;
    for client in [street.client("nobody.test").tls12(), street.client("nobody.test").tls13()] {
        let refused = client.handshake().await.map(|s| s.facts).unwrap_err();
        assert_eq!(refused.alert, Some(AlertDescription::UnrecognisedName), "{refused:?}");
    }
    let shop = street.client("shop.test").visit().await.unwrap();
    assert_eq!(shop.body, "hello from shop", "known names are served");
    let refusals = [("virtual_service", "edge"), ("reason", "unrecognized_name")];
    street.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &refusals, 2.0).await;
}

/// VS-4, OBS-1
#[tokio::test]
async fn a_thousand_random_names_create_no_series() {
    let street = TwoSites::start().await;
    let visit = |name: String| {
        let groups = [rustls::NamedGroup::X25519];
        let client = street.client(&name).tls13().groups(&groups);
        async move { client.visit().await }
    };
    visit("first.unknown.test".to_owned()).await.unwrap();
    let edge = [("virtual_service", "edge")];
    street.proxy.metric_becomes("portcullis_http_requests_total", &edge, 1.0).await;
    let series = async || {
        let samples = street.proxy.samples().await;
        samples.iter().map(|sample| sample.series()).collect::<std::collections::BTreeSet<_>>()
    };
    let before = series().await;
    let mut visits = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        visits.spawn(visit(format!("n{number}.unknown.test")));
        if visits.len() >= 32 {
            visits.join_next().await.expect("one").unwrap().unwrap();
        }
    }
    while let Some(visited) = visits.join_next().await {
        visited.unwrap().unwrap();
    }
    let unknown = [("virtual_service", "edge"), ("sni", "unknown")];
    street.proxy.metric_becomes("portcullis_tls_sni_unmatched_total", &unknown, 1_001.0).await;
    let after = series().await;
    let fresh: Vec<_> = after.difference(&before).collect();
    assert!(fresh.is_empty(), "new series: {fresh:#?}");
}

/// VS-5
#[tokio::test]
async fn the_child_profile_governs_where_the_parent_is_narrower() {
    let (proxy, _site) = narrow_parent_and_children().await;
    let wide = proxy.client("wide.test").tls12().handshake().await.unwrap();
    assert_eq!(wide.facts.version, "1.2", "a 1.2-only client is served by the child");
    let parent = proxy.client("nobody.test").tls12().handshake().await.map(|s| s.facts);
    let refused = parent.unwrap_err();
    assert_eq!(refused.alert, Some(AlertDescription::ProtocolVersion), "{refused:?}");
}

/// VS-5
#[tokio::test]
async fn the_child_profile_governs_where_the_child_is_narrower() {
    let (proxy, _site) = narrow_parent_and_children().await;
    let old = proxy.client("old.test").handshake().await.unwrap();
    assert_eq!(old.facts.version, "1.2", "a 1.3-capable client gets what the child has");
    let modern = proxy.client("old.test").tls13().handshake().await.map(|s| s.facts);
    let refused = modern.unwrap_err();
    assert_eq!(refused.alert, Some(AlertDescription::ProtocolVersion), "{refused:?}");
}

/// VS-1
#[tokio::test]
async fn only_parents_hold_listening_addresses() {
    // The descriptors of a process that is not dumpable are root's to see.
    if !as_root() {
        return;
    }
    let site = Site::new();
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("edge.test")));
    let proxy = Proxy::start(
        &site,
        r#"
        [virtual_service.edge]
        listen = ["127.0.0.1:0"]
        certificates = ["c"]
        [virtual_service.side]
        listen = ["127.0.0.1:0"]
        certificates = ["c"]
        [virtual_service.one]
        parent = "edge"
        domains = ["one.test"]
        certificates = ["c"]
        no_pool = { status = 200, body = "x" }
        [virtual_service.two]
        parent = "side"
        domains = ["two.test"]
        certificates = ["c"]
        no_pool = { status = 200, body = "x" }
        "#,
    )
    .await;
    let mut ports = listening_ports(proxy.pid());
    ports.retain(|port| *port != proxy.admin().port());
    let mut parents = vec![proxy.address("edge").port(), proxy.address("side").port()];
    parents.sort_unstable();
    assert_eq!(ports, parents, "one address for each parent, none for children");
}

async fn narrow_parent_and_children() -> (Proxy, Site) {
    let site = Site::new();
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("edge.test")));
    let proxy = Proxy::start(
        &site,
        r#"
        [virtual_service.edge]
        listen = ["127.0.0.1:0"]
        certificates = ["c"]
        tls_profile = "modern"
        [virtual_service.wide]
        parent = "edge"
        domains = ["wide.test"]
        certificates = ["c"]
        tls_profile = "intermediate"
        no_pool = { status = 200, body = "wide" }
        [virtual_service.old]
        parent = "edge"
        domains = ["old.test"]
        certificates = ["c"]
        tls_profile = "old"
        no_pool = { status = 200, body = "old" }
        [tls_profile.old]
        versions = ["1.2"]
        "#,
    )
    .await;
    (proxy, site)
}

/// The distinct TCP ports on which a process listens, in order.
fn listening_ports(pid: i32) -> Vec<u16> {
    let mut own = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let target = std::fs::read_link(entry.unwrap().path()).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        if let Some(inode) = target.strip_prefix("socket:[").and_then(|t| t.strip_suffix(']')) {
            own.push(inode.to_owned());
        }
    }
    let mut ports = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // Field 3 is the state (0A: listening), field 9 the inode.
            if fields[3] == "0A" && own.iter().any(|inode| inode == fields[9]) {
                let port = fields[1].rsplit(':').next().unwrap();
                ports.push(u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}
