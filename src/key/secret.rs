//! Reads a secret from where the configuration points to; it is wiped when it is dropped.

use std::path::PathBuf;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::secret::Secret;
use crate::key::problem::FileError;
use crate::key::read::read_file;

/// The bytes of a secret, without the line end that editors and `echo` leave behind.
pub fn read_secret(secret: &Secret) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let mut bytes = match secret {
        Secret::Env(name) => {
            use std::os::unix::ffi::OsStringExt;
            let value = std::env::var_os(name).ok_or_else(|| SecretError::Unset(name.clone()))?;
            Zeroizing::new(value.into_vec())
        }
        Secret::File(path) => read_file(path)?.bytes,
    };
    let end = bytes.strip_suffix(b"\n").map_or(bytes.len(), <[u8]>::len);
    let end = bytes[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len);
    bytes.truncate(end);
    Ok(bytes)
}

/// Why a secret is not there.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum SecretError {
    #[error("the secret in {}: {text}", path.display())]
    File { path: PathBuf, reason: &'static str, text: String },
    #[error("the environment variable {0} is not set")]
    Unset(String),
}

impl SecretError {
    /// The stable word for logs, metrics and tests.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::File { reason, .. } => reason,
            Self::Unset(_) => "secret_unset",
        }
    }
}

impl From<FileError> for SecretError {
    fn from(error: FileError) -> Self {
        Self::File { reason: error.reason(), text: error.problem.to_string(), path: error.path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_not_part_of_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        for (written, read) in
            [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), (" a \n\n", " a \n")]
        {
            std::fs::write(&path, written).unwrap();
            assert_eq!(*read_secret(&Secret::File(path.clone())).unwrap(), read.as_bytes());
        }
    }

    #[test]
    fn a_missing_secret_names_its_source() {
        let unset = read_secret(&Secret::Env("PORTCULLIS_NEVER_SET".into())).unwrap_err();
        assert_eq!(unset.reason(), "secret_unset");
        assert!(unset.to_string().contains("PORTCULLIS_NEVER_SET"));
        let missing = read_secret(&Secret::File("/nowhere/at/all".into())).unwrap_err();
        assert_eq!(missing.reason(), "file_missing");
    }
}
