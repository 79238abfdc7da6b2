//! Client certificates: the CAs and revocation lists of a profile, read and made into a verifier.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::VerifierBuilderError;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use thiserror::Error;

use crate::certificate::error::Fingerprint;
use crate::config::tls_profile::ClientCertificate;
use crate::key::FileError;
use crate::key::Problem;
use crate::key::pem;
use crate::key::read::read_file;

/// What a profile's `client_certificate` means.
pub struct ClientAuth {
    /// The check; None: clients are not asked.
    pub verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Over the policy and the contents of its files: a session that was made under another digest is not resumed.
    pub digest: Fingerprint,
    /// The files that were read.
    pub files: Vec<PathBuf>,
}

impl ClientAuth {
    /// Reads the files of the policy.
    ///
    /// A revocation list must cover every CA below the root that a client's chain uses, and must be current, as
    /// with nginx: a list that has run out proves nothing.
    pub fn load(
        policy: &ClientCertificate,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, ClientAuthError> {
        let (ca, crl, mode) = match policy {
            ClientCertificate::None => {
                return Ok(Self {
                    verifier: None,
                    digest: Fingerprint::of(b"none"),
                    files: Vec::new(),
                });
            }
            ClientCertificate::Request { ca, crl } => (ca, crl, "request"),
            ClientCertificate::Require { ca, crl } => (ca, crl, "require"),
        };
        let mut hashed = mode.as_bytes().to_vec();
        let mut files = vec![ca.clone()];
        let roots = Arc::new(read_roots(ca, &mut hashed)?);
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        if let Some(crl) = crl {
            files.push(crl.clone());
            builder =
                builder.with_crls(read_crls(crl, &mut hashed)?).enforce_revocation_expiration();
        }
        if matches!(policy, ClientCertificate::Request { .. }) {
            builder = builder.allow_unauthenticated();
        }
        let verifier =
            builder.build().map_err(|error| ClientAuthError::of(error, ca, crl.as_deref()))?;
        Ok(Self { verifier: Some(verifier), digest: Fingerprint::of(&hashed), files })
    }
}

/// Reads CA certificates that are to be trusted; adds the file to `hashed`.
pub(super) fn read_roots(
    path: &Path,
    hashed: &mut Vec<u8>,
) -> Result<RootCertStore, ClientAuthError> {
    let mut roots = RootCertStore::empty();
    for (index, der) in read_blocks(path, "CERTIFICATE", hashed)?.into_iter().enumerate() {
        roots.add(CertificateDer::from(der)).map_err(|error| ClientAuthError::BadCa {
            path: path.to_owned(),
            index: index + 1,
            detail: error.to_string(),
        })?;
    }
    match roots.is_empty() {
        true => Err(FileError::new(path, Problem::NoCertificate).into()),
        false => Ok(roots),
    }
}

fn read_crls(
    path: &Path,
    hashed: &mut Vec<u8>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, ClientAuthError> {
    let blocks = read_blocks(path, "X509 CRL", hashed)?;
    match blocks.is_empty() {
        true => Err(ClientAuthError::NoCrl { path: path.to_owned() }),
        false => Ok(blocks.into_iter().map(CertificateRevocationListDer::from).collect()),
    }
}

fn read_blocks(path: &Path, label: &str, hashed: &mut Vec<u8>) -> Result<Vec<Vec<u8>>, FileError> {
    let content = read_file(path)?;
    hashed.extend_from_slice(&(content.bytes.len() as u64).to_be_bytes());
    hashed.extend_from_slice(&content.bytes);
    let blocks = pem::blocks(&content.bytes).map_err(|problem| FileError::new(path, problem))?;
    let wanted = blocks.into_iter().filter(|block| block.label == label);
    Ok(wanted.map(|block| block.der.to_vec()).collect())
}

/// Why a policy for client certificates cannot be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum ClientAuthError {
    #[error("{}: certificate {index} cannot be a trusted CA ({detail})", path.display())]
    BadCa { path: PathBuf, index: usize, detail: String },
    #[error("{}: the revocation list cannot be used ({detail})", path.display())]
    BadCrl { path: PathBuf, detail: String },
    #[error("{0}")]
    File(#[from] FileError),
    #[error("{}: there is no revocation list in it; a block \"BEGIN X509 CRL\" is expected", path.display())]
    NoCrl { path: PathBuf },
}

impl ClientAuthError {
    /// The stable word for logs, metrics and tests.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadCa { .. } => "ca_bad",
            Self::BadCrl { .. } => "crl_bad",
            Self::File(error) => error.reason(),
            Self::NoCrl { .. } => "file_without_crl",
        }
    }

    fn of(error: VerifierBuilderError, ca: &Path, crl: Option<&Path>) -> Self {
        match (error, crl) {
            (VerifierBuilderError::InvalidCrl(error), Some(crl)) => {
                let detail = rustls::Error::InvalidCertRevocationList(error).to_string();
                Self::BadCrl { path: crl.to_owned(), detail }
            }
            _ => FileError::new(ca, Problem::NoCertificate).into(),
        }
    }
}
