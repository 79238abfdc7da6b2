//! Which CPU runs what, and the limits of this program and of what it starts.

use std::process::Child;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::thread::CpuSet;

/// Puts the calling thread, and what it starts from now on, on one CPU.
pub fn pin(cpu: usize) -> Result<()> {
    anyhow::ensure!(cpu < CpuSet::MAX_CPU, "CPU {cpu} does not exist");
    let mut set = CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set)
        .with_context(|| format!("cannot run on CPU {cpu} (two CPUs are needed)"))
}

/// Starts a command on one CPU; the calling thread stays on another.
pub fn spawn_on(cpu: usize, own_cpu: usize, command: &mut Command) -> Result<Child> {
    pin(cpu)?;
    let child = command.spawn();
    pin(own_cpu)?;
    child.with_context(|| format!("cannot start {}", command.get_program().display()))
}

/// Raises the limit of open files as far as it goes, for this program and for the proxies; returns it.
pub fn raise_open_files() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

/// Asks for a higher priority than other programs; proxies inherit it. Only root may, and nothing depends on it.
pub fn raise_priority() -> bool {
    rustix::process::nice(-10).is_ok()
}
