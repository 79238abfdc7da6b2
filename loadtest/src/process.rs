//! What the kernel says about a process and all its descendants: CPU time, memory; and how they end.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;

/// A process, and everything that it started.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    root: u32,
}

/// One process at one time: a process id alone may be used again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Member {
    pid: u32,
    start: u64,
}

impl Tree {
    pub fn new(root: u32) -> Self {
        Self { root }
    }

    /// The root and its descendants that exist now.
    pub fn members(&self) -> Vec<Member> {
        let mut rest: Vec<(u32, Stat)> = all_processes();
        let mut found = Vec::new();
        let mut parents = vec![self.root];
        if let Some(stat) = Stat::read(self.root) {
            found.push(Member { pid: self.root, start: stat.start });
        }
        while let Some(parent) = parents.pop() {
            let (children, others) = rest.into_iter().partition(|(_, stat)| stat.parent == parent);
            rest = others;
            let children: Vec<(u32, Stat)> = children;
            for (pid, stat) in children {
                parents.push(pid);
                found.push(Member { pid, start: stat.start });
            }
        }
        found
    }

    /// CPU time, user and system, of all members and of those that have ended since.
    pub fn cpu(&self) -> Duration {
        self.members().iter().map(|member| cpu(member.pid)).sum()
    }

    /// Proportional set size of all members, in bytes: shared pages are divided among those who share them.
    pub fn memory(&self) -> u64 {
        self.members().iter().map(|member| pss(member.pid)).sum()
    }

    /// Sends a signal to the root alone.
    pub fn signal(&self, signal: Signal) {
        send(self.root, signal);
    }
}

impl Member {
    /// Whether this very process still runs.
    pub fn exists(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.start == self.start && stat.state != 'Z')
    }

    /// Ends it at once.
    pub fn kill(&self) {
        if self.exists() {
            send(self.pid, Signal::KILL);
        }
    }
}

/// Where a program is. Debian's daemons are in directories that only root has in PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// CPU time of this very program, all threads.
pub fn own_cpu() -> Duration {
    cpu(std::process::id())
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended in the meantime; that is what a signal is for.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// CPU time of a process and of its children that ended and were waited for.
fn cpu(pid: u32) -> Duration {
    let Some(stat) = Stat::read(pid) else { return Duration::ZERO };
    // Ticks include threads that ended; schedstat is exact but knows only living threads.
    own_ticks(&stat).max(living_threads(pid)) + ticks(stat.reaped)
}

fn own_ticks(stat: &Stat) -> Duration {
    ticks(stat.own)
}

fn living_threads(pid: u32) -> Duration {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    let nanoseconds = entries
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanoseconds)
}

fn pss(pid: u32) -> u64 {
    // Of a process that is not dumpable, only root sees what is shared; then the resident memory stands for it.
    let (text, field) = match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
        Ok(text) => (text, "Pss:"),
        Err(_) => (fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), "VmRSS:"),
    };
    text.lines()
        .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

fn all_processes() -> Vec<(u32, Stat)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, Stat::read(pid)?)))
        .collect()
}

/// The part of `/proc/PID/stat` that matters here (proc(5)).
#[derive(Debug)]
struct Stat {
    state: char,
    parent: u32,
    /// Ticks of user and system time.
    own: u64,
    /// The same of children that were waited for.
    reaped: u64,
    /// Start time in ticks since boot.
    start: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field is the name in brackets and may hold anything, brackets too.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |position: usize| fields.get(position - 3)?.trim().parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: u32::try_from(number(4)?).ok()?,
            own: number(14)? + number(15)?,
            reaped: number(16)? + number(17)?,
            start: number(22)?,
        })
    }
}

fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * MILLISECONDS_PER_TICK)
}

/// Linux shows user space 100 ticks a second, whatever it uses itself.
const MILLISECONDS_PER_TICK: u64 = 10;

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let text = "42 (a) b) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 555 1 2";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(
            (stat.state, stat.parent, stat.own, stat.reaped, stat.start),
            ('S', 7, 30, 70, 555)
        );
    }
}
