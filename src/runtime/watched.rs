//! Which files matter, and to whom; the symbolic links on the way to them matter as well.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Component;
use std::path::Components;
use std::path::Path;
use std::path::PathBuf;

use crate::names::CertificateName;

/// What depends on a file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Dependent {
    /// One certificate's material.
    Certificate(CertificateName),
    /// The configuration as a whole: its files, and those of profiles, pools and error pages.
    Configuration,
}

/// Which files matter, and to whom.
#[derive(Debug, Default)]
pub struct Files {
    /// Every path whose replacement matters, by the directory that it is in: the files, and each symbolic
    /// link on the way to them. Ten thousand certificates are in few directories.
    directories: BTreeMap<Box<Path>, BTreeMap<Box<OsStr>, Dependents>>,
    /// Directories in which a new or vanished `*.toml` matters.
    include_directories: BTreeSet<PathBuf>,
    /// What is known of the way to the files; forgotten when all of them are there.
    way: Way,
}

/// Who depends on one file: hardly ever more than one.
#[derive(Debug)]
struct Dependents {
    first: Dependent,
    others: Vec<Dependent>,
}

/// Directories that no symbolic link is on the way to.
#[derive(Debug, Default)]
struct Way {
    plain: HashSet<PathBuf>,
}

impl Files {
    /// Adds a file, with the symbolic links on the way to it as they are now.
    pub fn add(&mut self, file: &Path, dependent: &Dependent) {
        for step in self.way.steps(file) {
            self.enter(&step, dependent);
        }
    }

    /// Adds a file whose way may have changed since the others were added, and tells the directories that
    /// it goes through.
    pub fn add_again(&mut self, file: &Path, dependent: &Dependent) -> BTreeSet<PathBuf> {
        let steps = Way::default().steps(file);
        steps.iter().for_each(|step| self.enter(step, dependent));
        steps.iter().filter_map(|step| step.parent()).map(nearest_existing).collect()
    }

    /// Adds a directory from which configuration is included.
    pub fn add_include_directory(&mut self, directory: &Path) {
        self.add(directory, &Dependent::Configuration);
        self.include_directories.insert(real_directory(directory));
    }

    /// Nothing more is added but again.
    #[must_use]
    pub fn complete(self) -> Self {
        Self { way: Way::default(), ..self }
    }

    /// Who has to look again after an event at this path.
    pub fn dependents(&self, path: &Path) -> BTreeSet<Dependent> {
        let mut found = BTreeSet::new();
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return found };
        let entry = self.directories.get(directory).and_then(|entries| entries.get(name));
        if let Some(Dependents { first, others }) = entry {
            found.insert(first.clone());
            found.extend(others.iter().cloned());
        }
        let included = path.extension() == Some(OsStr::new("toml"))
            && self.include_directories.contains(directory);
        if included {
            found.insert(Dependent::Configuration);
        }
        found
    }

    /// The directories in which all of this happens.
    pub fn directories(&self) -> BTreeSet<PathBuf> {
        let nearest = self.directories.keys().map(|directory| nearest_existing(directory));
        nearest.chain(self.include_directories.iter().cloned()).collect()
    }

    fn enter(&mut self, path: &Path, dependent: &Dependent) {
        // Nothing happens to the root.
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return };
        if !self.directories.contains_key(directory) {
            self.directories.insert(directory.into(), BTreeMap::new());
        }
        let Some(entries) = self.directories.get_mut(directory) else { return };
        match entries.get_mut(name) {
            Some(known) => known.add(dependent),
            None => {
                let only = Dependents { first: dependent.clone(), others: Vec::new() };
                entries.insert(name.into(), only);
            }
        }
    }
}

impl Dependents {
    fn add(&mut self, dependent: &Dependent) {
        if self.first != *dependent && !self.others.contains(dependent) {
            self.others.push(dependent.clone());
        }
    }
}

impl Way {
    /// The file's own path and every symbolic link that leads to it, each as the path at which an event
    /// is reported: the real directory joined with the name in it.
    fn steps(&mut self, file: &Path) -> BTreeSet<PathBuf> {
        let mut steps = BTreeSet::new();
        let mut pending = vec![absolute(file)];
        while let Some(path) = pending.pop() {
            if steps.len() > MAX_LINKS {
                break;
            }
            let (mut real, mut rest) = self.known_start(&path);
            while let Some(component) = rest.next() {
                let Component::Normal(name) = component else {
                    if matches!(component, Component::ParentDir) {
                        real.pop();
                    } else {
                        real.push(component);
                    }
                    continue;
                };
                let here = real.join(name);
                if let Ok(target) = fs::read_link(&here) {
                    if steps.insert(here) {
                        let target = real.join(target);
                        let rest = rest.as_path();
                        pending.push(match rest.as_os_str().is_empty() {
                            true => target,
                            false => target.join(rest),
                        });
                    }
                    real.clear();
                    break;
                }
                real = here;
            }
            if !real.as_os_str().is_empty() {
                self.remember(&path, &real);
                steps.insert(real);
            }
        }
        steps
    }

    /// How far the way to a path is known to have no links, and the rest of it.
    fn known_start<'a>(&self, path: &'a Path) -> (PathBuf, Components<'a>) {
        let directory = path.parent().filter(|directory| self.plain.contains(*directory));
        match directory.zip(path.file_name()) {
            Some((directory, name)) => (directory.to_owned(), Path::new(name).components()),
            None => (PathBuf::new(), path.components()),
        }
    }

    /// A path that is what it says.
    fn remember(&mut self, path: &Path, real: &Path) {
        if let Some(directory) = path.parent().filter(|_| path == real)
            && !self.plain.contains(directory)
        {
            self.plain.insert(directory.to_owned());
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn real_directory(directory: &Path) -> PathBuf {
    fs::canonicalize(directory).unwrap_or_else(|_| absolute(directory))
}

/// A directory that does not exist yet announces itself in the one above it.
fn nearest_existing(directory: &Path) -> PathBuf {
    let existing = directory.ancestors().find(|candidate| candidate.is_dir());
    existing.unwrap_or(Path::new("/")).to_owned()
}

/// As many as the kernel follows before it says ELOOP.
const MAX_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn certificate(name: &str) -> Dependent {
        Dependent::Certificate(name.parse().expect("a name"))
    }

    fn steps(file: &Path) -> BTreeSet<PathBuf> {
        Way::default().steps(file)
    }

    #[test]
    fn a_plain_file_is_its_own_only_step() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::write(root.join("a.pem"), "a").unwrap();
        assert_eq!(steps(&root.join("a.pem")), BTreeSet::from([root.join("a.pem")]));
    }

    #[test]
    fn every_link_on_the_way_is_a_step() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir(root.join("..v1")).unwrap();
        fs::write(root.join("..v1/tls.crt"), "1").unwrap();
        symlink("..v1", root.join("..data")).unwrap();
        symlink("..data/tls.crt", root.join("tls.crt")).unwrap();
        let expected = ["tls.crt", "..data", "..v1/tls.crt"].map(|name| root.join(name));
        assert_eq!(steps(&root.join("tls.crt")), BTreeSet::from(expected));
    }

    #[test]
    fn the_second_file_of_a_directory_has_the_steps_that_it_has_alone() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir(root.join("real")).unwrap();
        symlink("real", root.join("link")).unwrap();
        symlink("../other/b.pem", root.join("real/b.pem")).unwrap();
        let files =
            ["real/a.pem", "real/b.pem", "link/a.pem", "link/b.pem", "real/../c.pem", "link"];
        let mut way = Way::default();
        for _ in 0..2 {
            for file in files.map(|file| root.join(file)) {
                assert_eq!(way.steps(&file), steps(&file), "{}", file.display());
            }
        }
    }

    #[test]
    fn a_circle_of_links_ends() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert!(steps(&root.join("a")).contains(&root.join("b")));
    }

    #[test]
    fn a_missing_directory_is_awaited_in_the_one_above() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let mut files = Files::default();
        files.add(&root.join("not/yet/a.pem"), &certificate("a"));
        assert_eq!(files.directories(), BTreeSet::from([root]));
    }

    #[test]
    fn a_file_concerns_all_who_have_it_once_each() {
        let mut files = Files::default();
        let file = Path::new("/nowhere/a.pem");
        for name in ["b", "a", "b", "c", "c"] {
            files.add(file, &certificate(name));
        }
        assert_eq!(files.dependents(file), BTreeSet::from(["a", "b", "c"].map(certificate)));
        assert_eq!(files.dependents(Path::new("/nowhere/b.pem")), BTreeSet::new());
        assert_eq!(files.dependents(Path::new("/")), BTreeSet::new());
    }

    #[test]
    fn a_new_file_of_an_include_directory_concerns_the_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let mut files = Files::default();
        files.add_include_directory(&root);
        let concerned = BTreeSet::from([Dependent::Configuration]);
        assert_eq!(files.dependents(&root.join("new.toml")), concerned);
        assert_eq!(files.dependents(&root.join("new.toml~")), BTreeSet::new());
    }
}
