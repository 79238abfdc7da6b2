//! Certificates for tests: made once, as making RSA keys takes a while.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use tempfile::TempDir;
use time::Duration;
use time::OffsetDateTime;

use crate::certificate::Certificate;
use crate::certificate::Material;
use crate::config::certificate::Certificate as Config;
use crate::config::certificate::KeySource;
use crate::config::process::WorldReadableKeys;
use crate::hsm::Groups;

/// A CA with an intermediate, and keys of each kind.
pub struct Testing {
    /// The self-signed root.
    pub root: CertifiedIssuer<'static, KeyPair>,
    /// Issues all leaves.
    pub intermediate: CertifiedIssuer<'static, KeyPair>,
    p256: KeyPair,
    p384: KeyPair,
    rsa: KeyPair,
    ed25519: KeyPair,
}

/// The kinds of keys.
#[expect(missing_docs, reason = "the names are those of the standards")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    P256,
    P384,
    Rsa,
    Ed25519,
}

/// The one set of keys of the test process.
pub fn testing() -> &'static Testing {
    static TESTING: OnceLock<Testing> = OnceLock::new();
    TESTING.get_or_init(|| {
        let root =
            CertifiedIssuer::self_signed(ca("Test Root"), KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let intermediate = CertifiedIssuer::signed_by(ca("Test Intermediate"), key, &root).unwrap();
        let generate = |algorithm| KeyPair::generate_for(algorithm).unwrap();
        Testing {
            root,
            intermediate,
            p256: generate(&rcgen::PKCS_ECDSA_P256_SHA256),
            p384: generate(&rcgen::PKCS_ECDSA_P384_SHA384),
            rsa: generate(&rcgen::PKCS_RSA_SHA256),
            ed25519: generate(&rcgen::PKCS_ED25519),
        }
    })
}

impl Testing {
    /// The key of a kind.
    pub fn key(&self, kind: Kind) -> &KeyPair {
        match kind {
            Kind::P256 => &self.p256,
            Kind::P384 => &self.p384,
            Kind::Rsa => &self.rsa,
            Kind::Ed25519 => &self.ed25519,
        }
    }

    /// A leaf for `*.example.com`, valid for these days around now, as PEM.
    pub fn leaf(&self, kind: Kind, from_days: i64, to_days: i64) -> String {
        let mut params =
            CertificateParams::new(["example.com".into(), "*.example.com".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "example.com");
        params.not_before = OffsetDateTime::now_utc() + Duration::days(from_days);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(to_days);
        params.signed_by(self.key(kind), &self.intermediate).unwrap().pem()
    }

    /// Files of a certificate in date.
    pub fn files(&self, kind: Kind) -> Files {
        self.files_valid(kind, -1, 30)
    }

    /// Files of a certificate valid for these days around now.
    pub fn files_valid(&self, kind: Kind, from_days: i64, to_days: i64) -> Files {
        Files::new(
            &(self.leaf(kind, from_days, to_days) + &self.intermediate.pem()),
            &self.key(kind).serialize_pem(),
        )
    }

    /// A loaded slot.
    pub fn slot(&self, kind: Kind, from_days: i64, to_days: i64) -> Arc<Certificate> {
        let files = self.files_valid(kind, from_days, to_days);
        let name = format!("{kind:?}").parse().unwrap();
        Arc::new(Certificate::new(name, Material::load(&files.config(), &Groups::new())))
    }
}

/// Chain and key in a directory of their own.
pub struct Files {
    directory: TempDir,
}

impl Files {
    /// Writes both.
    pub fn new(chain: &str, key: &str) -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(files.chain(), chain).unwrap();
        std::fs::write(files.key(), key).unwrap();
        std::fs::set_permissions(files.key(), Permissions::from_mode(0o600)).unwrap();
        files
    }

    /// The chain file.
    pub fn chain(&self) -> PathBuf {
        self.path().join("chain.pem")
    }

    /// The key file.
    pub fn key(&self) -> PathBuf {
        self.path().join("key.pem")
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The configuration that names them.
    pub fn config(&self) -> Config {
        Config {
            name: "test".parse().unwrap(),
            chain: self.chain(),
            key: KeySource::File { path: self.key(), passphrase: None },
            world_readable: WorldReadableKeys::Refuse,
        }
    }
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
