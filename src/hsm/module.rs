//! PKCS#11 modules: shared libraries, each loaded and initialised once for the process and never unloaded.
//!
//! A module is state of the process, not of a group: whoever finalises it ends everybody's sessions, and
//! doing so while another thread is inside ends the process. So there is one place that counts who is alive.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use cryptoki::context::CInitializeArgs;
use cryptoki::context::CInitializeFlags;
use cryptoki::context::Pkcs11;
use cryptoki::error::Error;
use cryptoki::error::RvError;

use crate::hsm::trouble::Trouble;

/// A module that has been loaded.
pub struct Module {
    path: PathBuf,
    context: Pkcs11,
    /// Taken by threads of sessions when they connect and end; held while the module is initialised.
    life: Mutex<Life>,
    /// By the serial number of a token: the PIN that it refused. Taken while somebody logs in.
    logins: Mutex<BTreeMap<String, Arc<Mutex<Login>>>>,
    /// So that what is kept of a refused PIN is of no use to anybody.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Life {
    is_initialized: bool,
    /// Connections that are alive or being made: as long as there is one, nothing is finalised.
    connections: usize,
    restarted: Option<Instant>,
}

/// What is known of the PIN of a token.
#[derive(Debug, Default)]
pub struct Login {
    refused: Option<u64>,
}

impl Module {
    /// The module of a path, or of a bare name that is looked for where distributions keep modules. Loads it
    /// if nobody has; initialises nothing yet.
    ///
    /// # Errors
    /// [`Trouble::ModuleUnloadable`].
    pub fn load(name: &Path) -> Result<Arc<Self>, Trouble> {
        let path = find(name);
        let path = fs::canonicalize(&path).unwrap_or(path);
        // One that hangs while it is loaded keeps nobody from another.
        let place = Arc::clone(lock(&MODULES).entry(path.clone()).or_default());
        let mut place = lock(&place);
        if let Some(module) = &*place {
            return Ok(Arc::clone(module));
        }
        let unloadable = |error: Error| {
            let detail = match error {
                Error::LibraryLoading(error) => error.to_string(),
                other => format!("{other:?}"),
            };
            Trouble::ModuleUnloadable { path: path.clone(), detail }
        };
        let context = Pkcs11::new(&path).map_err(unloadable)?;
        let module = Arc::new(Self {
            path: path.clone(),
            context,
            life: Mutex::default(),
            logins: Mutex::default(),
            hasher: RandomState::new(),
        });
        *place = Some(Arc::clone(&module));
        Ok(module)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The module's functions. Only whoever holds an [`Alive`] may call them.
    pub fn context(&self) -> &Pkcs11 {
        &self.context
    }

    /// Begins a connection: initialises the module if nobody has, and keeps it from being finalised.
    ///
    /// # Errors
    /// What `C_Initialize` says.
    pub fn enter(self: &Arc<Self>) -> Result<Alive, Trouble> {
        let mut life = lock(&self.life);
        if !life.is_initialized {
            self.initialize()?;
            life.is_initialized = true;
        }
        life.connections += 1;
        Ok(Alive(Arc::clone(self)))
    }

    /// Initialises the module anew if nobody uses it: a remote token that went away and came back is not
    /// seen before that. At most once a second.
    pub fn restart_if_unused(&self) -> bool {
        let mut life = lock(&self.life);
        let recently = life.restarted.is_some_and(|at| at.elapsed() < BETWEEN_RESTARTS);
        if life.connections > 0 || !life.is_initialized || recently {
            return false;
        }
        life.restarted = Some(Instant::now());
        // What it says does not matter: the next one to enter initialises it, and is told.
        let _ = self.context.clone().finalize();
        life.is_initialized = false;
        true
    }

    /// The place where logins to a token take turns.
    pub fn login(&self, serial: &str) -> Arc<Mutex<Login>> {
        Arc::clone(lock(&self.logins).entry(serial.to_owned()).or_default())
    }

    /// What a PIN is remembered by.
    pub fn mark_of(&self, pin: &[u8]) -> u64 {
        self.hasher.hash_one(pin)
    }

    fn initialize(&self) -> Result<(), Trouble> {
        // Many threads will call it, each with its own session.
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match self.context.initialize(arguments) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
            Err(error) => Err(Trouble::of_call(&error)),
        }
    }
}

impl Login {
    /// Whether this PIN, by its mark, was refused before.
    pub fn was_refused(&self, mark: u64) -> bool {
        self.refused == Some(mark)
    }

    /// Remembers it.
    pub fn refuse(&mut self, mark: u64) {
        self.refused = Some(mark);
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Somebody is inside the module. The last field of whatever holds a session, so that it goes last.
#[derive(Debug)]
pub struct Alive(Arc<Module>);

impl Alive {
    /// The module.
    pub fn module(&self) -> &Arc<Module> {
        &self.0
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        lock(&self.0.life).connections -= 1;
    }
}

/// Finalises every module that nobody uses any more, before the process ends: their destructors do not
/// expect an initialised library. Says whether all of them could be.
pub fn finalize_all() -> bool {
    let places: Vec<_> = lock(&MODULES).values().cloned().collect();
    places.iter().fold(true, |all, place| {
        // Still being loaded.
        let Ok(place) = place.try_lock() else { return false };
        let Some(module) = &*place else { return all };
        let mut life = lock(&module.life);
        if life.is_initialized && life.connections == 0 {
            let _ = module.context.clone().finalize();
            life.is_initialized = false;
        }
        all && !life.is_initialized
    })
}

/// A bare name is looked for; a path is taken as it is.
fn find(name: &Path) -> PathBuf {
    if name.components().count() != 1 {
        return name.to_owned();
    }
    let file = OsStr::new(name);
    let candidates = DIRECTORIES.iter().map(|directory| Path::new(directory).join(file));
    // Else the loader's own search.
    candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| name.to_owned())
}

/// Where Debian, Fedora, Arch and vendors' packages put modules.
const DIRECTORIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/pkcs11",
    "/usr/lib/aarch64-linux-gnu/pkcs11",
    "/usr/lib64/pkcs11",
    "/usr/lib/pkcs11",
    "/usr/lib/x86_64-linux-gnu/softhsm",
    "/usr/lib/aarch64-linux-gnu/softhsm",
    "/usr/lib64/softhsm",
    "/usr/lib/softhsm",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/local/lib",
    "/opt/cloudhsm/lib",
];

/// A token that is away for long costs no more than this.
const BETWEEN_RESTARTS: Duration = Duration::from_secs(1);

/// By canonical path: a second load of one library would be the same library.
static MODULES: Mutex<BTreeMap<PathBuf, Place>> = Mutex::new(BTreeMap::new());

/// Empty until the module has been loaded. Held while it is.
type Place = Arc<Mutex<Option<Arc<Module>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_module_is_named() {
        let missing = Module::load(Path::new("/nowhere/at/all.so")).unwrap_err();
        assert_eq!(missing.code(), "module_unloadable");
        assert!(missing.to_string().contains("/nowhere/at/all.so"), "{missing}");
        let text = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Module::load(text.path()).unwrap_err().code(), "module_unloadable");
    }

    #[test]
    fn a_path_is_not_looked_for_and_a_name_is() {
        assert_eq!(find(Path::new("./x.so")), Path::new("./x.so"));
        assert_eq!(find(Path::new("no-such-module.so")), Path::new("no-such-module.so"));
    }

    #[test]
    fn a_refused_pin_is_remembered_until_there_is_another() {
        let mut login = Login::default();
        assert!(!login.was_refused(1));
        login.refuse(1);
        assert!(login.was_refused(1) && !login.was_refused(2));
    }
}
