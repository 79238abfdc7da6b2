//! Reads a small file that may hold a secret, once, into a buffer that is wiped.

use std::fs::Metadata;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

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
        use std::os::unix::fs::PermissionsExt;
        self.metadata.permissions().mode() & 0o004 != 0
    }
}

/// Reads a regular file of at most [`MAX_FILE`] bytes; an empty one is an error.
pub fn read_file(path: &Path) -> Result<FileContent, FileError> {
    read(path).map_err(|problem| FileError::new(path, problem))
}

fn read(path: &Path) -> Result<FileContent, Problem> {
    // Otherwise, opening a FIFO waits for its writer.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
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
    // One byte more than expected shows the end without a second allocation, which would leave an
    // unwiped copy behind.
    let expected = usize::try_from(metadata.len()).map_err(|_| Problem::TooLarge)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected + 1));
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    if bytes.is_empty() { Err(Problem::Empty) } else { Ok(FileContent { bytes, metadata }) }
}

/// Far above any chain; keeps a wrong path (a log, a device) from filling the memory.
pub const MAX_FILE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
            assert_eq!(read_file(&path).unwrap().is_world_readable(), open, "{mode:o}");
        }
    }
}
