//! A running process: what it prints, signals to it, and its end, which comes with the test's.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;

use super::eventually;

/// A child process and the lines that it has printed so far.
pub(crate) struct Process {
    child: Option<Child>,
    pid: Pid,
    stdout: Lines,
    stderr: Lines,
}

impl Process {
    /// Starts it and begins to read what it prints.
    pub(crate) fn start(command: Command) -> Self {
        Self::start_reading(command, Stdio::null())
    }

    /// As [`start`](Self::start), with something else than nothing as its standard input.
    pub(crate) fn start_reading(mut command: Command, stdin: Stdio) -> Self {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = Lines::of(child.stdout.take().expect("a pipe"));
        let stderr = Lines::of(child.stderr.take().expect("a pipe"));
        let pid = Pid::from_child(&child);
        Self { child: Some(child), pid, stdout, stderr }
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Lines on standard output so far.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.stdout.so_far()
    }

    /// Lines on standard error so far.
    pub(crate) fn stderr(&self) -> Vec<String> {
        self.stderr.so_far()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid, signal).expect("the process is there");
    }

    /// The exit code, if it has ended (-1 where a signal ended it).
    pub(crate) fn exited(&mut self) -> Option<i32> {
        let child = self.child.as_mut().expect("taken only when dropped");
        child.try_wait().expect("our own child").map(|status| status.code().unwrap_or(-1))
    }

    /// Waits for its end.
    pub(crate) async fn exit_code(&mut self) -> i32 {
        eventually("the end of the process", async || self.exited()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- standard error of the process ---\n{}", self.stderr().join("\n"));
        }
        let Some(mut child) = self.child.take() else { return };
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        let _ = rustix::process::kill_process(self.pid, Signal::TERM);
        let (gone, ended) = mpsc::channel();
        let pid = self.pid;
        let waiting = std::thread::spawn(move || {
            let _ = child.wait();
            let _ = gone.send(());
        });
        if ended.recv_timeout(GRACE).is_err() {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        let _ = waiting.join();
    }
}

/// What a pipe has delivered, line by line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let shared = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                let Ok(line) = line else { break };
                shared.0.lock().expect("never poisoned").push(line);
            }
        });
        lines
    }

    fn so_far(&self) -> Vec<String> {
        self.0.lock().expect("never poisoned").clone()
    }
}

/// What a process gets between SIGTERM and SIGKILL when its test is over. Tests of a clean end wait
/// for it themselves; elsewhere the clients of the test still hold connections, and would be waited for.
const GRACE: Duration = Duration::from_millis(100);
