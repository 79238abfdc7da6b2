//! The files behind a configuration, other than certificates, and whether their content changed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::fs::Metadata;
use std::path::Path;
use std::path::PathBuf;

use aws_lc_rs::digest;

use crate::config::Config;
use crate::config::tls_profile::ClientCertificate;
use crate::runtime::error_pages;

/// Content digests of everything whose change asks for a reload of the configuration.
#[derive(Debug, Default)]
pub struct Sources {
    files: BTreeMap<PathBuf, Content>,
    directories: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

/// The digest of a file, or that it cannot be read.
pub type Content = Option<[u8; 32]>;

impl Sources {
    /// Reads them all.
    pub fn of(config: &Config) -> Self {
        let profiles =
            config.tls_profiles.values().flat_map(|profile| match &profile.client_certificate {
                ClientCertificate::None => Vec::new(),
                ClientCertificate::Request { ca, crl } | ClientCertificate::Require { ca, crl } => {
                    std::iter::once(ca).chain(crl).collect()
                }
            });
        let pools = config.pools.values().filter_map(|pool| pool.tls.as_ref()?.ca.as_ref());
        let pages = error_pages::paths(config);
        let files = config.files.iter().chain(profiles).chain(pools).chain(pages);
        let directories = config.include_directories.iter();
        Self {
            files: files.map(|path| (path.clone(), content(path))).collect(),
            directories: directories.map(|path| (path.clone(), listing(path))).collect(),
        }
    }

    /// The same as it was when `earlier` was read, as far as that goes: what has changed since is a change.
    pub fn since(mut self, earlier: Self) -> Self {
        for (path, content) in earlier.files {
            self.files.entry(path).and_modify(|known| *known = content);
        }
        for (path, listing) in earlier.directories {
            self.directories.entry(path).and_modify(|known| *known = listing);
        }
        self
    }

    /// The files, to watch.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// Reads them again. What is found is remembered, so one change is reported once.
    pub fn changed(&mut self) -> bool {
        let mut changed = false;
        for (path, known) in &mut self.files {
            let now = content(path);
            changed |= std::mem::replace(known, now) != now;
        }
        for (path, known) in &mut self.directories {
            let now = listing(path);
            changed |= *known != now;
            *known = now;
        }
        changed
    }
}

/// The digest of what a file holds now.
pub fn content(path: &Path) -> Content {
    // A pipe would never end, and is empty the second time.
    fs::metadata(path).ok().filter(Metadata::is_file)?;
    let bytes = fs::read(path).ok()?;
    digest::digest(&digest::SHA256, &bytes).as_ref().try_into().ok()
}

/// The files of a directory that are configuration.
fn listing(directory: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Sources {
        let files = BTreeMap::from([(path.to_owned(), content(path))]);
        let parent = path.parent().expect("a directory");
        let directories = BTreeMap::from([(parent.to_owned(), listing(parent))]);
        Sources { files, directories }
    }

    #[test]
    fn what_has_changed_since_is_a_change_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        fs::write(&path, "before").unwrap();
        let earlier = read(&path);
        assert!(!read(&path).since(earlier).changed(), "nothing has");
        let earlier = read(&path);
        fs::write(&path, "after").unwrap();
        let mut sources = read(&path).since(earlier);
        assert!(sources.changed() && !sources.changed());
        let earlier = read(&path);
        fs::write(directory.path().join("b.toml"), "").unwrap();
        let mut sources = read(&path).since(earlier);
        assert!(sources.changed() && !sources.changed());
    }
}
