//! Where what a verb has made goes: standard output, or a file that is whole or not there.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::bail;

/// The file, if one is wanted.
#[derive(Debug, clap::Args)]
pub struct Output {
    /// Write it to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long, requires = "out")]
    force: bool,
}

impl Output {
    /// Refuses what [`write`](Self::write) would refuse, before any work is done.
    ///
    /// # Errors
    /// The file is there, or something that is no file.
    pub fn check(&self) -> anyhow::Result<()> {
        let Some(path) = &self.out else { return Ok(()) };
        match fs::symlink_metadata(path) {
            Err(_) => Ok(()),
            Ok(there) if !there.is_file() => bail!("{} is not a file", path.display()),
            Ok(_) if self.force => Ok(()),
            Ok(_) => bail!("{}", there_already(path)),
        }
    }

    /// Writes it: the file is new or old afterwards, whatever happens, and never half (SPEC CERT-10).
    ///
    /// # Errors
    /// The file is there and may not be replaced, or cannot be written.
    pub fn write(&self, text: &str) -> anyhow::Result<()> {
        let Some(path) = &self.out else {
            return io::stdout().write_all(text.as_bytes()).context("cannot write the output");
        };
        self.check()?;
        let name = path.file_name().context("--out needs the name of a file")?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let beside = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let beside = directory.join(beside);
        let written = write_new(&beside, text).and_then(|()| match self.force {
            true => fs::rename(&beside, path),
            // Unlike a rename, it replaces nothing that has come meanwhile.
            false => fs::hard_link(&beside, path),
        });
        // After a rename it is not there any more.
        let _ = fs::remove_file(&beside);
        match written.and_then(|()| File::open(directory)?.sync_all()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("{}", there_already(path))
            }
            other => other.with_context(|| format!("cannot write {}", path.display())),
        }
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn there_already(path: &Path) -> String {
    format!("{} is there already; add --force to replace it", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_only_where_that_is_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("request.pem");
        let output = |force| Output { out: Some(path.clone()), force };
        output(false).write("one").unwrap();
        let refused = output(false).write("two").unwrap_err().to_string();
        assert!(refused.contains("request.pem") && refused.contains("--force"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        output(true).write("two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_no_file_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path(), Path::new("/dev/null")] {
            let output = Output { out: Some(path.to_owned()), force: true };
            assert!(output.check().is_err() && output.write("x").is_err(), "{}", path.display());
        }
    }
}
