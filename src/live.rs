//! The one pointer that the control plane may replace while workers read it.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::Guard;

/// A value that can change under traffic.
///
/// There are few: a listener's table and the place that its plain side redirects to, a certificate's
/// material, a pool's members and their standing, and the page that the admin shows. "What can change at run time?" is one search for this word. Whoever needs another
/// one says here why none of these will do.
pub struct Live<T>(ArcSwap<T>);

impl<T> Live<T> {
    /// Starts with a value.
    pub fn new(value: Arc<T>) -> Self {
        Self(ArcSwap::new(value))
    }

    /// What holds now. Take what you need and drop the guard before the first `.await`.
    pub fn current(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// What holds now, to keep.
    pub fn snapshot(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Publishes the next value. Readers that hold the previous one finish with it.
    pub fn replace(&self, next: Arc<T>) {
        self.0.store(next);
    }
}

impl<T: fmt::Debug> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").field(&self.0.load()).finish()
    }
}
