//! Session tickets: resumed where they were issued, by every instance with the secret, nowhere else.

use crate::kit::Ca;
use crate::kit::Client;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::TwoSites;
use crate::kit::Visit;

/// TLS-3
#[tokio::test]
async fn a_session_is_resumed_by_the_service_that_issued_the_ticket() {
    let street = TwoSites::start().await;
    for version in VERSIONS {
        let client = version(street.client("shop.test")).resuming();
        assert!(!visit(&client).await.facts.resumed);
        let second = visit(&client).await;
        assert!(second.facts.resumed, "{}", second.facts.version);
        assert_eq!(second.body, "hello from shop");
    }
    let resumed = [("virtual_service", "shop"), ("resumed", "true")];
    street.proxy.metric_becomes("portcullis_tls_handshakes_total", &resumed, 2.0).await;
}

/// TLS-2
#[tokio::test]
async fn a_ticket_of_one_service_is_never_accepted_by_another() {
    let street = TwoSites::start().await;
    for version in VERSIONS {
        for other in ["blog.test", "nobody.test"] {
            let client = version(street.client("shop.test")).resuming();
            visit(&client).await;
            assert!(client.tickets().any());
            let elsewhere = visit(&client.clone().name(other)).await;
            assert!(!elsewhere.facts.resumed, "{} on {other}", elsewhere.facts.version);
            assert_eq!(elsewhere.status, 200, "a full handshake, and no error");
        }
    }
}

/// TLS-2
#[tokio::test]
async fn a_ticket_is_not_accepted_after_the_client_certificate_policy_changed() {
    for version in VERSIONS {
        let street = TwoSites::start().await;
        street.site.write("clients.pem", Ca::shared().pem());
        let client = version(street.client("blog.test")).resuming();
        visit(&client).await;
        assert!(client.tickets().any());
        let asking = "tls_profile = \"asking\"\n[tls_profile.asking]\n\
                      client_certificate = { mode = \"request\", ca = \"clients.pem\" }";
        street.site.configure(&street.toml(asking));
        street.proxy.reload().await;
        let after = visit(&client).await;
        assert!(!after.facts.resumed, "{}", after.facts.version);
        assert_eq!(after.body, "hello from blog", "a full handshake, and no error");
    }
}

/// TLS-2, RL-2
#[tokio::test]
async fn tickets_of_an_unchanged_service_survive_a_reload() {
    let street = TwoSites::start().await;
    for version in VERSIONS {
        let client = version(street.client("shop.test")).resuming();
        visit(&client).await;
        street.site.configure(&street.toml("host_check = \"off\""));
        street.proxy.reload().await;
        assert!(visit(&client).await.facts.resumed);
        street.site.configure(&street.toml(""));
        street.proxy.reload().await;
    }
}

/// TLS-3
#[tokio::test]
async fn two_instances_with_one_secret_resume_each_other() {
    let secret = "0123456789abcdef0123456789abcdef0123456789abcdef";
    let one = Instance::with(secret).await;
    let other = Instance::with(secret).await;
    let stranger = Instance::with("fedcba9876543210fedcba9876543210fedcba9876543210").await;
    for version in VERSIONS {
        let client = version(one.proxy.client("one.test")).resuming();
        visit(&client).await;
        let there = visit(&client.clone().instead_to(other.proxy.address("edge"))).await;
        assert!(there.facts.resumed, "{} elsewhere", there.facts.version);
        let back = visit(&client.clone().instead_to(one.proxy.address("edge"))).await;
        assert!(back.facts.resumed, "{} and back", back.facts.version);
        let nowhere = visit(&client.clone().instead_to(stranger.proxy.address("edge"))).await;
        assert!(!nowhere.facts.resumed, "another secret: a full handshake, and no error");
    }
}

/// TLS-3: the secret of the state directory survives a restart.
#[tokio::test]
async fn a_session_is_resumed_after_a_restart() {
    let site = Site::new();
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test")));
    let toml = one_service("");
    let first = Proxy::start(&site, &toml).await;
    let client = first.client("one.test").resuming();
    visit(&client).await;
    drop(first);
    let second = Proxy::start(&site, &toml).await;
    let after = visit(&client.clone().instead_to(second.address("edge"))).await;
    assert!(after.facts.resumed);
}

/// TLS-1
#[tokio::test]
async fn a_tls13_handshake_gets_one_ticket() {
    let street = TwoSites::start().await;
    let client = street.client("shop.test").tls13().resuming();
    visit(&client).await;
    assert_eq!(client.tickets().received(), 1);
}

/// TLS-1
#[tokio::test]
async fn a_profile_sets_the_number_of_tickets() {
    let street = TwoSites::with("tls_profile = \"own\"\n[tls_profile.own]\ntickets = 3").await;
    let client = street.client("blog.test").tls13().resuming();
    visit(&client).await;
    assert_eq!(client.tickets().received(), 3);
}

/// TLS-1
#[tokio::test]
async fn no_tickets_no_resumption() {
    let street = TwoSites::with("tls_profile = \"own\"\n[tls_profile.own]\ntickets = 0").await;
    for version in VERSIONS {
        let client = version(street.client("blog.test")).resuming();
        visit(&client).await;
        assert!(!visit(&client).await.facts.resumed);
        assert_eq!(client.tickets().received(), 0);
    }
}

const VERSIONS: [fn(Client) -> Client; 2] = [Client::tls12, Client::tls13];

async fn visit(client: &Client) -> Visit {
    client.visit().await.expect("to be served")
}

/// One of several machines of a site: same configuration, same secret (or not), own directory.
struct Instance {
    proxy: Proxy,
    _site: Site,
}

impl Instance {
    async fn with(secret: &str) -> Self {
        let site = Site::new();
        site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test")));
        site.write("secret", secret);
        let tickets = "[tickets]\nsecret = { file = \"secret\" }\n";
        let proxy = Proxy::start(&site, &one_service(tickets)).await;
        Self { proxy, _site: site }
    }
}

fn one_service(more: &str) -> String {
    format!(
        "[virtual_service.edge]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [\"c\"]\n\
         no_pool = {{ status = 200, body = \"one\" }}\n{more}"
    )
}
