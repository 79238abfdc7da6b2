//! Sites of a run: a name, a key and a certificate in files, and its replacement by a newer certificate.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::RsaKeySize;
use rustls::pki_types::CertificateDer;

/// What a proxy serves under one name.
#[derive(Clone, Debug)]
pub struct Site {
    /// For names of configuration entries.
    pub name: String,
    /// What a client asks for.
    pub domain: String,
    /// PEM: the certificate and its intermediate.
    pub chain: PathBuf,
    pub key: PathBuf,
    /// Whether proxies find the key in a token instead.
    pub key_in_token: bool,
    /// PEM: chain and key in one file.
    pub joined: PathBuf,
    /// The certificate that is in the files now.
    pub leaf: CertificateDer<'static>,
}

/// Kind of key of a site.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    P256,
    Rsa2048,
}

/// Issues the certificates of a run into one directory.
pub struct Authority {
    directory: PathBuf,
    intermediate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new root and intermediate; only the intermediate is kept, clients verify nothing.
    pub fn new(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let root_key = KeyPair::generate()?;
        let root = Issuer::new(authority_params("Load test root"), root_key);
        let key = KeyPair::generate()?;
        let params = authority_params("Load test intermediate");
        let intermediate = params.signed_by(&key, &root)?.pem();
        Ok(Self { directory: directory.to_owned(), intermediate, issuer: Issuer::new(params, key) })
    }

    /// Makes key and certificate of a site and writes its files.
    pub fn issue(&self, name: &str, kind: KeyKind) -> Result<Site> {
        let key = match kind {
            KeyKind::P256 => KeyPair::generate()?,
            KeyKind::Rsa2048 => {
                KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)?
            }
        };
        let path = |ending: &str| self.directory.join(format!("{name}{ending}"));
        let mut site = Site {
            name: name.to_owned(),
            domain: format!("{name}.example.test"),
            chain: path("-chain.pem"),
            key: path("-key.pem"),
            key_in_token: false,
            joined: path("-joined.pem"),
            leaf: CertificateDer::from(Vec::new()),
        };
        let key_pem = key.serialize_pem();
        replace(&site.key, &key_pem)?;
        self.write_certificate(&mut site, &key, &key_pem)?;
        Ok(site)
    }

    /// Replaces the certificate of a site by a newer one for the same key, by rename as certificate clients do.
    pub fn renew(&self, site: &mut Site) -> Result<()> {
        let key_pem = fs::read_to_string(&site.key)?;
        let key = KeyPair::from_pem(&key_pem)?;
        self.write_certificate(site, &key, &key_pem)
    }

    fn write_certificate(&self, site: &mut Site, key: &KeyPair, key_pem: &str) -> Result<()> {
        let mut params = CertificateParams::new(vec![site.domain.clone()])?;
        params.distinguished_name.push(DnType::CommonName, site.domain.clone());
        let certificate = params.signed_by(key, &self.issuer)?;
        let chain = format!("{}{}", certificate.pem(), self.intermediate);
        site.leaf = certificate.der().clone();
        replace(&site.joined, &format!("{chain}{key_pem}"))?;
        replace(&site.chain, &chain)
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn replace(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    let write = || {
        // It may hold a key.
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        drop(file);
        fs::rename(&new, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
