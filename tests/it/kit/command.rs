//! Commands that run to their end: the product's own, and the outside judges (curl, promtool, ..).

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::site::Site;
use super::within;

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit code; -1 where a signal ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Both outputs, for messages that may be on either.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// The program under test: what this crate builds, or `PORTCULLIS_BIN` to test a packaged one.
pub(crate) fn binary() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_portcullis"));
    std::env::var_os("PORTCULLIS_BIN").map_or_else(built, PathBuf::from)
}

/// Runs `portcullis ARGUMENTS` in the directory of the site, with its environment.
pub(crate) async fn portcullis<A: AsRef<OsStr>>(site: &Site, arguments: &[A]) -> Finished {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(site.path(".")).envs(site.environment());
    run(command, "").await
}

/// Runs a command with this on its standard input.
pub(crate) async fn run(mut command: Command, input: &str) -> Finished {
    let what = format!("{:?}", command.as_std());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let running = async {
        // A command that does not read its input closes the pipe: that is its right.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.expect("the output of a child")
    };
    let output = within(&what, running).await;
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether a tool is installed. Where it is not, says so where a passing test is heard too.
pub(crate) fn installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(usual).any(|place| place.join(tool).is_file());
    if !found {
        missing(tool);
    }
    found
}

/// Says that something is not installed, where a passing test is heard too.
pub(crate) fn missing(tool: &str) {
    skipped(&format!("{tool} is not installed (tests/run does that)"));
}

/// Whether root runs the tests. Where it does not, says so.
pub(crate) fn as_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped("only root can do this");
    }
    root
}

fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not `eprintln!`: the test harness swallows that of a test that passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
