//! Client certificates: none, request, require; a CA and a revocation list; both TLS versions.

use rustls::AlertDescription;

use crate::kit::Ca;
use crate::kit::Client;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Refused;
use crate::kit::Site;
use crate::kit::Visit;
use crate::kit::proxy::log_line;

/// TLS-1
#[tokio::test]
async fn none_asks_for_nothing() {
    let club = Club::start().await;
    for version in VERSIONS {
        served(club.visit("none.test", None, version).await);
        served(club.visit("none.test", Some(&club.stranger), version).await);
    }
}

/// TLS-1
#[tokio::test]
async fn request_takes_members_and_those_without_a_card() {
    let club = Club::start().await;
    for version in VERSIONS {
        served(club.visit("request.test", None, version).await);
        served(club.visit("request.test", Some(&club.member), version).await);
    }
}

/// TLS-1
#[tokio::test]
async fn request_refuses_a_card_of_somebody_else() {
    let club = Club::start().await;
    for version in VERSIONS {
        let refused = club.visit("request.test", Some(&club.stranger), version).await.unwrap_err();
        let expected = [AlertDescription::UnknownCA, AlertDescription::BadCertificate];
        assert!(refused.alert.is_some_and(|alert| expected.contains(&alert)), "{refused:?}");
    }
    club.counts("client_certificate_invalid", 2.0).await;
}

/// TLS-1
#[tokio::test]
async fn require_takes_members_alone() {
    let club = Club::start().await;
    for version in VERSIONS {
        served(club.visit("require.test", Some(&club.member), version).await);
        let refused = club.visit("require.test", None, version).await.unwrap_err();
        let expected = [AlertDescription::CertificateRequired, AlertDescription::HandshakeFailure];
        assert!(refused.alert.is_some_and(|alert| expected.contains(&alert)), "{refused:?}");
    }
    club.counts("client_certificate_missing", 2.0).await;
}

/// TLS-1
#[tokio::test]
async fn require_refuses_revoked_members() {
    let club = Club::start().await;
    for version in VERSIONS {
        let refused = club.visit("require.test", Some(&club.revoked), version).await.unwrap_err();
        assert_eq!(refused.alert, Some(AlertDescription::CertificateRevoked), "{refused:?}");
    }
    club.counts("client_certificate_revoked", 2.0).await;
}

/// TLS-1
#[tokio::test]
async fn require_refuses_expired_members() {
    let club = Club::start().await;
    for version in VERSIONS {
        let refused = club.visit("require.test", Some(&club.expired), version).await.unwrap_err();
        assert_eq!(refused.alert, Some(AlertDescription::CertificateExpired), "{refused:?}");
    }
    club.counts("client_certificate_expired", 2.0).await;
}

/// TLS-1, VS-7
#[tokio::test]
async fn a_refused_client_certificate_is_logged_on_the_parent() {
    let club = Club::start().await;
    club.visit("require.test", Some(&club.revoked), Client::tls13).await.unwrap_err();
    let line = log_line(&club.site, "the refusal", |line| line["event"] == "tls").await;
    assert_eq!(line["error.type"], "client_certificate_revoked");
    assert_eq!(line["portcullis.virtual_service"], "edge");
    assert_eq!(line["tls.client.server_name"], "require.test");
}

/// TLS-1, RL-1: revocation lists are files that change.
#[tokio::test]
async fn a_new_revocation_list_holds_after_a_reload() {
    let club = Club::start().await;
    served(club.visit("require.test", Some(&club.member), Client::tls13).await);
    club.site.replace("members.crl", club.members.revoke(&[&club.member, &club.revoked]));
    club.proxy.reload().await;
    let refused = club.visit("require.test", Some(&club.member), Client::tls13).await.unwrap_err();
    assert_eq!(refused.alert, Some(AlertDescription::CertificateRevoked), "{refused:?}");
}

const VERSIONS: [fn(Client) -> Client; 2] = [Client::tls12, Client::tls13];

fn served(visit: Result<Visit, Refused>) {
    let visit = visit.expect("to be served");
    assert_eq!((visit.status, &*visit.body), (200, "welcome"));
}

/// Three children that differ in whom they let in.
struct Club {
    members: Ca,
    member: Issued,
    revoked: Issued,
    expired: Issued,
    stranger: Issued,
    proxy: Proxy,
    site: Site,
}

impl Club {
    async fn start() -> Self {
        let site = Site::new();
        let members = Ca::root("Members");
        let member = members.issue(&Leaf::p256("ada"));
        let revoked = members.issue(&Leaf::p256("mallory"));
        let expired = members.issue(&Leaf::p256("methusalem").expired());
        let stranger = Ca::root("Strangers").issue(&Leaf::p256("eve"));
        site.certificate("c", &Ca::shared().issue(&Leaf::p256("any.test")));
        site.write("members.pem", members.pem());
        site.write("members.crl", members.revoke(&[&revoked]));
        let mut toml = r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["c"]
[tls_profile.none]
client_certificate = { mode = "none" }
[tls_profile.request]
client_certificate = { mode = "request", ca = "members.pem" }
[tls_profile.require]
client_certificate = { mode = "require", ca = "members.pem", crl = "members.crl" }
"#
        .to_owned();
        for child in ["none", "request", "require"] {
            toml.push_str(&format!(
                "[virtual_service.{child}]\nparent = \"edge\"\ndomains = [\"{child}.test\"]\n\
                 certificates = [\"c\"]\ntls_profile = \"{child}\"\n\
                 no_pool = {{ status = 200, body = \"welcome\" }}\n"
            ));
        }
        let proxy = Proxy::start(&site, &toml).await;
        Self { members, member, revoked, expired, stranger, proxy, site }
    }

    async fn visit(
        &self,
        name: &str,
        identity: Option<&Issued>,
        version: fn(Client) -> Client,
    ) -> Result<Visit, Refused> {
        let client = version(self.proxy.client(name));
        match identity {
            Some(issued) => client.identity(issued).visit().await,
            None => client.visit().await,
        }
    }

    async fn counts(&self, reason: &str, times: f64) {
        let labels = [("virtual_service", "edge"), ("reason", reason)];
        let counter = "portcullis_tls_handshake_failures_total";
        self.proxy.metric_becomes(counter, &labels, times).await;
    }
}
