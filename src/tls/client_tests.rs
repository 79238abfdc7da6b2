//! Pools' side of TLS against our own acceptor (SPEC VS-10).

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use tempfile::TempDir;

use crate::certificate::testing::Kind;
use crate::certificate::testing::testing;
use crate::config::pool::PoolProtocol;
use crate::config::pool::PoolTls;
use crate::config::tls_profile::Alpn;
use crate::config::tls_profile::ClientCertificate;
use crate::config::tls_profile::TlsProfile;
use crate::tls::client::ClientError;
use crate::tls::client::client_config;
use crate::tls::client::server_name;
use crate::tls::reason::Reason;
use crate::tls::testing::acceptor;
use crate::tls::testing::profile;
use crate::tls::testing::run;
use crate::tls::testing::shake;

fn ca(pem: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, pem).unwrap();
    (directory, path)
}

fn tls(ca: Option<PathBuf>, verify: bool) -> PoolTls {
    PoolTls { server_name: None, ca, certificate: None, verify }
}

fn config(tls: &PoolTls, protocol: PoolProtocol) -> Arc<ClientConfig> {
    client_config(tls, protocol, None).unwrap()
}

#[test]
fn an_endpoint_is_verified_unless_the_operator_says_otherwise() {
    let origin = acceptor(&profile(), &[Kind::P256]);
    let (_right, right) = ca(&testing().root.pem());
    let (_wrong, wrong) = ca(&testing().leaf(Kind::Rsa, -1, 1));
    for (ca, verify, accepted) in
        [(right, true, true), (wrong.clone(), true, false), (wrong, false, true)]
    {
        let seen = run(shake(&origin, config(&tls(Some(ca), verify), PoolProtocol::Auto)));
        assert_eq!(seen.client.is_ok(), accepted);
        if !accepted {
            assert_eq!(seen.reason(), Some(Reason::ClientRejectedCertificate));
        }
    }
}

#[test]
fn the_protocol_of_the_pool_is_offered() {
    let origin = acceptor(&profile(), &[Kind::P256]);
    for (protocol, alpn) in [
        (PoolProtocol::Auto, Alpn::Http2),
        (PoolProtocol::Http1, Alpn::Http1),
        (PoolProtocol::Http2, Alpn::Http2),
    ] {
        let seen = run(shake(&origin, config(&tls(None, false), protocol)));
        assert_eq!(seen.server.unwrap().alpn, alpn);
    }
}

#[test]
fn a_pool_shows_its_certificate_where_it_is_asked_for() {
    let (_directory, ca) = ca(&testing().root.pem());
    let policy = ClientCertificate::Require { ca: ca.clone(), crl: None };
    let origin = acceptor(&TlsProfile { client_certificate: policy, ..profile() }, &[Kind::P256]);
    let slot = testing().slot(Kind::P384, -1, 30);
    let tls = tls(Some(ca), true);
    let config = client_config(&tls, PoolProtocol::Auto, Some(Arc::clone(&slot))).unwrap();
    let facts = run(shake(&origin, config)).server.unwrap();
    let fingerprint = slot.material().unwrap().facts.fingerprint;
    assert_eq!(facts.client_certificate.unwrap().fingerprint, fingerprint);
}

#[test]
fn the_server_name_is_the_configured_one_or_the_host() {
    let mut tls = tls(None, true);
    assert_eq!(server_name(&tls, "app").unwrap().to_str(), "app");
    assert_eq!(server_name(&tls, "192.0.2.1").unwrap().to_str(), "192.0.2.1");
    tls.server_name = Some("origin.example.com".into());
    assert_eq!(server_name(&tls, "app").unwrap().to_str(), "origin.example.com");
    tls.server_name = Some("no name".into());
    assert!(matches!(server_name(&tls, "app"), Err(ClientError::ServerName(_))));
}
