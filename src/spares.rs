//! What a thread has used and will use again: buffers, lists, pipes. Nobody holds them meanwhile.

use std::cell::RefCell;
use std::thread::LocalKey;

/// A few things of a thread, for whoever of it needs one next.
#[derive(Debug)]
pub struct Spares<T> {
    things: RefCell<Vec<T>>,
    most: usize,
}

impl<T> Spares<T> {
    /// None yet, and never more than so many.
    pub const fn new(most: usize) -> Self {
        Self { things: RefCell::new(Vec::new()), most }
    }

    /// One, if there is one.
    pub fn take(spares: &'static LocalKey<Self>) -> Option<T> {
        // Fails while the thread ends.
        spares.try_with(|spares| spares.things.borrow_mut().pop()).ok().flatten()
    }

    /// Keeps one, if there are not enough of them.
    pub fn keep(spares: &'static LocalKey<Self>, thing: T) {
        let mut thing = Some(thing);
        let _ = spares.try_with(|spares| {
            let mut things = spares.things.borrow_mut();
            if things.len() < spares.most {
                things.extend(thing.take());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static SPARE: Spares<u8> = const { Spares::new(2) };
    }

    #[test]
    fn what_is_kept_is_used_again_and_no_more_than_enough_is_kept() {
        assert_eq!(Spares::take(&SPARE), None);
        for thing in [1, 2, 3] {
            Spares::keep(&SPARE, thing);
        }
        let taken = [(); 3].map(|()| Spares::take(&SPARE));
        assert_eq!(taken, [Some(2), Some(1), None]);
    }
}
