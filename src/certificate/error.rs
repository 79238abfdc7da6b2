//! Why there is no material, with the file at fault and what to do.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::hsm::KeyError;
use crate::key::FileError;
use crate::names::HsmName;

/// The outcome of a load that failed. Holds nothing secret.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum MaterialError {
    #[error("{0}")]
    File(#[from] FileError),
    #[error(
        "{}: certificate {index} cannot be read ({detail}); check it with \
         `openssl x509 -in FILE -noout -text`", path.display()
    )]
    BadCertificate { path: PathBuf, index: usize, detail: &'static str },
    #[error(
        "{} does not belong to {}: the certificate has the public key {certificate}, the private key \
         has {private}; put the key next to the certificate that was issued for it",
        key.display(), chain.display()
    )]
    Mismatch { chain: PathBuf, key: PathBuf, certificate: Fingerprint, private: Fingerprint },
    #[error("the group of tokens {0} does not run")]
    NoGroup(HsmName),
    #[error("{0}")]
    Token(#[from] KeyError),
}

impl MaterialError {
    /// The stable word for logs, metrics and tests.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::File(error) => error.reason(),
            Self::BadCertificate { .. } => "certificate_bad",
            Self::Mismatch { .. } => "key_mismatch",
            Self::NoGroup(_) => "hsm_missing",
            Self::Token(error) => error.reason(),
        }
    }
}

/// A SHA-256 digest; prints as `sha256:` and lower-case hex, the form of `openssl dgst`.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest.as_ref());
        Self(fingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
