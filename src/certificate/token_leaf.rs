//! The certificate of a key in a token: as the key cannot be seen, only the file says which it is.

use std::path::Path;

use rustls::pki_types::CertificateDer;

use crate::certificate::error::MaterialError;
use crate::certificate::facts::Facts;
use crate::certificate::material::certificates;
use crate::certificate::material::parse;
use crate::hsm::PublicKey;
use crate::key::read::read_file;

/// A file of certificates, and the one among them that a key in a token must fit to.
#[derive(Debug)]
pub struct TokenLeaf {
    /// All of the file, in its order.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Which of them it is: the first that is no CA, or else the first.
    pub index: usize,
    /// What is known about it.
    pub facts: Facts,
    /// Its SubjectPublicKeyInfo.
    info: Box<[u8]>,
    /// The bit string in that.
    bits: Box<[u8]>,
}

impl TokenLeaf {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or one of its certificates cannot.
    pub fn read(chain: &Path) -> Result<Self, MaterialError> {
        let certificates = certificates(chain, &read_file(chain)?.bytes)?;
        let bad = |index, detail| {
            let path = chain.to_owned();
            MaterialError::BadCertificate { path, index: index + 1, detail }
        };
        let parsed = certificates.iter().map(parse).collect::<Option<Vec<_>>>();
        let parsed = parsed.ok_or_else(|| bad(0, "it is damaged"))?;
        let index = parsed.iter().position(|one| !one.is_ca()).unwrap_or(0);
        let facts = Facts::of(&parsed[index], &certificates[index]);
        let facts = facts.map_err(|detail| bad(index, detail))?;
        let public = parsed[index].public_key();
        let (info, bits) = (public.raw.into(), (&*public.subject_public_key.data).into());
        drop(parsed);
        Ok(Self { certificates, index, facts, info, bits })
    }

    /// The public key of the certificate.
    pub fn public(&self) -> PublicKey<'_> {
        PublicKey { algorithm: self.facts.algorithm, info: &self.info, bits: &self.bits }
    }
}
