//! Client certificates: asked for, demanded, revoked.

use std::sync::Arc;

use rcgen::CertificateParams;
use rcgen::CertificateRevocationListParams;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::KeyIdMethod;
use rcgen::RevokedCertParams;
use rcgen::SerialNumber;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tempfile::TempDir;
use time::Duration;
use time::OffsetDateTime;

use crate::certificate::testing::Kind;
use crate::certificate::testing::testing;
use crate::config::tls_profile::ClientCertificate;
use crate::config::tls_profile::TlsProfile;
use crate::config::tls_profile::TlsVersion;
use crate::tls::acceptor::Acceptor;
use crate::tls::profile::Profile;
use crate::tls::reason::Reason;
use crate::tls::testing::Client;
use crate::tls::testing::acceptor;
use crate::tls::testing::profile;
use crate::tls::testing::run;
use crate::tls::testing::shake;

/// A site that trusts the test intermediate's clients.
struct Site {
    directory: TempDir,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), testing().intermediate.pem()).unwrap();
        Self { directory }
    }

    fn revoking(serials: &[u64]) -> Self {
        let site = Self::new();
        let now = OffsetDateTime::now_utc();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now - Duration::days(1),
            reason_code: None,
            invalidity_date: None,
        };
        let crl = CertificateRevocationListParams {
            this_update: now - Duration::days(1),
            next_update: now + Duration::days(1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = crl.signed_by(&testing().intermediate).unwrap();
        std::fs::write(site.directory.path().join("crl.pem"), crl.pem().unwrap()).unwrap();
        site
    }

    fn acceptor(&self, require: bool) -> Acceptor {
        let ca = self.directory.path().join("ca.pem");
        let crl = Some(self.directory.path().join("crl.pem")).filter(|crl| crl.exists());
        let client_certificate = match require {
            true => ClientCertificate::Require { ca, crl },
            false => ClientCertificate::Request { ca, crl },
        };
        acceptor(&TlsProfile { client_certificate, ..profile() }, &[Kind::P256])
    }
}

/// A client with a certificate of this serial number, or without one.
fn client(version: TlsVersion, serial: Option<u64>, to_days: i64) -> Arc<ClientConfig> {
    let mut config = Client { versions: vec![version], ..Client::default() }.config().unwrap();
    let Some(serial) = serial else { return Arc::new(config) };
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "a client");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = OffsetDateTime::now_utc() - Duration::days(10);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(to_days);
    let key = testing().key(Kind::P384);
    let certificate = params.signed_by(key, &testing().intermediate).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let key = aws_lc_rs::sign::any_ecdsa_type(&key.into()).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![certificate.der().clone()], key);
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
    Arc::new(config)
}

#[test]
fn a_client_certificate_is_a_fact_of_the_connection() {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let seen = run(shake(&Site::new().acceptor(true), client(version, Some(1), 1)));
        let facts = seen.server.unwrap();
        assert_eq!(&*facts.client_certificate.unwrap().subject, "CN=a client");
        let seen = run(shake(&Site::new().acceptor(false), client(version, None, 1)));
        assert_eq!(seen.server.unwrap().client_certificate, None);
    }
}

#[test]
fn a_resumed_session_still_has_its_client_certificate() {
    let acceptor = Site::new().acceptor(true);
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let client = client(version, Some(1), 1);
        let first = run(shake(&acceptor, Arc::clone(&client))).server.unwrap();
        let second = run(shake(&acceptor, client)).server.unwrap();
        assert!(second.resumed && !first.resumed, "{version:?}");
        assert_eq!(second.client_certificate, first.client_certificate);
    }
}

#[test]
fn each_way_to_be_no_welcome_client_has_its_reason() {
    let site = Site::revoking(&[2]);
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        for (serial, to_days, reason) in [
            (None, 1, Reason::ClientCertificateMissing),
            (Some(2), 1, Reason::ClientCertificateRevoked),
            (Some(3), -1, Reason::ClientCertificateExpired),
        ] {
            let seen = run(shake(&site.acceptor(true), client(version, serial, to_days)));
            assert_eq!(seen.reason(), Some(reason), "{version:?}");
            assert!(seen.alert().is_some(), "{version:?} {reason:?}: the client is told");
        }
        let seen = run(shake(&site.acceptor(true), client(version, Some(1), 1)));
        assert!(seen.server.is_ok());
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let site = Site::new();
    let ca = site.directory.path().join("ca.pem");
    let crl = site.directory.path().join("crl.pem");
    let compile = |crl: Option<&std::path::Path>| {
        let policy = ClientCertificate::Require { ca: ca.clone(), crl: crl.map(Into::into) };
        Profile::compile(&TlsProfile { client_certificate: policy, ..profile() })
    };
    let reason = |crl: Option<&std::path::Path>| compile(crl).map(|_| ()).unwrap_err().reason();
    let before = compile(None).unwrap();
    assert_eq!(before.files(), std::slice::from_ref(&ca));
    assert_eq!(reason(Some(&crl)), "file_missing");
    std::fs::write(&crl, testing().root.pem()).unwrap();
    assert_eq!(reason(Some(&crl)), "file_without_crl");
    std::fs::write(&crl, "-----BEGIN X509 CRL-----\nMAAB\n-----END X509 CRL-----\n").unwrap();
    assert_eq!(reason(Some(&crl)), "crl_bad");
    std::fs::write(&ca, testing().root.pem()).unwrap();
    let after = compile(None).unwrap();
    assert_ne!(before.digest(), after.digest());
    assert_ne!(before.client_auth_digest(), after.client_auth_digest());
    std::fs::write(&ca, testing().key(Kind::P256).serialize_pem()).unwrap();
    assert_eq!(reason(None), "file_without_certificate");
}
