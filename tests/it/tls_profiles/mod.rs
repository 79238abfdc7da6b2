//! What a TLS profile sets: versions, suites, groups, ALPN.

mod client_certificates;
mod sessions;
mod tickets;

use rustls::AlertDescription;
use rustls::CipherSuite;
use rustls::NamedGroup;

use crate::kit::Ca;
use crate::kit::Client;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::portcullis;

/// TLS-1
#[tokio::test]
async fn all_four_groups_are_spoken_by_default_the_post_quantum_one_first() {
    let one = OneService::with("").await;
    let default = one.client().handshake().await.unwrap();
    assert_eq!(default.facts.group, Some(NamedGroup::X25519MLKEM768));
    for group in [NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1] {
        let session = one.client().tls13().groups(&[group]).handshake().await.unwrap();
        assert_eq!(session.facts.group, Some(group));
    }
    // In TLS 1.2 the client must name the curve of the certificate too.
    let groups = [NamedGroup::X25519, NamedGroup::secp256r1];
    let session = one.client().tls12().groups(&groups).handshake().await.unwrap();
    assert!(session.facts.group.is_some_and(|group| groups.contains(&group)));
}

/// TLS-1
#[tokio::test]
async fn a_group_without_a_key_share_costs_a_retry_and_is_served() {
    let one = OneService::with(r#"groups = ["P-384"]"#).await;
    let groups = [NamedGroup::X25519, NamedGroup::secp384r1];
    let session = one.client().tls13().groups(&groups).handshake().await.unwrap();
    assert_eq!(session.facts.group, Some(NamedGroup::secp384r1));
    let refused = one.client().tls13().groups(&[NamedGroup::X25519]).handshake().await;
    let refused = refused.map(|s| s.facts).unwrap_err();
    assert_eq!(refused.alert, Some(AlertDescription::HandshakeFailure), "{refused:?}");
    let labels = [("virtual_service", "edge"), ("reason", "no_shared_group")];
    one.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, 1.0).await;
}

/// TLS-1
#[tokio::test]
async fn only_the_suites_of_the_profile_are_negotiated() {
    let suites =
        r#"cipher_suites = ["TLS_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]"#;
    let one = OneService::with(suites).await;
    let tls13 = one.client().tls13().handshake().await.unwrap();
    assert_eq!(tls13.facts.suite, CipherSuite::TLS13_AES_256_GCM_SHA384);
    let tls12 = one.client().tls12().handshake().await.unwrap();
    assert_eq!(tls12.facts.suite, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384);
    for other in [
        one.client().tls13().suites(&[CipherSuite::TLS13_AES_128_GCM_SHA256]),
        one.client().tls12().suites(&[CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]),
    ] {
        let refused = other.handshake().await.map(|s| s.facts).unwrap_err();
        assert_eq!(refused.alert, Some(AlertDescription::HandshakeFailure), "{refused:?}");
    }
    let labels = [("virtual_service", "edge"), ("reason", "no_shared_cipher")];
    one.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, 2.0).await;
}

/// TLS-1
#[tokio::test]
async fn versions_outside_the_profile_are_refused_with_an_alert() {
    for (versions, client) in [
        (r#"versions = ["1.3"]"#, Client::tls12 as fn(Client) -> Client),
        (r#"versions = ["1.2"]"#, Client::tls13),
    ] {
        let one = OneService::with(versions).await;
        let refused = client(one.client()).handshake().await.map(|s| s.facts).unwrap_err();
        assert_eq!(refused.alert, Some(AlertDescription::ProtocolVersion), "{refused:?}");
        let labels = [("virtual_service", "edge"), ("reason", "no_shared_version")];
        one.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, 1.0).await;
    }
}

/// TLS-1
#[tokio::test]
async fn alpn_follows_the_preference_of_the_profile() {
    let one = OneService::with("").await;
    let session = one.client().alpn(&["http/1.1", "h2"]).handshake().await.unwrap();
    assert_eq!(session.facts.alpn.as_deref(), Some("h2"));
    let session = one.client().alpn(&["http/1.1"]).handshake().await.unwrap();
    assert_eq!(session.facts.alpn.as_deref(), Some("http/1.1"));
    let visit = one.client().alpn(&[]).visit().await.unwrap();
    assert_eq!((visit.facts.alpn, &*visit.body), (None, "one"), "HTTP/1.1 where nobody asks");
}

/// TLS-1
#[tokio::test]
async fn a_client_that_shares_no_protocol_is_refused_with_an_alert() {
    let one = OneService::with(r#"alpn = ["h2"]"#).await;
    let refused = one.client().alpn(&["http/1.1"]).handshake().await.map(|s| s.facts).unwrap_err();
    assert_eq!(refused.alert, Some(AlertDescription::NoApplicationProtocol), "{refused:?}");
    let labels = [("virtual_service", "edge"), ("reason", "no_shared_alpn")];
    one.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, 1.0).await;
}

/// TLS-1
#[tokio::test]
async fn the_modern_profile_speaks_tls13_alone() {
    let site = Site::new();
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test")));
    let toml = "[virtual_service.edge]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [\"c\"]\n\
                tls_profile = \"modern\"\nno_pool = { status = 200, body = \"one\" }\n";
    let proxy = Proxy::start(&site, toml).await;
    let session = proxy.client("one.test").handshake().await.unwrap();
    assert_eq!(session.facts.version, "1.3");
    assert!(proxy.client("one.test").tls12().handshake().await.is_err());
}

/// TLS-1
#[tokio::test]
async fn values_that_the_library_cannot_do_are_errors_that_say_why() {
    for (key, why) in [
        (r#"versions = ["1.1"]"#, "1.1"),
        (r#"versions = ["SSLv3"]"#, "SSLv3"),
        (r#"cipher_suites = ["TLS_RSA_WITH_AES_128_CBC_SHA"]"#, "TLS_RSA_WITH_AES_128_CBC_SHA"),
        (r#"cipher_suites = ["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"]"#, "CBC"),
        (r#"groups = ["X448"]"#, "X448"),
    ] {
        let site = Site::new();
        site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test")));
        site.configure(&one_service(key));
        let config = site.config();
        let checked = portcullis(&site, &["check".as_ref(), config.as_os_str()]).await;
        assert_eq!(checked.code, 78, "{key}: {}", checked.text());
        let place = format!("portcullis.toml:{}:", site.line_of(key));
        assert!(checked.text().contains(&place), "{key}: {}", checked.text());
        assert!(checked.text().contains(why), "{key}: {}", checked.text());
    }
}

/// A parent with one P-256 certificate and a profile of its own.
struct OneService {
    proxy: Proxy,
    _site: Site,
}

impl OneService {
    async fn with(keys: &str) -> Self {
        let site = Site::new();
        site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test")));
        let proxy = Proxy::start(&site, &one_service(keys)).await;
        Self { proxy, _site: site }
    }

    fn client(&self) -> Client {
        self.proxy.client("one.test")
    }
}

fn one_service(keys: &str) -> String {
    format!(
        r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["c"]
tls_profile = "own"
no_pool = {{ status = 200, body = "one" }}

[tls_profile.own]
{keys}
"#
    )
}
