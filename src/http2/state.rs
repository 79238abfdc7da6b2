//! What a connection knows beside the frame that it is reading: its streams, its windows, and what is to be
//! written. Pure.

use std::collections::VecDeque;
use std::task::Waker;

use crate::http2::code::Code;
use crate::http2::code::StreamError;
use crate::http2::fault::Fault;
use crate::http2::frame;
use crate::http2::frame::Head;
use crate::http2::frame::kind;
use crate::http2::glitches::Glitches;
use crate::http2::hpack::decoder::Decoder;
use crate::http2::outbox::Outbox;
use crate::http2::reader::Breach;
use crate::http2::request;
use crate::http2::request::Gained;
use crate::http2::streams::Streams;

/// What bounds a connection.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Streams that may be open at once.
    pub streams: u32,
    /// What each head may have.
    pub head: request::Bounds,
    /// What a decent client does not need to send; see [`Glitches`].
    pub glitches: u32,
}

/// A request that has come, and its stream.
#[derive(Debug)]
pub struct Accepted {
    /// The number of the stream.
    pub id: u32,
    /// The head.
    pub gained: Gained,
    /// There is nothing behind it.
    pub ends: bool,
}

/// A block of fields that is not complete.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// CONTINUATION frames of it so far.
    pub(super) continuations: usize,
    pub(super) ends: bool,
    pub(super) is_circular: bool,
}

/// The DATA frame that is being read.
#[derive(Debug, Default)]
pub(super) struct Current {
    /// Whose body it is a piece of; `None`: nobody's.
    pub(super) stream: Option<u32>,
    pub(super) ends: bool,
    pub(super) padding: u32,
}

/// Whether the client was told to leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Farewell {
    No,
    /// That it is about to be; which of its streams are served is said when it has answered a PING.
    Warned,
    /// Streams above this one are not served.
    Said(u32),
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) bounds: Bounds,
    pub(super) decoder: Decoder,
    pub(super) block: Option<Block>,
    pub(super) current: Current,
    pub(super) streams: Streams,
    pub(super) outbox: Outbox,
    /// Bytes that the client has room for on all streams together.
    pub(super) window: i64,
    /// Bytes that it has room for on a new stream.
    pub(super) stream_window: i64,
    /// The next block of fields is to say that no table is used.
    pub(super) is_table_due: bool,
    /// Bytes that the client may still send on all streams together, and those that were taken since it
    /// was told.
    pub(super) room: u32,
    pub(super) taken: u32,
    /// Bytes of DATA so far.
    pub(super) data: u64,
    /// The last stream that the client has opened.
    pub(super) last: u32,
    pub(super) farewell: Farewell,
    /// Streams that wait for room, in their order.
    pub(super) waiting: VecDeque<u32>,
    /// How many of them have a turn.
    pub(super) turns: usize,
    /// Streams that were reset before anybody looked at them.
    pub(super) unseen: u32,
    pub(super) glitches: Glitches,
    pub(super) fault: Option<Fault>,
    /// Nothing is read any more, and nothing said.
    pub(super) is_over: bool,
    /// The client has said that it leaves.
    pub(super) is_left: bool,
    /// The connection's loop.
    pub(super) waker: Option<Waker>,
    pub(super) is_woken: bool,
}

impl State {
    pub(super) fn new(bounds: Bounds) -> Self {
        let mut state = Self {
            bounds,
            decoder: Decoder::new(TABLE),
            block: None,
            current: Current::default(),
            streams: Streams::default(),
            outbox: Outbox::default(),
            window: INITIAL_WINDOW,
            stream_window: INITIAL_WINDOW,
            is_table_due: false,
            room: CONNECTION_WINDOW,
            taken: 0,
            data: 0,
            last: 0,
            farewell: Farewell::No,
            waiting: VecDeque::new(),
            turns: 0,
            unseen: 0,
            glitches: Glitches::new(bounds.glitches),
            fault: None,
            is_over: false,
            is_left: false,
            waker: None,
            is_woken: false,
        };
        let settings = [
            (MAX_CONCURRENT_STREAMS, bounds.streams),
            (INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            (MAX_HEADER_LIST_SIZE, u32::try_from(bounds.head.size).unwrap_or(u32::MAX)),
            (ENABLE_CONNECT_PROTOCOL, 1),
        ];
        let frames = state.outbox.frames();
        frame::settings(frames, &settings);
        frame::number(frames, kind::WINDOW_UPDATE, 0, CONNECTION_WINDOW - INITIAL_WINDOW as u32);
        state
    }

    /// The connection ends: says why, and nothing after it.
    pub(super) fn end(&mut self, breach: Breach) {
        if self.is_over {
            return;
        }
        self.fault.get_or_insert(breach.fault);
        if breach.fault != Fault::Preface {
            let last = self.served();
            frame::goaway(self.outbox.frames(), last, breach.code);
        }
        self.gone();
    }

    /// The connection is gone, and all of its streams with it.
    pub(super) fn gone(&mut self) {
        self.is_over = true;
        for stream in self.streams.iter().filter(|stream| !stream.is_closed()) {
            stream.error = Some(StreamError::Gone);
            stream.inward.clear();
            stream.outward.is_waiting = false;
            stream.outward.has_turn = false;
            stream.wake();
        }
        self.waiting = VecDeque::new();
        self.turns = 0;
        self.block = None;
        self.wake();
    }

    /// The last stream that is served.
    pub(super) fn served(&self) -> u32 {
        match self.farewell {
            Farewell::Said(last) => last,
            Farewell::No | Farewell::Warned => self.last,
        }
    }

    /// Wakes the connection's loop, once until it has come round.
    pub(super) fn wake(&mut self) {
        if !std::mem::replace(&mut self.is_woken, true)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }

    /// Ends a stream before its end, and says so.
    pub(super) fn reset(&mut self, id: u32, code: Code) {
        self.say_reset(id, code);
        if let Some(stream) = self.streams.get(id) {
            let may_follow = stream.is_receiving();
            stream.error.get_or_insert(StreamError::Stopped(code));
            if may_follow {
                self.streams.stopped(id);
            }
        }
        self.ended_early(id);
    }

    /// Says that a stream has ended, and nothing else.
    pub(super) fn say_reset(&mut self, id: u32, code: Code) {
        if self.is_over {
            return;
        }
        frame::number(self.outbox.frames(), kind::RST_STREAM, id, code.0);
        let head = Head { length: 4, kind: kind::RST_STREAM, flags: 0, stream: id };
        self.glitches.sent(head, Some(code));
        self.wake();
    }

    /// A stream has an error: lets go of what it held, and tells those who look at it.
    pub(super) fn ended_early(&mut self, id: u32) {
        let Some(stream) = self.streams.get(id) else { return };
        let unread = stream.inward.clear();
        stream.wake();
        stream.outward.is_waiting = false;
        if std::mem::take(&mut stream.outward.has_turn) {
            self.turns -= 1;
        }
        self.took(unread);
        self.settle(id);
        self.serve();
    }

    /// Takes note of what has become of a stream.
    pub(super) fn settle(&mut self, id: u32) {
        if let Some(stream) = self.streams.get(id)
            && stream.is_receiving()
            && stream.outward.has_ended
            && !stream.inward.is_held
        {
            // Answered early (RFC 9113, section 8.1).
            return self.reset(id, Code::NO_ERROR);
        }
        self.streams.settle(id);
        if self.is_done() {
            self.wake();
        }
    }

    /// Bytes of bodies were taken, or thrown away: the client has room for as many.
    pub(super) fn took(&mut self, bytes: u32) {
        self.taken += bytes;
        if self.taken >= CONNECTION_WINDOW / 2 && !self.is_over {
            let taken = std::mem::take(&mut self.taken);
            self.room += taken;
            frame::number(self.outbox.frames(), kind::WINDOW_UPDATE, 0, taken);
            self.wake();
        }
    }

    /// The same of one stream.
    pub(super) fn took_of(&mut self, id: u32, bytes: u32) {
        if let Some(stream) = self.streams.get(id)
            && stream.is_receiving()
        {
            stream.inward.taken += bytes;
            if stream.inward.taken >= STREAM_WINDOW / 2 {
                let taken = std::mem::take(&mut stream.inward.taken);
                stream.inward.room += taken;
                frame::number(self.outbox.frames(), kind::WINDOW_UPDATE, id, taken);
                self.wake();
            }
        }
        self.took(bytes);
    }

    /// Says that the client is to leave: which of its streams are served comes later.
    pub(super) fn warn(&mut self) {
        if self.farewell == Farewell::No && !self.is_over {
            self.farewell = Farewell::Warned;
            let frames = self.outbox.frames();
            frame::goaway(frames, MOST_STREAM, Code::NO_ERROR);
            frame::ping(frames, 0, FAREWELL_PING);
        }
    }

    /// The client has seen the warning: what it opens from here on is not served.
    pub(super) fn warned(&mut self) {
        self.farewell = Farewell::Said(self.last);
        frame::goaway(self.outbox.frames(), self.last, Code::NO_ERROR);
    }

    /// Whether all is done that was to be.
    pub(super) fn is_done(&self) -> bool {
        let is_parting = self.is_left || matches!(self.farewell, Farewell::Said(_));
        self.is_over || (is_parting && self.streams.count() == 0)
    }
}

/// Identifiers of settings (RFC 9113, section 6.5.2; RFC 8441, section 3).
pub(super) const HEADER_TABLE_SIZE: u16 = 1;
pub(super) const ENABLE_PUSH: u16 = 2;
pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(super) const MAX_FRAME_SIZE: u16 = 5;
pub(super) const MAX_HEADER_LIST_SIZE: u16 = 6;
pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// What windows and the dynamic table begin with, if nothing else is said.
const INITIAL_WINDOW: i64 = 65_535;
pub(super) const TABLE: usize = 4096;

/// What no window is larger than (section 6.9.1).
pub(super) const MOST_WINDOW: i64 = 0x7fff_ffff;

/// What no stream is above.
const MOST_STREAM: u32 = 0x7fff_ffff;

/// What one upload may have under way.
pub(super) const STREAM_WINDOW: u32 = 512 << 10;

/// What all uploads of a connection may have under way: bounds its memory.
pub(super) const CONNECTION_WINDOW: u32 = 1 << 20;

/// What is in the PING whose answer says that a client has seen that it is to leave.
pub(super) const FAREWELL_PING: [u8; 8] = *b"farewell";
