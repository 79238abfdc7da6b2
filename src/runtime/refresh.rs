//! Certificates whose files changed get their new material; the configuration stays as it is.
//!
//! Chain and key change together or not at all: a pair that does not fit is usually half of a
//! replacement, so it is tried again, and only then called broken. What was served goes on.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use crate::certificate::Certificate;
use crate::certificate::Material;
use crate::certificate::MaterialError;
use crate::certificate::OnDisk;
use crate::certificate::stamp::FileStamp;
use crate::config;
use crate::config::certificate::KeySource;
use crate::config::secret::Secret;
use crate::hsm::Groups;
use crate::names::CertificateName;

/// What is known of the files of every certificate.
#[derive(Debug, Default)]
pub struct Refresh {
    seen: BTreeMap<CertificateName, Stamps>,
    faulty: BTreeMap<CertificateName, Fault>,
}

/// The identity of a certificate's files at one moment. A file that is not there has none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stamps(Box<[Option<FileStamp>]>);

/// A certificate whose files on disk cannot be served.
#[derive(Debug)]
struct Fault {
    attempts: u32,
    next: Instant,
}

/// What became of a certificate whose files changed.
#[derive(Debug)]
pub enum Outcome {
    /// Not usable, and it is said now: what was served goes on being served.
    Broken(MaterialError),
    /// New handshakes use the new material.
    Replaced,
    /// The files changed and their content did not.
    Same,
    /// Not usable yet; tried again in a moment before anything is said.
    Waiting,
}

/// When a look happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Patience {
    /// After an event: half of a replacement may still be on its way.
    Wait,
    /// The operator asked and wants the verdict.
    Verdict,
}

impl Stamps {
    /// Looks at the files now. Taken before they are read, so that a later change is noticed.
    pub fn of(certificate: &config::certificate::Certificate) -> Self {
        Self(files_of(certificate).map(|path| FileStamp::of(path).ok()).collect())
    }
}

impl Refresh {
    /// Remembers what the files looked like when they were loaded.
    pub fn loaded(&mut self, name: &CertificateName, stamps: Stamps) {
        self.faulty.remove(name);
        self.seen.insert(name.clone(), stamps);
    }

    /// Remembers that the material could not be loaded at the start.
    pub fn failed(&mut self, name: &CertificateName, stamps: Stamps) {
        self.seen.insert(name.clone(), stamps);
        let fault = Fault { attempts: RETRIES.len() as u32, next: Instant::now() + FOREVER };
        self.faulty.insert(name.clone(), fault);
    }

    /// Forgets certificates that are not configured any more.
    pub fn retain(&mut self, keep: impl Fn(&CertificateName) -> bool) {
        self.seen.retain(|name, _| keep(name));
        self.faulty.retain(|name, _| keep(name));
    }

    /// The next moment at which something has to be tried again.
    pub fn next_retry(&self) -> Option<Instant> {
        self.faulty.values().map(|fault| fault.next).min()
    }

    /// The certificates that have to be tried again by now.
    pub fn due(&self, now: Instant) -> Vec<CertificateName> {
        let due = self.faulty.iter().filter(|(_, fault)| fault.next <= now);
        due.map(|(name, _)| name.clone()).collect()
    }

    /// Looks at one certificate and gives the slot what is there, if it is new and in order.
    pub fn look(
        &mut self,
        slot: &Certificate,
        config: &config::certificate::Certificate,
        (groups, patience): (&Groups, Patience),
    ) -> Option<Outcome> {
        let stamps = Stamps::of(config);
        let known = self.seen.get(&config.name) == Some(&stamps);
        if known && !self.faulty.contains_key(&config.name) {
            return None;
        }
        if known && patience == Patience::Wait && !self.is_due(&config.name) {
            return None;
        }
        if !known {
            // Another attempt of whoever writes the files: it gets the same patience.
            self.faulty.remove(&config.name);
        }
        self.seen.insert(config.name.clone(), stamps);
        match Material::load(config, groups).and_then(proven) {
            Ok(material) => {
                self.faulty.remove(&config.name);
                Some(install(slot, material))
            }
            Err(error) => Some(self.defer(slot, config, error, patience)),
        }
    }

    fn is_due(&self, name: &CertificateName) -> bool {
        self.faulty.get(name).is_some_and(|fault| fault.next <= Instant::now())
    }

    fn defer(
        &mut self,
        slot: &Certificate,
        config: &config::certificate::Certificate,
        error: MaterialError,
        patience: Patience,
    ) -> Outcome {
        let now = Instant::now();
        let fault = self.faulty.entry(config.name.clone());
        let fault = fault.or_insert(Fault { attempts: 0, next: now });
        let wait = RETRIES.get(fault.attempts as usize).copied();
        let is_unreachable =
            matches!(&error, MaterialError::Token(error) if error.is_unreachable());
        let again = if is_unreachable { TOKEN_RETRY } else { FOREVER };
        fault.next = now + wait.unwrap_or(again);
        fault.attempts += 1;
        if patience == Patience::Wait {
            if wait.is_some() {
                slot.mark(OnDisk::Differs);
                return Outcome::Waiting;
            }
            if fault.attempts as usize > RETRIES.len() + 1 {
                // It has been said.
                return Outcome::Waiting;
            }
        }
        slot.mark_broken(error.clone());
        Outcome::Broken(error)
    }
}

/// What is new has to show that it can be used; at a start, it may do so later.
fn proven(material: Material) -> Result<Material, MaterialError> {
    match material.unproven() {
        Some(unproven) => Err(MaterialError::Token(unproven.clone())),
        None => Ok(material),
    }
}

fn install(slot: &Certificate, material: Material) -> Outcome {
    let served = slot.material();
    let same = served.is_some_and(|served| served.certified.cert == material.certified.cert);
    if same {
        slot.mark(OnDisk::Same);
        return Outcome::Same;
    }
    slot.replace(material);
    Outcome::Replaced
}

/// The files that a certificate is made of, a passphrase included.
pub fn files_of(
    certificate: &config::certificate::Certificate,
) -> impl Iterator<Item = &std::path::Path> {
    let (key, passphrase) = match &certificate.key {
        KeySource::File { path, passphrase } => (Some(path.as_path()), passphrase.as_ref()),
        KeySource::Token { .. } => (None, None),
    };
    let passphrase = passphrase.and_then(|passphrase| match passphrase {
        Secret::File(path) => Some(path.as_path()),
        // A credential is as it was when systemd started the service.
        Secret::Credential(_) | Secret::Env(_) => None,
    });
    let key = key.filter(|path| *path != certificate.chain);
    std::iter::once(certificate.chain.as_path()).chain(key).chain(passphrase)
}

/// The other half of a replacement usually follows within milliseconds; a slow copy takes longer.
const RETRIES: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(750),
    Duration::from_secs(1),
];

/// A token that could not be asked may be there again.
const TOKEN_RETRY: Duration = Duration::from_secs(5);

/// After the verdict only a new event or the poll tries again.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
