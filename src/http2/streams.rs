//! The streams of a connection, by their numbers. Pure.

use std::collections::VecDeque;

use crate::http2::stream::Stream;

/// Those that are open, and those that somebody still looks at.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// In the order of their numbers, which is that in which they were opened. Boxed, because the list moves.
    list: Vec<(u32, Box<Stream>)>,
    /// How many of them are open.
    open: u32,
    /// Those that we have ended, of which the client may not know yet.
    stopped: VecDeque<u32>,
}

impl Streams {
    /// A stream, if it is there.
    pub(super) fn get(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.find(id)?;
        Some(&mut self.list[at].1)
    }

    /// One that the client has opened; its number is the highest so far.
    pub(super) fn open(&mut self, id: u32, stream: Stream) {
        self.open += 1;
        self.list.push((id, Box::new(stream)));
    }

    /// How many are open.
    pub(super) fn count(&self) -> u32 {
        self.open
    }

    /// Takes note of what has become of a stream.
    pub(super) fn settle(&mut self, id: u32) {
        let Some(at) = self.find(id) else { return };
        let stream = &mut self.list[at].1;
        if !stream.is_closed() {
            return;
        }
        if std::mem::take(&mut stream.is_counted) {
            self.open -= 1;
        }
        if !stream.is_held() {
            self.list.remove(at);
            if self.list.is_empty() && self.list.capacity() > MOST_KEPT {
                self.list = Vec::new();
            }
        }
    }

    /// All of them.
    pub(super) fn iter(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.list.iter_mut().map(|(_, stream)| &mut **stream)
    }

    /// The client may go on sending on this one for a while.
    pub(super) fn stopped(&mut self, id: u32) {
        if self.stopped.len() == MOST_STOPPED {
            self.stopped.pop_front();
        }
        self.stopped.push_back(id);
    }

    /// Whether the client may not know that this one has ended; `forget` if it sends nothing more on it.
    pub(super) fn is_stopped(&mut self, id: u32, forget: bool) -> bool {
        let Some(at) = self.stopped.iter().position(|stopped| *stopped == id) else { return false };
        if forget {
            self.stopped.remove(at);
            if self.stopped.is_empty() {
                self.stopped = VecDeque::new();
            }
        }
        true
    }

    fn find(&self, id: u32) -> Option<usize> {
        self.list.binary_search_by_key(&id, |(id, _)| *id).ok()
    }
}

/// Places of a list that are kept while there are no streams.
const MOST_KEPT: usize = 16;

/// Streams that we have ended, and remember.
const MOST_STOPPED: usize = 256;
