//! What can be wrong with a file that holds keys or certificates, in words that tell what to do.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use thiserror::Error;

use crate::key::secret::SecretError;

/// A file and what is wrong with it. Holds nothing of the file's content.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{}: {problem}", path.display())]
pub struct FileError {
    /// As configured.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub problem: Problem,
}

impl FileError {
    /// Ties a problem to its file.
    pub fn new(path: &Path, problem: Problem) -> Self {
        Self { path: path.to_owned(), problem }
    }

    /// The stable word for logs, metrics and tests.
    pub fn reason(&self) -> &'static str {
        self.problem.reason()
    }
}

/// Why a file gives no key or no certificate.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Problem {
    #[error("line {line}: not base64; the file is damaged, copy it again")]
    BadBase64 { line: usize },
    #[error("the key cannot be read: {0}; check it with `openssl pkey -in FILE -check -noout`")]
    BadKey(&'static str),
    #[error("permission denied; let the user that runs portcullis read it")]
    Denied,
    #[error("this is a directory; name the PEM file inside it")]
    Directory,
    #[error("the file is empty; it may still be being written")]
    Empty,
    #[error(
        "encrypted in the old PEM way (Proc-Type: 4,ENCRYPTED); convert it once with \
         `openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW`"
    )]
    LegacyEncryption,
    #[error("no such file")]
    Missing,
    #[error("the key is encrypted; add `passphrase = {{ file = \"..\" }}` to `key`")]
    NeedsPassphrase,
    #[error("there is no certificate in it; a block \"BEGIN CERTIFICATE\" is expected")]
    NoCertificate,
    #[error("there is no private key in it; a block \"BEGIN PRIVATE KEY\" is expected")]
    NoKey,
    #[error("neither a file nor a link to one")]
    NotAFile,
    #[error("not PEM; a line \"-----BEGIN ..-----\" is expected (DER: convert it with openssl)")]
    NotPem,
    #[error("{0}")]
    Passphrase(#[source] SecretError),
    #[error("an RSA key of {bits} bits is too small; at least 2048 are needed")]
    RsaTooSmall { bits: usize },
    #[error("there is more than one private key in it; keep the one of this certificate")]
    SeveralKeys,
    #[error("larger than {} KiB; this cannot be a key or a chain", crate::key::read::MAX_FILE / 1024)]
    TooLarge,
    #[error(
        "line {line}: the block that starts here has no end; the file may still be being written"
    )]
    Truncated { line: usize },
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    #[error(
        "encrypted with {what}; supported is PKCS#8 with PBKDF2 and AES-128-CBC or AES-256-CBC: \
         convert it once with `openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW`"
    )]
    UnsupportedEncryption { what: &'static str },
    #[error("the kind of key is not supported ({0}); use P-256, P-384, P-521, RSA or Ed25519")]
    UnsupportedKey(&'static str),
    #[error(
        "everybody on this machine can read it (mode {mode:04o}); `chmod 0640 FILE`, or set \
         `world_readable_keys = \"allow\"` in [process]"
    )]
    WorldReadable { mode: u32 },
    #[error("the passphrase does not open the key")]
    WrongPassphrase,
}

impl Problem {
    /// The stable word for logs, metrics and tests.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadBase64 { .. } => "file_bad_base64",
            Self::BadKey(_) => "key_bad",
            Self::Denied => "file_denied",
            Self::Directory => "file_is_directory",
            Self::Empty => "file_empty",
            Self::LegacyEncryption | Self::UnsupportedEncryption { .. } => {
                "key_encryption_unsupported"
            }
            Self::Missing => "file_missing",
            Self::NeedsPassphrase => "key_needs_passphrase",
            Self::NoCertificate => "file_without_certificate",
            Self::NoKey => "file_without_key",
            Self::NotAFile => "file_not_regular",
            Self::NotPem => "file_not_pem",
            Self::Passphrase(error) => error.reason(),
            Self::RsaTooSmall { .. } => "key_too_small",
            Self::SeveralKeys => "file_with_several_keys",
            Self::TooLarge => "file_too_large",
            Self::Truncated { .. } => "file_truncated",
            Self::Unreadable(_) => "file_unreadable",
            Self::UnsupportedKey(_) => "key_unsupported",
            Self::WorldReadable { .. } => "key_world_readable",
            Self::WrongPassphrase => "key_wrong_passphrase",
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::IsADirectory => Self::Directory,
            io::ErrorKind::NotADirectory | io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Denied,
            other => Self::Unreadable(other),
        }
    }
}
