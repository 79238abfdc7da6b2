//! Reads a secret from where the configuration points to; it is wiped when it is dropped.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::process::WorldReadableKeys;
use crate::config::secret::Secret;
use crate::key::problem::FileError;
use crate::key::read::read_file;

/// The bytes of a secret, without the line end that editors and `echo` leave behind.
pub fn read_secret(
    secret: &Secret,
    policy: WorldReadableKeys,
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let mut bytes = match secret {
        Secret::Credential(name) => {
            read_secret_file(&credential(std::env::var_os(CREDENTIALS_DIRECTORY), name)?, policy)?
        }
        Secret::Env(name) => {
            use std::os::unix::ffi::OsStringExt;
            let value = std::env::var_os(name).ok_or_else(|| SecretError::Unset(name.clone()))?;
            Zeroizing::new(value.into_vec())
        }
        Secret::File(path) => read_secret_file(path, policy)?,
    };
    let end = bytes.strip_suffix(b"\n").map_or(bytes.len(), <[u8]>::len);
    let end = bytes[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len);
    bytes.truncate(end);
    Ok(bytes)
}

fn read_secret_file(
    path: &Path,
    policy: WorldReadableKeys,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let content = read_file(path)?;
    content.keep_secret(path, policy)?;
    Ok(content.bytes)
}

/// Where systemd has put a credential of its service (systemd.exec(5), `LoadCredential=`).
fn credential(directory: Option<OsString>, name: &str) -> Result<PathBuf, SecretError> {
    let directory = directory.ok_or_else(|| SecretError::NoCredentials(name.to_owned()))?;
    Ok(Path::new(&directory).join(name))
}

/// Why a secret is not there.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum SecretError {
    #[error("the secret in {}: {text}", path.display())]
    File { path: PathBuf, reason: &'static str, text: String },
    #[error(
        "the credential {0} comes from systemd, and {CREDENTIALS_DIRECTORY} is not set; add \
         `LoadCredential={0}:/etc/portcullis/secrets/{0}` to the service"
    )]
    NoCredentials(String),
    #[error("the environment variable {0} is not set")]
    Unset(String),
}

impl SecretError {
    /// The stable word for logs, metrics and tests.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::File { reason, .. } => reason,
            Self::NoCredentials(_) => "secret_no_credentials",
            Self::Unset(_) => "secret_unset",
        }
    }
}

impl From<FileError> for SecretError {
    fn from(error: FileError) -> Self {
        Self::File { reason: error.reason(), text: error.problem.to_string(), path: error.path }
    }
}

/// What systemd tells a service that has credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

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
            let secret = read_secret(&Secret::File(path.clone()), WorldReadableKeys::Allow);
            assert_eq!(*secret.unwrap(), read.as_bytes());
        }
    }

    #[test]
    fn a_missing_secret_names_its_source() {
        let unset = Secret::Env("PORTCULLIS_NEVER_SET".into());
        let unset = read_secret(&unset, WorldReadableKeys::Refuse).unwrap_err();
        assert_eq!(unset.reason(), "secret_unset");
        assert!(unset.to_string().contains("PORTCULLIS_NEVER_SET"));
        let missing = Secret::File("/nowhere/at/all".into());
        let missing = read_secret(&missing, WorldReadableKeys::Refuse).unwrap_err();
        assert_eq!(missing.reason(), "file_missing");
    }

    #[test]
    fn a_credential_is_a_file_in_the_directory_of_systemd() {
        let directory = Some("/run/credentials/portcullis.service".into());
        let path = credential(directory, "hsm-pin").unwrap();
        assert_eq!(path, Path::new("/run/credentials/portcullis.service/hsm-pin"));
        let missing = credential(None, "hsm-pin").unwrap_err();
        assert_eq!(missing.reason(), "secret_no_credentials");
        assert!(missing.to_string().contains("LoadCredential=hsm-pin:"), "{missing}");
    }

    #[test]
    fn a_secret_that_everybody_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret").unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let secret = Secret::File(file.path().to_owned());
        let refused = read_secret(&secret, WorldReadableKeys::Refuse).unwrap_err();
        assert_eq!(refused.reason(), "key_world_readable");
        assert!(refused.to_string().contains("0644"), "{refused}");
    }
}
