//! One place where lines go: a file or standard output. Only the writer thread touches what is open.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use tracing::error;
use tracing::info;

/// A file or standard output.
#[derive(Debug)]
pub(super) struct Output {
    /// `None`: standard output.
    path: Option<PathBuf>,
    /// Taken by the writer thread alone.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    /// The last write stopped in the middle of a line.
    torn: bool,
    /// The last write or open failed; said once, when it begins and when it ends.
    failing: bool,
    /// When it was last written to, for [`Output::last_used`].
    used: u64,
}

impl Output {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self { path, state: Mutex::default() }
    }

    /// Writes whole lines and returns how many of them were lost.
    pub(super) fn write(&self, lines: &[u8], now: u64) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.used = now;
        let (written, result) = self.try_write(&mut state, lines);
        match result {
            Ok(()) => {
                if state.failing {
                    state.failing = false;
                    info!(log = %self.name(), "the application log can be written again");
                }
                0
            }
            Err(error) => {
                if !state.failing {
                    state.failing = true;
                    error!(log = %self.name(), %error, "cannot write the application log; lines are dropped");
                }
                lines[written..].iter().filter(|byte| **byte == b'\n').count() as u64
            }
        }
    }

    /// Opens the path again, which log rotation has moved away. What is open stays if that fails.
    pub(super) fn reopen(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(path), true) = (&self.path, state.file.is_some()) else { return };
        match open_file(path) {
            Ok(file) => {
                state.file = Some(file);
                state.torn = false;
            }
            Err(error) => {
                error!(log = %self.name(), %error, "cannot open the application log again");
            }
        }
    }

    /// Closes the file; the next line opens it again.
    pub(super) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.file = None;
    }

    /// When the file was last written to; `None` if it is not open.
    pub(super) fn last_used(&self) -> Option<u64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.file.as_ref().map(|_| state.used)
    }

    fn name(&self) -> impl std::fmt::Display {
        self.path.as_deref().unwrap_or(Path::new("stdout")).display()
    }

    fn try_write(&self, state: &mut State, lines: &[u8]) -> (usize, io::Result<()>) {
        let file = match &mut state.file {
            Some(file) => file,
            closed => match self.open() {
                Ok(file) => closed.insert(file),
                Err(error) => return (0, Err(error)),
            },
        };
        if state.torn {
            // The half of a line that is there already must not swallow the next one.
            if let Err(error) = file.write_all(b"\n") {
                return (0, Err(error));
            }
            state.torn = false;
        }
        let mut written = 0;
        while written < lines.len() {
            match file.write(&lines[written..]) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    state.torn = written > 0 && lines[written - 1] != b'\n';
                    return (written, Err(error));
                }
            }
        }
        (written, Ok(()))
    }

    fn open(&self) -> io::Result<File> {
        match &self.path {
            Some(path) => open_file(path),
            // A duplicate, because std's own stdout buffers, locks and hides that it is closed.
            None => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        }
    }
}

/// Readable for the group, as log shippers run in it.
fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_full_disk_loses_and_counts_lines_and_is_tried_again() {
        let output = Output::new(Some("/dev/full".into()));
        assert_eq!(output.write(b"{}\n{}\n", 1), 2);
        assert_eq!(output.write(b"{}\n", 2), 1);
    }

    #[test]
    fn files_are_made_with_mode_0640_and_reopened_where_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let output = Output::new(Some(path.clone()));
        assert_eq!(output.last_used(), None);
        assert_eq!(output.write(b"1\n", 7), 0);
        assert_eq!(output.last_used(), Some(7));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
        fs::rename(&path, directory.path().join("app.log.1")).unwrap();
        output.write(b"2\n", 8);
        output.reopen();
        output.write(b"3\n", 9);
        assert_eq!(fs::read_to_string(directory.path().join("app.log.1")).unwrap(), "1\n2\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
    }

    #[test]
    fn a_reopen_that_fails_keeps_the_open_file() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let moved = directory.path().join("moved");
        let output = Output::new(Some(inner.join("app.log")));
        output.write(b"1\n", 1);
        fs::rename(&inner, &moved).unwrap();
        output.reopen();
        assert_eq!(output.write(b"2\n", 2), 0);
        assert_eq!(fs::read_to_string(moved.join("app.log")).unwrap(), "1\n2\n");
    }
}
