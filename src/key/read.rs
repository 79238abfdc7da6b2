//! Reads a small file that may hold a secret, once, into a buffer that is wiped.

use std::fs::Metadata;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::config::process::WorldReadableKeys;
use crate::key::problem::FileError;
use crate::key::problem::Problem;

/// The bytes of a file with its metadata at the time of reading.
pub struct FileContent {
    /// Wiped when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Of the open file, so of these bytes.
    pub metadata: Metadata,
}

impl FileContent {
    /// Whether any user of the machine may read the file.
    pub fn is_world_readable(&self) -> bool {
        self.metadata.permissions().mode() & OTHERS_READ != 0
    }

    /// Refuses a secret that everybody may read, or warns of it, as `[process] world_readable_keys` says. The
    /// mode is that of the file that was read, wherever links have led.
    ///
    /// # Errors
    /// [`Problem::WorldReadable`], under [`WorldReadableKeys::Refuse`].
    pub fn keep_secret(&self, path: &Path, policy: WorldReadableKeys) -> Result<(), FileError> {
        if !self.is_world_readable() {
            return Ok(());
        }
        let mode = self.metadata.permissions().mode() & MODE_BITS;
        match policy {
            WorldReadableKeys::Refuse => Err(FileError::new(path, Problem::WorldReadable { mode })),
            WorldReadableKeys::Allow => {
                let (file, mode) = (path.display(), format!("{mode:04o}"));
                tracing::warn!(%file, mode, "everybody on this machine can read a secret of this proxy");
                Ok(())
            }
        }
    }
}

/// Reads a regular file of at most [`MAX_FILE`] bytes; an empty one is an error.
pub fn read_file(path: &Path) -> Result<FileContent, FileError> {
    read(path).map_err(|problem| FileError::new(path, problem))
}

fn read(path: &Path) -> Result<FileContent, Problem> {
    // Otherwise, opening a FIFO waits for its writer.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Problem::Directory);
    }
    if !metadata.is_file() {
        return Err(Problem::NotAFile);
    }
    if metadata.len() > MAX_FILE {
        return Err(Problem::TooLarge);
    }
    let expected = usize::try_from(metadata.len()).map_err(|_| Problem::TooLarge)?;
    let bytes = read_wiped(&mut file, expected)?;
    if bytes.is_empty() { Err(Problem::Empty) } else { Ok(FileContent { bytes, metadata }) }
}

/// `read_to_end` has a probe on the stack, and grows a `Vec` by leaving its old buffer behind: both would be
/// copies that nobody wipes.
fn read_wiped(file: &mut impl Read, expected: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
    // One byte more than expected shows the end.
    let mut bytes = Zeroizing::new(vec![0; expected + 1]);
    let mut filled = 0;
    loop {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        if filled as u64 > MAX_FILE {
            return Err(Problem::TooLarge);
        }
        if filled == bytes.len() {
            // It grew while it was read.
            let mut larger = Zeroizing::new(vec![0; filled * 2]);
            larger[..filled].copy_from_slice(&bytes);
            bytes = larger;
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Permission of those who are neither the owner nor of the group.
const OTHERS_READ: u32 = 0o004;

/// What `chmod` sets.
const MODE_BITS: u32 = 0o7777;

/// Far above any chain; keeps a wrong path (a log, a device) from filling the memory.
pub const MAX_FILE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(path: &Path) -> Problem {
        read_file(path).err().expect("an error").problem
    }

    #[test]
    fn what_is_no_readable_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(problem(dir.path()), Problem::Directory);
        assert_eq!(problem(&dir.path().join("none")), Problem::Missing);
        assert_eq!(problem(Path::new("/dev/null")), Problem::NotAFile);
        let path = dir.path().join("file");
        std::fs::write(&path, b"").unwrap();
        assert_eq!(problem(&path), Problem::Empty);
        std::fs::write(&path, vec![b'x'; 1024 * 1024 + 1]).unwrap();
        assert_eq!(problem(&path), Problem::TooLarge);
        assert_eq!(problem(&path.join("below")), Problem::Missing);
    }

    #[test]
    fn a_file_that_everybody_may_read_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"x").unwrap();
        for (mode, open) in [(0o644, true), (0o640, false), (0o600, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let content = read_file(&path).unwrap();
            assert_eq!(content.is_world_readable(), open, "{mode:o}");
            let refused = content.keep_secret(&path, WorldReadableKeys::Refuse);
            assert_eq!(refused.is_err(), open, "{mode:o}");
            assert!(content.keep_secret(&path, WorldReadableKeys::Allow).is_ok());
        }
    }

    #[test]
    fn the_mode_is_that_of_the_file_behind_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, b"x").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o604)).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        let content = read_file(&link).unwrap();
        let error = content.keep_secret(&link, WorldReadableKeys::Refuse).unwrap_err();
        assert_eq!(error.problem, Problem::WorldReadable { mode: 0o604 });
        assert!(error.to_string().contains("0604"), "{error}");
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_read_to_its_end() {
        let text = [7; 1000];
        assert_eq!(*read_wiped(&mut &text[..], 3).unwrap(), text);
        assert_eq!(*read_wiped(&mut &text[..], 1000).unwrap(), text);
        assert!(read_wiped(&mut &text[..0], 0).unwrap().is_empty());
        let endless = read_wiped(&mut io::repeat(1), 10).unwrap_err();
        assert_eq!(endless, Problem::TooLarge);
    }
}
