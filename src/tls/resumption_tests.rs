//! Sessions: resumed where they may be, and nowhere else.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::HandshakeKind;

use crate::certificate::testing::Kind;
use crate::certificate::testing::testing;
use crate::config::tls_profile::ClientCertificate;
use crate::config::tls_profile::TlsProfile;
use crate::config::tls_profile::TlsVersion;
use crate::tls::acceptor::Acceptor;
use crate::tls::testing::Client;
use crate::tls::testing::acceptor;
use crate::tls::testing::profile;
use crate::tls::testing::run;
use crate::tls::testing::service;
use crate::tls::testing::shake;

const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

fn client(version: TlsVersion) -> Arc<ClientConfig> {
    Arc::new(Client { versions: vec![version], ..Client::default() }.config().unwrap())
}

fn resumed(acceptor: &Acceptor, client: &Arc<ClientConfig>) -> bool {
    let seen = run(shake(acceptor, Arc::clone(client)));
    let facts = seen.server.unwrap();
    assert_eq!(seen.client.unwrap().kind == HandshakeKind::Resumed, facts.resumed);
    // A resumed session of TLS 1.2 exchanges no keys.
    assert_eq!(facts.group.is_empty(), facts.resumed && facts.version == "1.2");
    facts.resumed
}

/// TLS-2: a ticket of one virtual service means nothing to another; the handshake is a full one, without an error.
#[test]
fn a_session_belongs_to_one_virtual_service() {
    for version in VERSIONS {
        let client = client(version);
        let (shop, blog) = (
            service("shop", &profile(), &[Kind::P256]),
            service("blog", &profile(), &[Kind::P256]),
        );
        assert!(!resumed(&shop, &client));
        assert!(resumed(&shop, &client));
        assert!(!resumed(&blog, &client), "{version:?}");
        assert!(resumed(&blog, &client));
    }
}

/// TLS-2: nor does it survive a change of the policy for client certificates.
#[test]
fn a_session_ends_when_client_certificates_are_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, testing().root.pem()).unwrap();
    let asking = TlsProfile {
        client_certificate: ClientCertificate::Request { ca: ca.clone(), crl: None },
        ..profile()
    };
    for version in VERSIONS {
        let client = client(version);
        assert!(!resumed(&acceptor(&profile(), &[Kind::P256]), &client));
        assert!(!resumed(&acceptor(&asking, &[Kind::P256]), &client), "{version:?}");
        assert!(resumed(&acceptor(&asking, &[Kind::P256]), &client));
        std::fs::write(&ca, testing().root.pem() + &testing().intermediate.pem()).unwrap();
        assert!(!resumed(&acceptor(&asking, &[Kind::P256]), &client), "{version:?}");
        std::fs::write(&ca, testing().root.pem()).unwrap();
    }
}

/// TLS-3: another instance, or the same one after a restart, with the same secret.
#[test]
fn instances_with_one_secret_resume_each_others_sessions() {
    for version in VERSIONS {
        let client = client(version);
        assert!(!resumed(&acceptor(&profile(), &[Kind::P256]), &client));
        assert!(resumed(&acceptor(&profile(), &[Kind::P256, Kind::Rsa]), &client), "{version:?}");
    }
}

#[test]
fn a_profile_without_tickets_resumes_nothing() {
    let without = TlsProfile { tickets: 0, ..profile() };
    for version in VERSIONS {
        let client = client(version);
        let acceptor = acceptor(&without, &[Kind::P256]);
        assert!(!resumed(&acceptor, &client));
        assert!(!resumed(&acceptor, &client), "{version:?}");
    }
}
