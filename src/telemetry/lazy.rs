//! Counters of a family that differ in one word from a closed list, made when the word first occurs.

use std::sync::OnceLock;

use metrics::Counter;

/// A list that only grows at its end: reading takes no lock and no hash, and an unused one is a pointer.
///
/// `K` comes from code (`&'static str` and flags), so the list is as long as the code has words; the
/// usual word of a service is the first or second entry.
#[derive(Debug)]
pub struct LazyCounters<K>(OnceLock<Box<Entry<K>>>);

#[derive(Debug)]
struct Entry<K> {
    key: K,
    counter: Counter,
    next: OnceLock<Box<Self>>,
}

impl<K> Default for LazyCounters<K> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<K: Copy + PartialEq> LazyCounters<K> {
    /// Adds one to the counter of this key; `make` registers it the first time.
    pub fn increment(&self, key: K, make: impl Fn() -> Counter) {
        let mut link = &self.0;
        loop {
            // Another thread may append first, and then with another key: look at what is there.
            let entry = link
                .get_or_init(|| Box::new(Entry { key, counter: make(), next: OnceLock::new() }));
            if entry.key == key {
                entry.counter.increment(1);
                return;
            }
            link = &entry.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;

    #[test]
    fn each_key_is_made_once_whoever_comes_first() {
        let made = AtomicUsize::new(0);
        let counters = LazyCounters::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for key in ["a", "b", "c", "a"] {
                        counters.increment(key, || {
                            made.fetch_add(1, Relaxed);
                            Counter::noop()
                        });
                    }
                });
            }
        });
        assert_eq!(made.load(Relaxed), 3);
    }
}
