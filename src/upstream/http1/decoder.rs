//! A body over HTTP/1.1, from bytes (RFC 9112, sections 6 and 7): strict, because what is left over is the
//! next request, or the next response. Pure; must not know connections.

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use thiserror::Error;

use crate::upstream::http1::line;
use crate::upstream::http1::line::Lines;

/// Where a body ends (RFC 9112, section 6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// After so many bytes, at least one.
    Length(u64),
    /// Where its chunks say so.
    Chunked,
    /// Where the connection does: a response alone.
    UntilClose,
}

/// Takes one body off a buffer, piece by piece.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// Blanks may stand behind the size of a chunk.
    takes_padding: bool,
    /// Bytes of chunk extensions, and of trailers: what may be sent without sending anything.
    idle_talk: usize,
    lines: Lines,
    trailers: HeaderMap,
    fields: usize,
}

/// What comes of a body.
#[derive(Debug)]
pub enum Piece {
    /// Some of it, never empty.
    Data(Bytes),
    /// All has come; with trailers, if there were any.
    End(Option<HeaderMap>),
}

/// These are no chunks. Where the body ends cannot be said: the connection ends.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the chunks of the body are malformed")]
pub struct BadBody;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// So many bytes are to come, at least one.
    Length(u64),
    /// All that comes.
    Open,
    /// Digits of a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    /// After a semicolon.
    Extension {
        size: u64,
    },
    /// The LF after size or extension.
    SizeEnd {
        size: u64,
    },
    /// So many bytes of a chunk are to come, at least one.
    Data(u64),
    /// The CR after a chunk, and its LF.
    DataEnd,
    DataLineEnd,
    Trailers,
    /// Nothing more comes, but that was not said yet.
    Last,
    Ended,
}

impl Decoder {
    /// At the first byte of a body.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Last,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => SIZE,
            Framing::UntilClose => State::Open,
        };
        let (lines, trailers) = (Lines::default(), HeaderMap::new());
        Self { state, takes_padding: false, idle_talk: 0, lines, trailers, fields: 0 }
    }

    /// The same for a response: old servers write the sizes of chunks in a field of fixed width, with
    /// blanks behind them. Nobody reads a response after us who could take it for another.
    pub fn of_response(framing: Framing) -> Self {
        Self { takes_padding: true, ..Self::new(framing) }
    }

    /// Takes the next piece off the buffer; `None` if there is none yet, or after the end.
    ///
    /// # Errors
    ///
    /// See [`BadBody`]; the same for the same bytes, in whatever pieces they come.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, BadBody> {
        loop {
            match self.state {
                State::Last => {
                    self.state = State::Ended;
                    return Ok(Some(Piece::End(None)));
                }
                State::Ended => return Ok(None),
                State::Length(left) | State::Data(left) => return Ok(self.data(buffer, left)),
                State::Open => return Ok(self.data(buffer, u64::MAX)),
                State::Trailers => return self.trailers(buffer),
                _ => {
                    let Some(byte) = buffer.first().copied() else { return Ok(None) };
                    buffer.advance(1);
                    self.state = self.after(byte)?;
                }
            }
        }
    }

    /// Whether all of it has been taken.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Nothing more will come; says whether all of it has.
    pub fn closed(&mut self) -> bool {
        if matches!(self.state, State::Open | State::Last) {
            self.state = State::Ended;
        }
        self.has_ended()
    }

    /// How many bytes are to come, where that was said before.
    pub fn length(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Last | State::Ended => Some(0),
            _ => None,
        }
    }

    fn data(&mut self, buffer: &mut BytesMut, left: u64) -> Option<Piece> {
        let length = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if length == 0 {
            return None;
        }
        let left = left - length as u64;
        self.state = match self.state {
            State::Open => State::Open,
            State::Length(_) if left == 0 => State::Last,
            State::Length(_) => State::Length(left),
            _ if left == 0 => State::DataEnd,
            _ => State::Data(left),
        };
        Some(Piece::Data(buffer.split_to(length).freeze()))
    }

    /// What comes after this byte between chunks.
    fn after(&mut self, byte: u8) -> Result<State, BadBody> {
        match (self.state, byte) {
            (State::Size { digits: 1.., size }, b'\r') => Ok(State::SizeEnd { size }),
            (State::Size { digits: 1.., size }, b';') => Ok(State::Extension { size }),
            (State::Size { digits: 1.., size }, b' ' | b'\t') if self.takes_padding => {
                Ok(State::Extension { size })
            }
            (State::Size { digits: ..MOST_DIGITS, size }, _) if size >> 60 == 0 => {
                let digit = char::from(byte).to_digit(16).ok_or(BadBody)?;
                let State::Size { digits, .. } = self.state else { return Err(BadBody) };
                Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
            }
            (State::Extension { size }, b'\r') => Ok(State::SizeEnd { size }),
            (State::Extension { .. }, b'\t' | b' '..=b'~' | 0x80..) => {
                self.talked(1)?;
                Ok(self.state)
            }
            (State::SizeEnd { size: 0 }, b'\n') => Ok(State::Trailers),
            (State::SizeEnd { size }, b'\n') => Ok(State::Data(size)),
            (State::DataEnd, b'\r') => Ok(State::DataLineEnd),
            (State::DataLineEnd, b'\n') => Ok(SIZE),
            _ => Err(BadBody),
        }
    }

    fn trailers(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, BadBody> {
        loop {
            let most = MOST_TALK - self.idle_talk;
            let Some(line) = self.lines.next(buffer, most).map_err(|_| BadBody)? else {
                return Ok(None);
            };
            if line.is_empty() {
                self.state = State::Ended;
                let trailers = std::mem::take(&mut self.trailers);
                return Ok(Some(Piece::End((!trailers.is_empty()).then_some(trailers))));
            }
            self.talked(line.len() + 2)?;
            self.fields += 1;
            if self.fields > MOST_TRAILERS {
                return Err(BadBody);
            }
            let (name, value) = line::field(line).ok_or(BadBody)?;
            self.trailers.append(name, value);
        }
    }

    fn talked(&mut self, bytes: usize) -> Result<(), BadBody> {
        self.idle_talk += bytes;
        if self.idle_talk > MOST_TALK { Err(BadBody) } else { Ok(()) }
    }
}

/// Before a chunk's first digit.
const SIZE: State = State::Size { size: 0, digits: 0 };

/// Of a chunk's size: 64 bits.
const MOST_DIGITS: u8 = 16;

/// Bytes of extensions and trailers of one body. Nobody reads the former, and of the latter there is a
/// checksum or two.
const MOST_TALK: usize = 16 << 10;

/// Fields of trailers.
const MOST_TRAILERS: usize = 32;

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
