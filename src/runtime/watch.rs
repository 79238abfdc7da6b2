//! Notices that files changed, in whatever way: rename, write in place, swapped symbolic links.
//!
//! The kernel's events only mean "look again"; what really changed is decided by reading. Directories
//! are watched, never files: a watch on a file dies with the first rename onto it. Behind the events
//! stands a slow poll, for network file systems and for events that were lost.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use notify::EventKind;
use notify::RecursiveMode;
use notify::Watcher;
use notify::event::AccessKind;
use notify::event::AccessMode;
use tokio::sync::mpsc;

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
    /// Every path whose replacement matters: the files, and each symbolic link on the way to them.
    by_path: BTreeMap<PathBuf, BTreeSet<Dependent>>,
    /// Directories in which a new or vanished `*.toml` matters.
    include_directories: BTreeSet<PathBuf>,
}

impl Files {
    /// Adds a file, with the symbolic links on the way to it as they are now.
    pub fn add(&mut self, file: &Path, dependent: &Dependent) {
        for step in steps(file) {
            self.by_path.entry(step).or_default().insert(dependent.clone());
        }
    }

    /// Adds a directory from which configuration is included.
    pub fn add_include_directory(&mut self, directory: &Path) {
        self.add(directory, &Dependent::Configuration);
        self.include_directories.insert(real_directory(directory));
    }

    /// Who has to look again after an event at this path.
    fn dependents(&self, path: &Path) -> BTreeSet<Dependent> {
        let mut found = self.by_path.get(path).cloned().unwrap_or_default();
        let included = path.extension() == Some(OsStr::new("toml"))
            && path.parent().is_some_and(|parent| self.include_directories.contains(parent));
        if included {
            found.insert(Dependent::Configuration);
        }
        found
    }

    /// The directories in which all of this happens.
    fn directories(&self) -> BTreeSet<PathBuf> {
        let parents = self.by_path.keys().filter_map(|path| path.parent());
        let nearest = parents.map(nearest_existing);
        nearest.chain(self.include_directories.iter().cloned()).collect()
    }
}

/// The kernel's notifications, reduced to who has to look again.
#[derive(Debug)]
pub struct Watch {
    /// None where the kernel gives no notifications; then the poll does all.
    kernel: Option<notify::RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    files: Files,
    events: mpsc::Receiver<Vec<PathBuf>>,
    lost: Arc<AtomicBool>,
}

/// What a batch of events asks for.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Look {
    /// These alone.
    pub dependents: BTreeSet<Dependent>,
    /// Everything, because events were lost or a watched directory went away.
    pub everything: bool,
}

impl Look {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        !self.everything && self.dependents.is_empty()
    }

    /// Adds what another batch asks for.
    pub fn merge(&mut self, other: Self) {
        self.dependents.extend(other.dependents);
        self.everything |= other.everything;
    }
}

impl Watch {
    /// Starts with nothing to watch.
    pub fn start() -> Self {
        let (sender, events) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicBool::new(false));
        let lost_here = Arc::clone(&lost);
        // This runs on notify's own thread. A slow callback is what overflows the kernel's queue,
        // so it only hands over.
        let callback = move |event: notify::Result<notify::Event>| {
            let paths = match event {
                Ok(event) if event.need_rescan() => Vec::new(),
                Ok(event) if !is_change(event.kind) => return,
                Ok(event) => event.paths,
                Err(_) => Vec::new(),
            };
            if paths.is_empty() {
                lost_here.store(true, Ordering::Release);
            }
            if sender.try_send(paths).is_err() {
                lost_here.store(true, Ordering::Release);
            }
        };
        let kernel = notify::recommended_watcher(callback)
            .inspect_err(|error| tracing::warn!(%error, "no file notifications: polling only"))
            .ok();
        Self { kernel, watched: BTreeSet::new(), files: Files::default(), events, lost }
    }

    /// Watches these files instead of the previous ones.
    pub fn follow(&mut self, files: Files) {
        let wanted = files.directories();
        self.files = files;
        let Some(kernel) = &mut self.kernel else { return };
        let mut failed = None;
        for directory in self.watched.difference(&wanted) {
            // Fails for a directory that is gone, and then there is nothing left to do.
            drop(kernel.unwatch(directory));
        }
        self.watched.retain(|directory| wanted.contains(directory));
        for directory in wanted.difference(&self.watched.clone()) {
            match kernel.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(directory.clone())),
                Err(error) => failed = Some((directory.clone(), error)),
            }
        }
        if let Some((directory, error)) = failed {
            let directory = directory.display();
            tracing::warn!(%directory, %error, "not every directory can be watched: the poll covers the rest");
        }
    }

    /// Watches one file more, or again after a link on the way to it was swapped: the cost is that
    /// file's alone, however many others are watched.
    pub fn also(&mut self, file: &Path, dependent: &Dependent) {
        let Some(kernel) = &mut self.kernel else { return };
        for step in steps(file) {
            let directory = step.parent().map(nearest_existing);
            self.files.by_path.entry(step).or_default().insert(dependent.clone());
            let Some(directory) = directory.filter(|new| !self.watched.contains(new)) else {
                continue;
            };
            // A failure was said when everything was followed; the poll covers it.
            if kernel.watch(&directory, RecursiveMode::NonRecursive).is_ok() {
                self.watched.insert(directory);
            }
        }
    }

    /// Waits for the next events that matter. Cancel safe.
    pub async fn changed(&mut self) -> Look {
        loop {
            let Some(paths) = self.events.recv().await else {
                return std::future::pending().await;
            };
            let look = self.look(&paths);
            if !look.is_empty() {
                return look;
            }
        }
    }

    fn look(&mut self, paths: &[PathBuf]) -> Look {
        let mut look = Look::default();
        for path in paths {
            look.dependents.extend(self.files.dependents(path));
            // The directory itself went away or was made anew: its watch is dead.
            if self.watched.remove(path) {
                look.everything = true;
            }
        }
        look.everything |= self.lost.swap(false, Ordering::AcqRel);
        look
    }
}

/// Our own reads make events too; reacting to them would never end.
fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// The file's own path and every symbolic link that leads to it, each as the path at which an event
/// is reported: the real directory joined with the name in it.
fn steps(file: &Path) -> BTreeSet<PathBuf> {
    let mut steps = BTreeSet::new();
    let mut pending = vec![absolute(file)];
    while let Some(path) = pending.pop() {
        if steps.len() > MAX_LINKS {
            break;
        }
        let mut real = PathBuf::new();
        let components: Vec<_> = path.components().collect();
        for (position, component) in components.iter().enumerate() {
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
                    let rest: PathBuf = components[position + 1..].iter().collect();
                    pending.push(if rest.as_os_str().is_empty() {
                        real.join(target)
                    } else {
                        real.join(target).join(rest)
                    });
                }
                real.clear();
                break;
            }
            real = here;
        }
        if !real.as_os_str().is_empty() {
            steps.insert(real);
        }
    }
    steps
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

/// Batches that wait; one more is "events were lost", which costs one look at everything.
const QUEUE: usize = 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn certificate(name: &str) -> Dependent {
        Dependent::Certificate(name.parse().expect("a name"))
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
    fn a_new_file_of_an_include_directory_concerns_the_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let mut files = Files::default();
        files.add_include_directory(&root);
        let concerned = BTreeSet::from([Dependent::Configuration]);
        assert_eq!(files.dependents(&root.join("new.toml")), concerned);
        assert_eq!(files.dependents(&root.join("new.toml~")), BTreeSet::new());
    }

    #[test]
    fn lost_events_ask_for_a_look_at_everything_once() {
        let mut watch = Watch::start();
        watch.lost.store(true, Ordering::Release);
        assert_eq!(watch.look(&[]), Look { everything: true, ..Look::default() });
        assert!(watch.look(&[]).is_empty());
    }

    #[tokio::test]
    async fn a_swapped_link_is_noticed_again_and_again() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for version in 0..4 {
            fs::create_dir(root.join(format!("v{version}"))).unwrap();
            fs::write(root.join(format!("v{version}/tls.crt")), "x").unwrap();
        }
        symlink("v0", root.join("..data")).unwrap();
        symlink("..data/tls.crt", root.join("tls.crt")).unwrap();
        let mut watch = Watch::start();
        for version in 1..4 {
            let mut files = Files::default();
            files.add(&root.join("tls.crt"), &certificate("a"));
            watch.follow(files);
            symlink(format!("v{version}"), root.join("..tmp")).unwrap();
            fs::rename(root.join("..tmp"), root.join("..data")).unwrap();
            let deadline = std::time::Duration::from_secs(10);
            let look = tokio::time::timeout(deadline, watch.changed()).await.expect("an event");
            assert!(look.dependents.contains(&certificate("a")), "{look:?}");
        }
    }
}
