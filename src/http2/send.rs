//! What is sent on streams, and whose turn it is (RFC 9113, sections 5.2 and 8.1). Pure.
//!
//! Who sends a body writes its frames while there is room: in the window of its stream, in that of the
//! connection, and in the outbox. Where the latter two are too small for all, streams queue, and each that
//! comes first may write one frame before the next.

use std::collections::VecDeque;
use std::task::Context;
use std::task::Poll;

use http::StatusCode;

use crate::http2::code::Code;
use crate::http2::code::StreamError;
use crate::http2::frame;
use crate::http2::frame::END_STREAM;
use crate::http2::frame::HEAD;
use crate::http2::frame::Head;
use crate::http2::frame::MOST_PAYLOAD;
use crate::http2::frame::kind;
use crate::http2::hpack::encoder;
use crate::http2::state::State;
use crate::http2::stream;
use crate::http2::stream::Stream;
use crate::message;
use crate::message::Fields;

impl State {
    /// Ready when the stream has ended before its end.
    pub(super) fn poll_reset(&mut self, id: u32, cx: &Context<'_>) -> Poll<StreamError> {
        let Some(stream) = self.streams.get(id) else { return Poll::Ready(StreamError::Gone) };
        let was_seen = std::mem::replace(&mut stream.is_seen, true);
        match stream.error {
            Some(error) => {
                if !was_seen && matches!(error, StreamError::Reset(_)) {
                    self.unseen -= 1;
                }
                Poll::Ready(error)
            }
            None => {
                stream::keep(&mut stream.outward.writer, cx.waker());
                Poll::Pending
            }
        }
    }

    /// Writes an interim response, where there is room for what nobody waits for.
    pub(super) fn inform(&mut self, id: u32, status: StatusCode, fields: &Fields) {
        if !self.outbox.is_full() && self.writable(id).is_ok() {
            self.write_head(id, 0, Some(status), fields);
        }
    }

    /// Writes the head of a response; `ends` if that is all of it.
    pub(super) fn respond(
        &mut self,
        id: u32,
        status: StatusCode,
        fields: &Fields,
        ends: bool,
    ) -> Result<(), StreamError> {
        self.writable(id)?;
        if fields.iter().any(|(name, _)| message::is_of_a_connection(name)) {
            return Err(StreamError::Malformed);
        }
        self.write_head(id, if ends { END_STREAM } else { 0 }, Some(status), fields);
        if ends {
            self.end_outward(id);
        }
        Ok(())
    }

    /// Writes trailers, which are the end.
    pub(super) fn finish_with(&mut self, id: u32, fields: &Fields) -> Result<(), StreamError> {
        self.writable(id)?;
        self.write_head(id, END_STREAM, None, fields);
        self.end_outward(id);
        Ok(())
    }

    /// Writes the end of a body, and nothing of it.
    pub(super) fn finish(&mut self, id: u32) -> Result<(), StreamError> {
        self.writable(id)?;
        self.write_data(id, &[], true);
        self.end_outward(id);
        Ok(())
    }

    /// Writes some of a body: how much, as soon as there is room for any. `is_last` if nothing follows.
    pub(super) fn poll_write(
        &mut self,
        id: u32,
        cx: &Context<'_>,
        bytes: &[u8],
        is_last: bool,
    ) -> Poll<Result<usize, StreamError>> {
        let window = self.window;
        let may_write = window > 0 && !self.outbox.is_full();
        let is_free = self.waiting.is_empty() && self.turns == 0;
        let stream = match self.writable(id) {
            Ok(stream) => stream,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let outward = &mut stream.outward;
        let room = usize::try_from(outward.window.min(window)).unwrap_or(0);
        outward.lacks_window = room == 0;
        let has_turn = std::mem::take(&mut outward.has_turn);
        if outward.window > 0 && may_write && (has_turn || is_free) {
            let count = bytes.len().min(room).min(MOST_PAYLOAD);
            outward.window -= count as i64;
            let ends = is_last && count == bytes.len();
            self.window -= count as i64;
            self.write_data(id, &bytes[..count], ends);
            self.had_turn(has_turn);
            if ends {
                self.end_outward(id);
            }
            return Poll::Ready(Ok(count));
        }
        stream::keep(&mut outward.writer, cx.waker());
        if outward.window > 0 && !std::mem::replace(&mut outward.is_waiting, true) {
            match has_turn {
                // It has had no use of it.
                true => self.waiting.push_front(id),
                false => self.waiting.push_back(id),
            }
        }
        self.had_turn(has_turn);
        Poll::Pending
    }

    /// Whether it is the client that gives a stream no room.
    pub(super) fn lacks_window(&mut self, id: u32) -> bool {
        self.streams.get(id).is_some_and(|stream| stream.outward.lacks_window)
    }

    /// Gives turns to those that wait, as many as there is room for.
    pub(super) fn serve(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if self.window <= 0 {
            return self.tell_of_no_window();
        }
        let in_window = usize::try_from(self.window).map_or(0, |it| it.div_ceil(MOST_PAYLOAD));
        let most = self.outbox.room(MOST_PAYLOAD).min(in_window);
        while self.turns < most
            && let Some(id) = self.waiting.pop_front()
        {
            if let Some(stream) = self.streams.get(id)
                && std::mem::take(&mut stream.outward.is_waiting)
            {
                stream.outward.has_turn = true;
                stream.outward.wake();
                self.turns += 1;
            }
        }
        if self.waiting.is_empty() {
            // A connection that waits holds nothing.
            self.waiting = VecDeque::new();
        }
    }

    /// Those that wait for room in the outbox wait for the client from here on.
    fn tell_of_no_window(&mut self) {
        if self.outbox.is_full() {
            return;
        }
        for id in &self.waiting {
            if let Some(stream) = self.streams.get(*id)
                && stream.outward.is_waiting
                && !stream.outward.lacks_window
            {
                stream.outward.wake();
            }
        }
    }

    fn had_turn(&mut self, had: bool) {
        if had {
            self.turns -= 1;
            self.serve();
        }
    }

    fn writable(&mut self, id: u32) -> Result<&mut Stream, StreamError> {
        let stream = self.streams.get(id).ok_or(StreamError::Gone)?;
        match stream.error {
            Some(error) => Err(error),
            None if stream.outward.has_ended => Err(StreamError::Stopped(Code::NO_ERROR)),
            None => Ok(stream),
        }
    }

    fn end_outward(&mut self, id: u32) {
        if let Some(stream) = self.streams.get(id) {
            let outward = &mut stream.outward;
            outward.has_ended = true;
            outward.is_waiting = false;
            let had_turn = std::mem::take(&mut outward.has_turn);
            self.had_turn(had_turn);
        }
        self.settle(id);
    }

    fn write_data(&mut self, id: u32, bytes: &[u8], ends: bool) {
        let flags = if ends { END_STREAM } else { 0 };
        let head = Head { length: bytes.len() as u32, kind: kind::DATA, flags, stream: id };
        let frames = self.outbox.frames();
        frames.reserve(HEAD + bytes.len());
        head.write(frames);
        frames.extend_from_slice(bytes);
        self.glitches.sent(head, None);
        self.wake();
    }

    fn write_head(&mut self, id: u32, flags: u8, status: Option<StatusCode>, fields: &Fields) {
        let is_table_due = std::mem::take(&mut self.is_table_due);
        frame::headers(self.outbox.frames(), id, flags, |block| {
            if is_table_due {
                encoder::size_update(block, 0);
            }
            if let Some(status) = status {
                encoder::status(block, status);
            }
            for (name, value) in fields.iter() {
                encoder::field(block, name, value);
            }
        });
        self.glitches.sent(Head { length: 0, kind: kind::HEADERS, flags, stream: id }, None);
        self.wake();
    }

    /// Ends a stream before its end, unless it has ended.
    pub(super) fn give_up(&mut self, id: u32, code: Code) {
        if self.writable(id).is_ok() {
            self.reset(id, code);
        }
    }

    /// Nobody sends on a stream any more.
    pub(super) fn let_go(&mut self, id: u32) {
        self.give_up(id, Code::CANCEL);
        if let Some(stream) = self.streams.get(id) {
            stream.outward.is_held = false;
            stream.outward.writer = None;
            if !stream.is_seen && matches!(stream.error, Some(StreamError::Reset(_))) {
                self.unseen -= 1;
            }
        }
        self.settle(id);
    }

    /// Answers a request that there is no room for.
    pub(super) fn answer_too_large(&mut self, id: u32) {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        self.write_head(id, END_STREAM, Some(status), &Fields::new());
    }
}
