//! Chain and key of one certificate, loaded, checked, and never changed.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::sign::SigningKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;

use crate::certificate::chain;
use crate::certificate::error::Fingerprint;
use crate::certificate::error::MaterialError;
use crate::certificate::facts::Facts;
use crate::certificate::token_leaf::TokenLeaf;
use crate::config::certificate::Certificate;
use crate::config::certificate::KeySource;
use crate::config::pkcs11_uri::KeySelector;
use crate::config::secret::Secret;
use crate::hsm;
use crate::hsm::Group;
use crate::hsm::Groups;
use crate::hsm::KeyError;
use crate::hsm::Trouble;
use crate::key::FileError;
use crate::key::Problem;
use crate::key::file::signing_key;
use crate::key::pem;
use crate::key::read::read_file;

/// What a slot serves. About 2 KiB with a P-256 leaf; the parsed certificate is not kept.
#[derive(Debug)]
pub struct Material {
    /// Chain and signer, as rustls takes them.
    pub certified: Arc<CertifiedKey>,
    /// What is known about the leaf.
    pub facts: Facts,
    /// What should be put right.
    pub warnings: Box<[MaterialWarning]>,
    /// The key, where it is in a token; the signer then is this one.
    pub token: Option<Box<TokenKey>>,
}

/// A key in a token, and whether it has been seen.
#[derive(Debug)]
pub struct TokenKey {
    /// The signer.
    pub key: hsm::SigningKey,
    /// Why it has not proven itself: no token could be asked. It will, as soon as one can.
    pub unproven: Option<KeyError>,
}

/// What does not keep a certificate from being served, but should be put right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MaterialWarning {
    /// Certificates of the file that are not part of the chain and are not sent.
    Extra {
        /// How many.
        count: usize,
    },
    /// The key file can be read by every user of the machine.
    KeyReadableByAll,
    /// The chain in the file is out of order, or the leaf does not come first; it is sent in order.
    Reordered,
    /// A member of the group of tokens that cannot sign with the key, while others can.
    Token {
        /// The member.
        member: String,
        /// What is the matter.
        trouble: Trouble,
    },
}

impl Material {
    /// Reads and checks the files of a certificate, each once, or has its key prove itself in a token.
    pub fn load(config: &Certificate, groups: &Groups) -> Result<Self, MaterialError> {
        match &config.key {
            KeySource::File { path, passphrase } => {
                Self::load_files(config, path, passphrase.as_ref())
            }
            KeySource::Token { hsm, key } => {
                let group = groups.get(hsm).ok_or_else(|| MaterialError::NoGroup(hsm.clone()))?;
                Self::load_with_token(config, group, key)
            }
        }
    }

    /// Why its key in a token has not proven itself; `None`: it has, or it is on file.
    pub fn unproven(&self) -> Option<&KeyError> {
        self.token.as_ref()?.unproven.as_ref()
    }

    fn load_with_token(
        config: &Certificate,
        group: &Arc<Group>,
        selector: &KeySelector,
    ) -> Result<Self, MaterialError> {
        let chain = &config.chain;
        let leaf = TokenLeaf::read(chain)?;
        let key = group.key(selector, leaf.public());
        let mut warnings = Vec::new();
        let unproven = match group.prove(&key) {
            Ok(troubles) => {
                let warning = |(member, trouble)| MaterialWarning::Token { member, trouble };
                warnings.extend(troubles.into_iter().map(warning));
                None
            }
            Err(error) if error.is_unreachable() => Some(error),
            Err(error) => return Err(error.into()),
        };
        let signer = Arc::new(key.clone());
        let files = Files { chain, key: chain };
        let TokenLeaf { certificates, index, facts, .. } = leaf;
        let leaf = (index, facts);
        let material = Self::put_in_order(&files, &certificates, leaf, (signer, warnings))?;
        Ok(Self { token: Some(Box::new(TokenKey { key, unproven })), ..material })
    }

    fn load_files(
        config: &Certificate,
        key_path: &Path,
        passphrase: Option<&Secret>,
    ) -> Result<Self, MaterialError> {
        let chain_file = read_file(&config.chain)?;
        let key_file = match key_path == config.chain {
            true => None,
            false => Some(read_file(key_path)?),
        };
        let key_content = key_file.as_ref().unwrap_or(&chain_file);
        let certificates = certificates(&config.chain, &chain_file.bytes)?;
        let key = signing_key(key_path, &key_content.bytes, passphrase, config.world_readable)?;
        // After the key was found: a chain without one may be read by everybody.
        key_content.keep_secret(key_path, config.world_readable)?;

        let mut warnings = Vec::new();
        if key_content.is_world_readable() {
            warnings.push(MaterialWarning::KeyReadableByAll);
        }
        let files = Files { chain: &config.chain, key: key_path };
        let leaf = leaf_of(&files, &certificates, &*key)?;
        Self::put_in_order(&files, &certificates, leaf, (key, warnings))
    }

    fn put_in_order(
        files: &Files<'_>,
        certificates: &[CertificateDer<'_>],
        (leaf_index, mut facts): (usize, Facts),
        (key, mut warnings): (Arc<dyn SigningKey>, Vec<MaterialWarning>),
    ) -> Result<Self, MaterialError> {
        let order = chain::order(certificates, leaf_index)
            .map_err(|index| files.bad(index, "it is damaged"))?;
        facts.chain_len = u8::try_from(order.len()).unwrap_or(u8::MAX);

        if !order.is_sorted() || leaf_index != 0 {
            warnings.push(MaterialWarning::Reordered);
        }
        // A root in the file is customary and needs no warning.
        let unsent = (0..certificates.len()).filter(|index| !order.contains(index));
        match unsent.filter(|index| !is_root(&certificates[*index])).count() {
            0 => {}
            count => warnings.push(MaterialWarning::Extra { count }),
        }
        let chain = order.into_iter().map(|index| exact(&certificates[index])).collect();
        Ok(Self {
            certified: Arc::new(CertifiedKey::new(chain, key)),
            facts,
            warnings: warnings.into(),
            token: None,
        })
    }
}

impl fmt::Display for MaterialWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extra { count } => {
                write!(
                    f,
                    "{count} certificate(s) of the file do not belong to the chain and are not sent"
                )
            }
            Self::KeyReadableByAll => {
                f.write_str("every user of this machine can read the private key; `chmod 600` it")
            }
            Self::Reordered => f.write_str("the file is not in chain order; it is sent in order"),
            Self::Token { member, trouble } => {
                write!(f, "the member {member} of the group cannot sign with the key: {trouble}")
            }
        }
    }
}

struct Files<'a> {
    chain: &'a Path,
    key: &'a Path,
}

impl Files<'_> {
    fn bad(&self, index: usize, detail: &'static str) -> MaterialError {
        MaterialError::BadCertificate { path: self.chain.to_owned(), index: index + 1, detail }
    }
}

/// The certificates of a file that has been read, in its order; at least one.
pub(super) fn certificates(
    path: &Path,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let error = |problem| FileError::new(path, problem);
    let certificates: Vec<_> = pem::blocks(text)
        .map_err(error)?
        .into_iter()
        .filter(|block| matches!(block.label, "CERTIFICATE" | "X509 CERTIFICATE"))
        .map(|block| CertificateDer::from(block.der.to_vec()))
        .collect();
    if certificates.is_empty() {
        Err(error(Problem::NoCertificate).into())
    } else {
        Ok(certificates)
    }
}

/// The certificate of the key: normally the first, but a file in the opposite order is understood.
fn leaf_of(
    files: &Files<'_>,
    certificates: &[CertificateDer<'_>],
    key: &dyn SigningKey,
) -> Result<(usize, Facts), MaterialError> {
    let private = key.public_key();
    let private = private.as_ref().map_or(&[][..], |private| private.as_ref());
    let mut first = None;
    for (index, der) in certificates.iter().enumerate() {
        let parsed = parse(der).ok_or_else(|| files.bad(index, "it is damaged"))?;
        let public = parsed.public_key().raw;
        if public == private {
            let facts = Facts::of(&parsed, der).map_err(|detail| files.bad(index, detail))?;
            return Ok((index, facts));
        }
        first = first.or_else(|| Some(Fingerprint::of(public)));
    }
    Err(MaterialError::Mismatch {
        chain: files.chain.to_owned(),
        key: files.key.to_owned(),
        certificate: first.unwrap_or_else(|| Fingerprint::of(&[])),
        private: Fingerprint::of(private),
    })
}

/// A certificate and nothing behind it.
pub(super) fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    parse_x509_certificate(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, parsed)| parsed)
}

fn is_root(der: &CertificateDer<'_>) -> bool {
    parse(der).is_some_and(|parsed| parsed.subject().as_raw() == parsed.issuer().as_raw())
}

/// Without the spare capacity of the PEM reader.
fn exact(der: &CertificateDer<'_>) -> CertificateDer<'static> {
    CertificateDer::from(der.as_ref().to_vec())
}

#[cfg(test)]
#[path = "material_tests.rs"]
mod tests;
