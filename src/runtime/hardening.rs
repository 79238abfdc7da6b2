//! Keeps keys in the memory of this process: no core dumps, no reading by other processes of the same
//! user, no new privileges.
//!
//! Must not know the configuration: it holds for every verb, from its first moment on.

use rustix::io::Errno;
use rustix::process;
use rustix::process::DumpableBehavior;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::thread;
use thiserror::Error;

/// What the system did not grant. The process is as useful without it, so this is worth a warning only.
#[derive(Debug, Error)]
#[error("the memory of this process cannot be protected ({what}): {source}")]
pub struct HardeningError {
    what: &'static str,
    source: Errno,
}

/// Protects this process, and the threads that it starts from here on.
///
/// # Errors
/// When the system refuses one of the three, as a sandbox may; the others are in force.
pub fn protect() -> Result<(), HardeningError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let core = process::setrlimit(Resource::Core, none);
    let dumpable = not_dumpable();
    let privileges = thread::set_no_new_privs(true);
    let failed = |what| move |source| HardeningError { what, source };
    core.map_err(failed("RLIMIT_CORE"))?;
    dumpable.map_err(failed("PR_SET_DUMPABLE"))?;
    privileges.map_err(failed("PR_SET_NO_NEW_PRIVS"))
}

/// Closes `/proc/PID/mem` and ptrace to all but root. The kernel forgets it when the user changes, so it is
/// said again then.
pub(super) fn not_dumpable() -> Result<(), Errno> {
    process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
}
