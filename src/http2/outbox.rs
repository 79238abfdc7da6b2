//! What is to be written to a client: frames, one behind the other. Pure.
//!
//! Its room is lent by the worker: an outbox with nothing in it has none of its own.

use crate::spares::Spares;

/// Frames that wait to be written.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
}

impl Outbox {
    /// Where frames are added.
    pub fn frames(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = Spares::take(&SPARE).unwrap_or_else(|| Vec::with_capacity(USUAL));
        }
        &mut self.bytes
    }

    /// What is to be written next.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether no more should be added that can wait.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    /// How many pieces of bodies there is room for.
    pub fn room(&self, piece: usize) -> usize {
        FULL.saturating_sub(self.bytes.len()).div_ceil(piece)
    }

    /// So much of it was written.
    pub fn wrote(&mut self, count: usize) {
        if count < self.bytes.len() {
            self.bytes.drain(..count);
            return;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        if bytes.capacity() <= MOST_SPARED {
            Spares::keep(&SPARE, bytes);
        }
    }
}

thread_local! {
    /// What connections of this worker write from: several are filled before the first is written.
    static SPARE: Spares<Vec<u8>> = const { Spares::new(SPARES) };
}

/// What is held before those who can wait have to: four TLS records.
const FULL: usize = 64 << 10;

/// What there is room for at first: some small responses.
const USUAL: usize = 4 << 10;

/// Up to here the room is kept for whoever needs it next, and so many times.
const MOST_SPARED: usize = 128 << 10;
const SPARES: usize = 8;
