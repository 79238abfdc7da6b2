//! Certificates: a CA with or without intermediates, leaves of every key type, revocation lists.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertificateRevocationListParams;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::RevokedCertParams;
use rcgen::RsaKeySize;
use rcgen::SerialNumber;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use time::Duration;
use time::OffsetDateTime;

/// A certificate authority: a root, or an intermediate below one.
pub(crate) struct Ca {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
    /// PEM of what a server sends after a leaf of this authority.
    intermediates: String,
}

impl Ca {
    /// The root that most tests use; made once.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Ca> = OnceLock::new();
        SHARED.get_or_init(|| Self::root("Portcullis Test Root"))
    }

    /// A root of its own.
    pub(crate) fn root(name: &str) -> Self {
        let key = KeyPair::generate().expect("a P-256 key");
        let params = ca_params(name);
        let certificate = params.self_signed(&key).expect("a root");
        Self { certificate, issuer: Issuer::new(params, key), intermediates: String::new() }
    }

    /// An authority that this one signed; its leaves come with it in their chain.
    pub(crate) fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().expect("a P-256 key");
        let params = ca_params(name);
        let certificate = params.signed_by(&key, &self.issuer).expect("an intermediate");
        let intermediates = format!("{}{}", certificate.pem(), self.intermediates);
        Self { certificate, issuer: Issuer::new(params, key), intermediates }
    }

    /// The authority's own certificate.
    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The authority's own certificate, as clients load it.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// Signs a leaf with a fresh key (RSA keys are made once for the whole run: they are slow).
    pub(crate) fn issue(&self, leaf: &Leaf) -> Issued {
        let key = leaf.key.generate();
        let serial = next_serial();
        let mut params = CertificateParams::new(leaf.names.clone()).expect("valid names");
        params.distinguished_name.push(DnType::CommonName, leaf.names[0].clone());
        params.serial_number = Some(SerialNumber::from(serial));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let now = OffsetDateTime::now_utc();
        (params.not_before, params.not_after) = if leaf.expired {
            (now - Duration::days(90), now - Duration::days(1))
        } else {
            (now - Duration::days(1), now + Duration::days(90))
        };
        let certificate = params.signed_by(&key, &self.issuer).expect("a leaf");
        Issued {
            chain: format!("{}{}", certificate.pem(), self.intermediates),
            certificate: certificate.der().clone(),
            key: key.serialize_pem(),
            serial,
        }
    }

    /// A revocation list with these certificates on it, as PEM.
    pub(crate) fn revoke(&self, revoked: &[&Issued]) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked_certs = revoked
            .iter()
            .map(|issued| RevokedCertParams {
                serial_number: SerialNumber::from(issued.serial),
                revocation_time: now - Duration::hours(1),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        let list = CertificateRevocationListParams {
            this_update: now - Duration::hours(1),
            next_update: now + Duration::days(30),
            crl_number: SerialNumber::from(next_serial()),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).and_then(|list| list.pem()).expect("a revocation list")
    }
}

/// What is asked of a CA.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    names: Vec<String>,
    key: KeyKind,
    expired: bool,
}

impl Leaf {
    /// A P-256 certificate for a name (or an IP address).
    pub(crate) fn p256(name: &str) -> Self {
        Self { names: vec![name.to_owned()], key: KeyKind::P256, expired: false }
    }

    /// A P-384 certificate.
    pub(crate) fn p384(name: &str) -> Self {
        Self { key: KeyKind::P384, ..Self::p256(name) }
    }

    /// An Ed25519 certificate.
    pub(crate) fn ed25519(name: &str) -> Self {
        Self { key: KeyKind::Ed25519, ..Self::p256(name) }
    }

    /// An RSA-2048 certificate.
    pub(crate) fn rsa(name: &str) -> Self {
        Self { key: KeyKind::Rsa2048, ..Self::p256(name) }
    }

    /// Another name beside the first.
    pub(crate) fn and(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    /// Valid until yesterday.
    pub(crate) fn expired(mut self) -> Self {
        self.expired = true;
        self
    }
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// PEM: the leaf and the intermediates of its authority.
    pub(crate) chain: String,
    /// The leaf alone.
    pub(crate) certificate: CertificateDer<'static>,
    /// PEM, PKCS#8.
    pub(crate) key: String,
    serial: u64,
}

impl Issued {
    /// Leaf and intermediates, as TLS libraries want them.
    pub(crate) fn chain_der(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.chain.as_bytes())
            .map(|certificate| certificate.expect("PEM of our own"))
            .collect()
    }

    /// The private key, as TLS libraries want it.
    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("PEM of our own")
    }
}

#[derive(Clone, Copy, Debug)]
enum KeyKind {
    P256,
    P384,
    Ed25519,
    Rsa2048,
}

impl KeyKind {
    fn generate(self) -> KeyPair {
        match self {
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Ed25519 => {
                // Version 1 of PKCS#8: OpenSSL 3.0, and so SoftHSM, knows no other for this type.
                let key = Ed25519KeyPair::generate().and_then(|key| key.to_pkcs8v1());
                let der = PrivatePkcs8KeyDer::from(key.expect("an Ed25519 key").as_ref().to_vec());
                KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519)
            }
            Self::Rsa2048 => {
                static PEM: OnceLock<String> = OnceLock::new();
                let pem = PEM.get_or_init(|| {
                    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)
                        .expect("an RSA key")
                        .serialize_pem()
                });
                KeyPair::from_pkcs8_pem_and_sign_algo(pem, &rcgen::PKCS_RSA_SHA256)
            }
        }
        .expect("a key")
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(next_serial()));
    params.use_authority_key_identifier_extension = true;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
