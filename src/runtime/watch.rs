//! Notices that files changed, in whatever way: rename, write in place, swapped symbolic links.
//!
//! The kernel's events only mean "look again"; what really changed is decided by reading. Directories
//! are watched, never files: a watch on a file dies with the first rename onto it. Behind the events
//! stands a slow poll, for network file systems and for events that were lost.

use std::collections::BTreeSet;
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
use notify::event::ModifyKind;
use tokio::sync::mpsc;

use crate::runtime::watched::Dependent;
use crate::runtime::watched::Files;

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
        self.files = files.complete();
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
        for directory in self.files.add_again(file, dependent) {
            if self.watched.contains(&directory) {
                continue;
            }
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

/// Our own reads make events too; reacting to them would never end. A file that is being written is looked
/// at when its writer closes it: before, it may be half of what it will be, and a log in the same directory
/// is written all the time.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(ModifyKind::Data(_)) => false,
        _ => true,
    }
}

/// Batches that wait; one more is "events were lost", which costs one look at everything.
const QUEUE: usize = 1024;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn certificate(name: &str) -> Dependent {
        Dependent::Certificate(name.parse().expect("a name"))
    }

    #[test]
    fn lost_events_ask_for_a_look_at_everything_once() {
        let mut watch = Watch::start();
        watch.lost.store(true, Ordering::Release);
        assert_eq!(watch.look(&[]), Look { everything: true, ..Look::default() });
        assert!(watch.look(&[]).is_empty());
    }

    #[tokio::test]
    async fn a_file_is_looked_at_when_its_writer_closes_it() {
        use std::io::Write;
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let mut watch = Watch::start();
        let mut files = Files::default();
        let [first, second] = ["a", "b"].map(|name| {
            let path = root.join(name);
            files.add(&path, &certificate(name));
            fs::File::create(path).unwrap()
        });
        watch.follow(files);
        let mut look = async || {
            let deadline = std::time::Duration::from_secs(10);
            tokio::time::timeout(deadline, watch.changed()).await.expect("an event")
        };
        (&first).write_all(b"half of").unwrap();
        drop(second);
        assert_eq!(look().await.dependents, [certificate("b")].into());
        drop(first);
        assert_eq!(look().await.dependents, [certificate("a")].into());
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
