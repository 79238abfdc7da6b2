//! The site's ticket secret: where it comes from. Instances that share it resume each other's sessions.

use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::hkdf;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::process::WorldReadableKeys;
use crate::config::tickets::Tickets;
use crate::key::FileError;
use crate::key::Problem;
use crate::key::read::read_file;
use crate::key::secret::SecretError;
use crate::key::secret::read_secret;
use crate::names::VirtualServiceName;
use crate::tls::tickets::Period;
use crate::tls::tickets::Ticketer;

/// The secret, in the form from which keys are derived (RFC 5869); the bytes themselves are not kept.
#[derive(Clone, Debug)]
pub struct TicketSecret {
    root: Arc<hkdf::Prk>,
    period: Period,
}

impl TicketSecret {
    /// As `[tickets]` says: the configured secret, or the one in the state directory, made if there is none.
    pub fn load(
        config: &Tickets,
        state_dir: &Path,
        policy: WorldReadableKeys,
    ) -> Result<Self, TicketSecretError> {
        let bytes = match &config.secret {
            Some(secret) => read_secret(secret, policy)?,
            None => load_or_create(state_dir, policy)?,
        };
        Self::from_bytes(&bytes, Period::from(config))
    }

    /// From at least 32 bytes.
    pub fn from_bytes(bytes: &[u8], period: Period) -> Result<Self, TicketSecretError> {
        if bytes.len() < MIN_SECRET {
            return Err(TicketSecretError::Short { bytes: bytes.len() });
        }
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, LABEL).extract(bytes);
        Ok(Self { root: Arc::new(root), period })
    }

    /// A secret of this process alone: sessions end with it.
    pub fn generate(period: Period) -> Result<Self, TicketSecretError> {
        Self::from_bytes(&random()?, period)
    }

    /// The ticket keys of a virtual service under a policy for client certificates
    /// (see [`Profile::client_auth_digest`](crate::tls::profile::Profile::client_auth_digest)).
    pub fn ticketer(&self, service: &VirtualServiceName, client_auth: [u8; 32]) -> Ticketer {
        Ticketer::new(Arc::clone(&self.root), self.period, service, client_auth)
    }
}

/// Why there is no ticket secret.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum TicketSecretError {
    #[error("{}: the ticket secret cannot be written: {error}", path.display())]
    Create { path: PathBuf, error: io::Error },
    #[error("{0}")]
    File(#[from] FileError),
    #[error("the system has no random bytes")]
    Random,
    #[error("the ticket secret: {0}")]
    Secret(#[from] SecretError),
    #[error(
        "the ticket secret has {bytes} bytes and needs at least {MIN_SECRET}: make one with \
         `openssl rand -base64 48`"
    )]
    Short { bytes: usize },
}

impl TicketSecretError {
    /// The stable word for logs, metrics and tests.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Create { .. } => "ticket_secret_unwritable",
            Self::File(error) => error.reason(),
            Self::Random => "no_random",
            Self::Secret(error) => error.reason(),
            Self::Short { .. } => "ticket_secret_short",
        }
    }
}

fn load_or_create(
    state_dir: &Path,
    policy: WorldReadableKeys,
) -> Result<Zeroizing<Vec<u8>>, TicketSecretError> {
    let path = state_dir.join(FILE_NAME);
    let content = match read_file(&path) {
        Err(error) if error.problem == Problem::Missing => {
            create(&path)
                .map_err(|error| TicketSecretError::Create { path: path.clone(), error })?;
            read_file(&path)?
        }
        read => read?,
    };
    content.keep_secret(&path, policy)?;
    Ok(content.bytes)
}

/// Complete or not at all, and never over the one that another process has just made.
fn create(path: &Path) -> io::Result<()> {
    let secret = random().map_err(|_| io::Error::other("no random bytes"))?;
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    let written = file.write_all(&secret).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&draft, path));
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// On the heap: an array that is returned leaves copies on the stack.
fn random() -> Result<Zeroizing<Vec<u8>>, TicketSecretError> {
    let mut bytes = Zeroizing::new(vec![0; MIN_SECRET]);
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| TicketSecretError::Random)?;
    Ok(bytes)
}

/// As strong as the keys that are derived from it.
const MIN_SECRET: usize = 32;

const FILE_NAME: &str = "ticket-secret";

/// Separates our derivations from any other use of the same secret.
const LABEL: &[u8] = b"portcullis session tickets 1";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_secret_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let config = Tickets { secret: None, period: Duration::from_secs(3600), keep: 1 };
        TicketSecret::load(&config, dir.path(), WorldReadableKeys::Refuse).unwrap();
        let path = dir.path().join(FILE_NAME);
        let first = std::fs::read(&path).unwrap();
        assert_eq!(first.len(), MIN_SECRET);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        TicketSecret::load(&config, dir.path(), WorldReadableKeys::Refuse).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_that_everybody_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let config = Tickets { secret: None, period: Duration::from_secs(3600), keep: 1 };
        let load = |policy| TicketSecret::load(&config, dir.path(), policy);
        load(WorldReadableKeys::Refuse).unwrap();
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(dir.path().join(FILE_NAME), open).unwrap();
        let refused = load(WorldReadableKeys::Refuse).unwrap_err();
        assert_eq!(refused.reason(), "key_world_readable");
        assert!(load(WorldReadableKeys::Allow).is_ok());
    }

    #[test]
    fn the_secret_is_not_in_its_debug_output() {
        let period = Period { seconds: 3600, keep: 1 };
        let secret = TicketSecret::from_bytes(&[171; MIN_SECRET], period).unwrap();
        let service = "shop".parse().unwrap();
        let shown = format!("{secret:?} {:?}", secret.ticketer(&service, [0; 32]));
        assert!(!shown.contains("171") && !shown.contains("ab, ab"), "{shown}");
    }

    #[test]
    fn a_short_secret_and_a_missing_directory_are_errors() {
        let period = Period { seconds: 3600, keep: 1 };
        let short = TicketSecret::from_bytes(b"short", period).unwrap_err();
        assert_eq!(short.reason(), "ticket_secret_short");
        let config = Tickets { secret: None, period: Duration::from_secs(3600), keep: 1 };
        let nowhere = Path::new("/nowhere/at/all");
        let missing = TicketSecret::load(&config, nowhere, WorldReadableKeys::Refuse).unwrap_err();
        assert_eq!(missing.reason(), "ticket_secret_unwritable");
    }
}
