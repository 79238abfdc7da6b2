//! "Did this file change?": cheaply by its metadata, surely by its content.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What identifies one state of a file. Equal stamps: nobody wrote to it in between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Nanoseconds since 1970.
    modified: i64,
    /// Nanoseconds since 1970; cannot be set by a user, so `touch -d` and `cp -p` do not hide a change.
    changed: i64,
}

impl FileStamp {
    /// The stamp of what a path leads to now, symbolic links followed.
    pub fn of(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for FileStamp {
    fn from(metadata: &Metadata) -> Self {
        // Only compared: that they begin again after 584 years does no harm.
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_file_and_a_swapped_link_have_new_stamps() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second, link) =
            (dir.path().join("1"), dir.path().join("2"), dir.path().join("link"));
        std::fs::write(&first, "same").unwrap();
        std::fs::write(&second, "same").unwrap();
        std::os::unix::fs::symlink(&first, &link).unwrap();
        let before = FileStamp::of(&link).unwrap();
        assert_eq!(before, FileStamp::of(&first).unwrap());
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&second, &link).unwrap();
        assert_ne!(before, FileStamp::of(&link).unwrap());
    }
}
