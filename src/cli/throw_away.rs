//! Throw-away certificates for `demo` and `serve`: a CA, leaves of both key types, PEM files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::PKCS_ECDSA_P256_SHA256;
use rcgen::PKCS_RSA_SHA256;
use rcgen::SignatureAlgorithm;
use time::Duration;
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// A certificate authority that lives as long as the command.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// The key type of a leaf.
#[derive(Clone, Copy, Debug)]
pub enum Leaf {
    /// ECDSA on P-256.
    Ec,
    /// RSA with 2048 bits.
    Rsa,
}

impl Ca {
    /// Makes a CA with this common name.
    pub fn new(common_name: &str) -> anyhow::Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = lasting(CertificateParams::default());
        parameters.distinguished_name.push(DnType::CommonName, common_name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&key)?;
        Ok(Self { pem: certificate.pem(), issuer: Issuer::new(parameters, key) })
    }

    /// The CA's own certificate, for clients to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a leaf and writes `NAME.pem` and `NAME.key` into the directory.
    pub fn issue(
        &self,
        directory: &Path,
        name: &str,
        leaf: Leaf,
        domains: &[&str],
    ) -> anyhow::Result<()> {
        let key = KeyPair::generate_for(leaf.algorithm())?;
        let certificate = leaf_parameters(domains)?.signed_by(&key, &self.issuer)?;
        write(&directory.join(format!("{name}.pem")), &certificate.pem(), PUBLIC)?;
        write(&directory.join(format!("{name}.key")), &Zeroizing::new(key.serialize_pem()), PRIVATE)
    }
}

impl Leaf {
    fn algorithm(self) -> &'static SignatureAlgorithm {
        match self {
            Self::Ec => &PKCS_ECDSA_P256_SHA256,
            Self::Rsa => &PKCS_RSA_SHA256,
        }
    }
}

/// Writes a self-signed certificate for one name as `NAME.pem` and `NAME.key`.
pub fn self_signed(directory: &Path, name: &str, domain: &str) -> anyhow::Result<()> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = leaf_parameters(&[domain])?.self_signed(&key)?;
    write(&directory.join(format!("{name}.pem")), &certificate.pem(), PUBLIC)?;
    write(&directory.join(format!("{name}.key")), &Zeroizing::new(key.serialize_pem()), PRIVATE)
}

/// Writes a file that nobody else may have opened before its mode was right.
pub fn write(path: &Path, content: &str, mode: u32) -> anyhow::Result<()> {
    let said = || format!("cannot write {}", path.display());
    if path.exists() {
        fs::remove_file(path).with_context(said)?;
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path).with_context(said)?;
    file.write_all(content.as_bytes()).with_context(said)
}

/// Mode of what everybody may read.
pub const PUBLIC: u32 = 0o644;

/// Mode of a key.
pub const PRIVATE: u32 = 0o600;

fn leaf_parameters(domains: &[&str]) -> anyhow::Result<CertificateParams> {
    let names: Vec<String> = domains.iter().map(|&domain| domain.to_owned()).collect();
    let mut parameters = lasting(CertificateParams::new(names)?);
    if let Some(first) = domains.first() {
        parameters.distinguished_name.push(DnType::CommonName, *first);
    }
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(parameters)
}

/// From an hour ago, for clocks that are late, to a month ahead.
fn lasting(mut parameters: CertificateParams) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    parameters.not_before = now - Duration::hours(1);
    parameters.not_after = now + Duration::days(30);
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
}
