//! One stream: what is known of it in both directions, and what came of its body. Pure.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use bytes::BytesMut;

use crate::http2::code::StreamError;
use crate::message::Fields;

/// A stream that a client has opened.
#[derive(Debug)]
pub struct Stream {
    /// Why it ended before its end; both directions are over then.
    pub error: Option<StreamError>,
    /// It counts towards how many there may be.
    pub is_counted: bool,
    /// Its task has looked at it.
    pub is_seen: bool,
    /// What the client sends.
    pub inward: Inward,
    /// What we send.
    pub outward: Outward,
}

/// The client's direction.
#[derive(Debug)]
pub struct Inward {
    /// There is somebody who reads it.
    pub is_held: bool,
    /// All of it has come.
    pub has_ended: bool,
    /// Bytes that the client may still send.
    pub room: u32,
    /// Bytes that were taken, and that the client was not told of.
    pub taken: u32,
    /// What is still to come of a body whose length was said.
    pub left: Option<u64>,
    /// What came after the body.
    pub trailers: Option<Fields>,
    /// Who waits for more.
    pub reader: Option<Waker>,
    chunks: VecDeque<BytesMut>,
    /// Bytes in there.
    waiting: u32,
}

/// Our direction.
#[derive(Debug)]
pub struct Outward {
    /// There is somebody who writes it.
    pub is_held: bool,
    /// All of it was written.
    pub has_ended: bool,
    /// Bytes that the client has room for; less than none where it has changed its mind.
    pub window: i64,
    /// It is in the queue for room.
    pub is_waiting: bool,
    /// There is room, and it is this stream's to use.
    pub has_turn: bool,
    /// It is the client that gives no room.
    pub lacks_window: bool,
    /// Who waits for room, or for the client to reset the stream.
    pub writer: Option<Waker>,
}

impl Stream {
    /// One that has just been opened. `window` is what the client has room for on each, `room` what we have.
    pub fn new(window: i64, room: u32, left: Option<u64>, has_ended: bool) -> Self {
        Self {
            error: None,
            is_counted: true,
            is_seen: false,
            inward: Inward {
                is_held: !has_ended,
                has_ended,
                room,
                taken: 0,
                left,
                trailers: None,
                reader: None,
                chunks: VecDeque::new(),
                waiting: 0,
            },
            outward: Outward {
                is_held: true,
                has_ended: false,
                window,
                is_waiting: false,
                has_turn: false,
                lacks_window: false,
                writer: None,
            },
        }
    }

    /// Whether nothing passes any more, in neither direction.
    pub fn is_closed(&self) -> bool {
        self.error.is_some() || (self.inward.has_ended && self.outward.has_ended)
    }

    /// Whether more may come.
    pub fn is_receiving(&self) -> bool {
        self.error.is_none() && !self.inward.has_ended
    }

    /// Whether somebody still looks at it.
    pub fn is_held(&self) -> bool {
        self.inward.is_held || self.outward.is_held
    }

    /// Wakes whoever waits for something of it.
    pub fn wake(&mut self) {
        self.inward.wake();
        self.outward.wake();
    }
}

impl Inward {
    /// A piece of the body came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting += bytes.len() as u32;
        let fits = |last: &&mut BytesMut| last.capacity() - last.len() >= bytes.len();
        match self.chunks.back_mut().filter(fits) {
            Some(last) => last.extend_from_slice(bytes),
            None => {
                // What is not taken at once is gathered, in ever larger pieces.
                let last = self.chunks.back().map_or(0, BytesMut::capacity);
                let room = (last * 2).clamp(LEAST_CHUNK, MOST_CHUNK).max(bytes.len());
                let mut chunk = BytesMut::with_capacity(room);
                chunk.extend_from_slice(bytes);
                self.chunks.push_back(chunk);
            }
        }
        self.wake();
    }

    /// The next piece.
    pub fn pop(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.pop_front()?;
        self.waiting -= chunk.len() as u32;
        Some(chunk.freeze())
    }

    /// Whether nothing is left to be read, and nothing will come.
    pub fn is_over(&self) -> bool {
        self.has_ended && self.chunks.is_empty() && self.trailers.is_none()
    }

    /// Forgets what was not read: how many bytes that was.
    pub fn clear(&mut self) -> u32 {
        self.chunks = VecDeque::new();
        self.trailers = None;
        std::mem::take(&mut self.waiting)
    }

    /// Wakes whoever waits for more.
    pub fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Outward {
    /// Wakes whoever waits for room.
    pub fn wake(&self) {
        if let Some(writer) = &self.writer {
            writer.wake_by_ref();
        }
    }
}

/// Puts a waker where one is kept.
pub fn keep(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(kept) => kept.clone_from(waker),
        None => *place = Some(waker.clone()),
    }
}

/// What a piece of a body has room for.
const LEAST_CHUNK: usize = 1 << 10;
const MOST_CHUNK: usize = 64 << 10;
