//! What becomes of each frame of a client (RFC 9113, sections 5 and 6). Pure.

use crate::http2::code::Code;
use crate::http2::code::StreamError;
use crate::http2::fault::Fault;
use crate::http2::frame;
use crate::http2::frame::ACK;
use crate::http2::frame::END_HEADERS;
use crate::http2::frame::END_STREAM;
use crate::http2::frame::Head;
use crate::http2::frame::MOST_PAYLOAD;
use crate::http2::frame::PADDED;
use crate::http2::frame::WITH_PRIORITY;
use crate::http2::frame::kind;
use crate::http2::reader::Breach;
use crate::http2::reader::Piece;
use crate::http2::request::Gathered;
use crate::http2::request::Refusal;
use crate::http2::state::Accepted;
use crate::http2::state::Block;
use crate::http2::state::Current;
use crate::http2::state::FAREWELL_PING;
use crate::http2::state::Farewell;
use crate::http2::state::MOST_WINDOW;
use crate::http2::state::STREAM_WINDOW;
use crate::http2::state::State;
use crate::http2::stream::Stream;

type Done = Result<(), Breach>;

impl State {
    pub(super) fn receive(&mut self, piece: Piece<'_>, accepted: &mut Vec<Accepted>) -> Done {
        match piece {
            Piece::Content(bytes) => {
                self.content(bytes);
                return Ok(());
            }
            Piece::DataEnd => {
                self.data_end();
                return Ok(());
            }
            // Padding is nothing.
            Piece::Data(head, length) => self.glitches.received(Head { length, ..head }),
            Piece::Frame(head, _) | Piece::Unknown(head) => self.glitches.received(head),
        }
        match piece {
            Piece::Data(head, content) => self.data(head, content),
            Piece::Frame(head, payload) => self.frame(head, payload, accepted),
            _ => Ok(()),
        }
    }

    fn frame(&mut self, head: Head, payload: &[u8], accepted: &mut Vec<Accepted>) -> Done {
        match head.kind {
            kind::HEADERS => self.headers(head, payload, accepted),
            kind::CONTINUATION => self.continuation(head, payload, accepted),
            kind::PRIORITY => self.priority(head, payload),
            kind::RST_STREAM => self.reset_by_client(head, payload),
            kind::SETTINGS => self.settings(head, payload),
            kind::PING => self.ping(head, payload),
            kind::GOAWAY => match (head.stream, head.length) {
                (0, 8..) => {
                    self.is_left = true;
                    Ok(())
                }
                (0, _) => Err(Fault::FrameSize.into()),
                _ => Err(Fault::Protocol.into()),
            },
            kind::WINDOW_UPDATE => self.window_update(head, payload),
            // PUSH_PROMISE is a server's.
            _ => Err(Fault::Protocol.into()),
        }
    }

    /// Whether the client has not opened this stream.
    fn is_idle(&self, id: u32) -> bool {
        id.is_multiple_of(2) || id > self.last
    }

    /// Whether the client was told that this stream is not served.
    fn is_ignored(&self, id: u32) -> bool {
        matches!(self.farewell, Farewell::Said(last) if id > last)
    }

    fn data(&mut self, head: Head, content: u32) -> Done {
        let id = head.stream;
        if id == 0 || (self.is_idle(id) && !self.is_ignored(id)) {
            return Err(Fault::Protocol.into());
        }
        self.room = self.room.checked_sub(head.length).ok_or(Fault::FlowControl)?;
        let ends = head.has(END_STREAM);
        let padding = head.length - content;
        self.current = Current { stream: None, ends, padding };
        if self.is_ignored(id) || self.streams.is_stopped(id, ends) {
            self.took(padding);
            return Ok(());
        }
        let fault = match self.streams.get(id) {
            Some(stream) if stream.is_receiving() => {
                let inward = &mut stream.inward;
                let left = inward.left.map(|left| left.checked_sub(u64::from(content)));
                if inward.room < head.length {
                    Some(Code::FLOW_CONTROL_ERROR)
                } else if left == Some(None)
                    || (ends && left.flatten().is_some_and(|left| left > 0))
                {
                    Some(Code::PROTOCOL_ERROR)
                } else {
                    inward.room -= head.length;
                    inward.left = left.flatten();
                    None
                }
            }
            _ => Some(Code::STREAM_CLOSED),
        };
        match fault {
            Some(code) => {
                self.reset(id, code);
                self.took(padding);
            }
            None => {
                self.current.stream = Some(id);
                self.took_of(id, padding);
            }
        }
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) {
        self.data += bytes.len() as u64;
        let stream = self.current.stream.and_then(|id| self.streams.get(id));
        match stream.filter(|stream| stream.is_receiving() && stream.inward.is_held) {
            Some(stream) => stream.inward.push(bytes),
            None => self.took(bytes.len() as u32),
        }
    }

    fn data_end(&mut self) {
        let Current { stream, ends, padding } = std::mem::take(&mut self.current);
        self.data += u64::from(padding);
        if let Some(id) = stream.filter(|_| ends) {
            self.end_inward(id);
        }
    }

    /// All of a request has come.
    fn end_inward(&mut self, id: u32) {
        if let Some(stream) = self.streams.get(id)
            && stream.is_receiving()
        {
            stream.inward.has_ended = true;
            stream.inward.wake();
            self.settle(id);
        }
    }

    fn headers(&mut self, head: Head, payload: &[u8], accepted: &mut Vec<Accepted>) -> Done {
        if head.stream.is_multiple_of(2) {
            return Err(Fault::Protocol.into());
        }
        let mut fragment = payload;
        if head.has(PADDED) {
            let (padding, rest) = fragment.split_first().ok_or(Fault::FrameSize)?;
            let length = rest.len().checked_sub(usize::from(*padding)).ok_or(Fault::Protocol)?;
            fragment = &rest[..length];
        }
        let mut is_circular = false;
        if head.has(WITH_PRIORITY) {
            let (priority, rest) = fragment.split_first_chunk::<5>().ok_or(Fault::FrameSize)?;
            is_circular = depends_on(priority) == Some(head.stream);
            fragment = rest;
        }
        let ends = head.has(END_STREAM);
        let mut block = Block { bytes: Vec::new(), continuations: 0, ends, is_circular };
        if head.has(END_HEADERS) {
            return self.block(head.stream, &block, fragment, accepted);
        }
        block.bytes.extend_from_slice(fragment);
        self.block = Some(block);
        Ok(())
    }

    fn continuation(&mut self, head: Head, payload: &[u8], accepted: &mut Vec<Accepted>) -> Done {
        let mut block = self.block.take().ok_or(Fault::Protocol)?;
        block.continuations += 1;
        let most = self.bounds.head.size;
        if block.bytes.len() + payload.len() > most * 2 + MOST_PAYLOAD {
            return Err(Fault::HeadTooLarge.into());
        }
        block.bytes.extend_from_slice(payload);
        if head.has(END_HEADERS) {
            let bytes = std::mem::take(&mut block.bytes);
            return self.block(head.stream, &block, &bytes, accepted);
        }
        // As many as a large head needs, and a few more (CVE-2024-27316).
        if block.continuations > (most / MOST_PAYLOAD * 5 / 4).max(5) {
            return Err(Fault::Continuations.into());
        }
        self.block = Some(block);
        Ok(())
    }

    /// A whole block of fields.
    fn block(
        &mut self,
        id: u32,
        block: &Block,
        bytes: &[u8],
        accepted: &mut Vec<Accepted>,
    ) -> Done {
        let mut gathered = Gathered::new(self.bounds.head);
        // What is done with it or not: the next block builds on it.
        let decoded = self.decoder.decode(bytes, |field, size| gathered.add(field, size));
        decoded.map_err(|_| Fault::Compression)?;
        if gathered.is_absurd() {
            return Err(Fault::HeadTooLarge.into());
        }
        if self.is_ignored(id) {
            return Ok(());
        }
        if id <= self.last {
            return self.trailers(id, block, gathered);
        }
        self.last = id;
        let refusal = if block.is_circular {
            Code::PROTOCOL_ERROR
        } else if self.streams.count() >= self.bounds.streams {
            Code::REFUSED_STREAM
        } else {
            match gathered.request(block.ends) {
                Ok(gained) => {
                    let window = self.stream_window;
                    let stream = Stream::new(window, STREAM_WINDOW, gained.length, block.ends);
                    self.streams.open(id, stream);
                    accepted.push(Accepted { id, gained, ends: block.ends });
                    return Ok(());
                }
                Err(Refusal::Malformed) => Code::PROTOCOL_ERROR,
                Err(Refusal::TooLarge) => {
                    self.answer_too_large(id);
                    if block.ends {
                        return Ok(());
                    }
                    Code::NO_ERROR
                }
            }
        };
        self.say_reset(id, refusal);
        if !block.ends {
            self.streams.stopped(id);
        }
        Ok(())
    }

    /// A block on a stream that was opened before.
    fn trailers(&mut self, id: u32, block: &Block, gathered: Gathered) -> Done {
        if self.streams.is_stopped(id, block.ends) {
            return Ok(());
        }
        let last = self.last;
        let Some(stream) = self.streams.get(id).filter(|stream| stream.error.is_none()) else {
            // That one below the last was open once, nobody remembers (section 5.1.1).
            let code = if id == last { Code::STREAM_CLOSED } else { Code::PROTOCOL_ERROR };
            return Err(Breach { code, fault: Fault::Protocol });
        };
        if stream.inward.has_ended {
            self.reset(id, Code::STREAM_CLOSED);
            return Ok(());
        }
        let is_whole = stream.inward.left.is_none_or(|left| left == 0);
        match gathered.trailers() {
            Ok(trailers) if block.ends && is_whole && !block.is_circular => {
                if stream.inward.is_held && !trailers.is_empty() {
                    stream.inward.trailers = Some(trailers);
                }
                self.end_inward(id);
            }
            _ => self.reset(id, Code::PROTOCOL_ERROR),
        }
        Ok(())
    }

    fn priority(&mut self, head: Head, payload: &[u8]) -> Done {
        let code = match payload.first_chunk::<5>() {
            _ if head.stream == 0 => return Err(Fault::Protocol.into()),
            Some(priority) if payload.len() == 5 => match depends_on(priority) {
                Some(on) if on == head.stream => Code::PROTOCOL_ERROR,
                _ => return Ok(()),
            },
            _ => Code::FRAME_SIZE_ERROR,
        };
        if self.streams.get(head.stream).is_some_and(|stream| !stream.is_closed()) {
            self.reset(head.stream, code);
            return Ok(());
        }
        // On a stream that is not open nothing can be said.
        match code {
            Code::FRAME_SIZE_ERROR => Err(Fault::FrameSize.into()),
            _ if self.is_idle(head.stream) => Err(Fault::Protocol.into()),
            _ => Ok(()),
        }
    }

    fn reset_by_client(&mut self, head: Head, payload: &[u8]) -> Done {
        let id = head.stream;
        if id == 0 || (self.is_idle(id) && !self.is_ignored(id)) {
            return Err(Fault::Protocol.into());
        }
        let code = Code(u32::from_be_bytes(*whole(payload)?));
        self.streams.is_stopped(id, true);
        let Some(stream) = self.streams.get(id).filter(|stream| stream.error.is_none()) else {
            return Ok(());
        };
        stream.error = Some(StreamError::Reset(code));
        if !stream.is_seen {
            self.unseen += 1;
            if self.unseen > MOST_UNSEEN {
                return Err(Fault::Resets.into());
            }
        }
        self.ended_early(id);
        Ok(())
    }

    fn ping(&mut self, head: Head, payload: &[u8]) -> Done {
        if head.stream != 0 {
            return Err(Fault::Protocol.into());
        }
        let payload = *whole(payload)?;
        if !head.has(ACK) {
            frame::ping(self.outbox.frames(), ACK, payload);
        } else if payload == FAREWELL_PING && self.farewell == Farewell::Warned {
            self.warned();
        }
        Ok(())
    }

    fn window_update(&mut self, head: Head, payload: &[u8]) -> Done {
        let id = head.stream;
        let more = i64::from(u32::from_be_bytes(*whole(payload)?) & 0x7fff_ffff);
        if id == 0 {
            if more == 0 {
                return Err(Fault::Protocol.into());
            }
            self.window += more;
            if self.window > MOST_WINDOW {
                return Err(Fault::FlowControl.into());
            }
            self.serve();
            return Ok(());
        }
        if self.is_idle(id) && !self.is_ignored(id) {
            return Err(Fault::Protocol.into());
        }
        let Some(stream) = self.streams.get(id).filter(|stream| !stream.is_closed()) else {
            return Ok(());
        };
        let had = stream.outward.window;
        stream.outward.window += more;
        if more == 0 {
            self.reset(id, Code::PROTOCOL_ERROR);
        } else if stream.outward.window > MOST_WINDOW {
            self.reset(id, Code::FLOW_CONTROL_ERROR);
        } else if had <= 0 {
            stream.outward.wake();
        }
        Ok(())
    }
}

/// A payload that has one length.
pub(super) fn whole<const N: usize>(payload: &[u8]) -> Result<&[u8; N], Breach> {
    payload.try_into().map_err(|_| Fault::FrameSize.into())
}

/// The stream that a priority is about.
fn depends_on(priority: &[u8; 5]) -> Option<u32> {
    frame::number_at(priority, 0).map(|on| on & 0x7fff_ffff)
}

/// Streams that are reset before their tasks have had a turn (rapid reset, CVE-2023-44487).
const MOST_UNSEEN: u32 = 20;
