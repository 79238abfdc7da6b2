//! The frames of a client, as its bytes come in pieces of any size.
//!
//! What is whole where it was read is not copied. Kept are the front of a frame's head, and of a payload
//! that has to be looked at as a whole; DATA and what nobody knows pass through as they come. Pure.

use crate::http2::code::Code;
use crate::http2::fault::Fault;
use crate::http2::frame::ACK;
use crate::http2::frame::END_HEADERS;
use crate::http2::frame::HEAD;
use crate::http2::frame::Head;
use crate::http2::frame::MOST_PAYLOAD;
use crate::http2::frame::PADDED;
use crate::http2::frame::PREFACE;
use crate::http2::frame::kind;

/// Something that came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Piece<'a> {
    /// A DATA frame begins that has so many bytes without its padding.
    Data(Head, u32),
    /// Some of them.
    Content(&'a [u8]),
    /// All of it has come.
    DataEnd,
    /// A whole frame of any other kind that is known.
    Frame(Head, &'a [u8]),
    /// A frame of a kind that is not known.
    Unknown(Head),
}

/// What ends a connection: the code that the client is told, and the word for the operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Breach {
    /// For the client.
    pub code: Code,
    /// For the operator.
    pub fault: Fault,
}

impl From<Fault> for Breach {
    fn from(fault: Fault) -> Self {
        Self { code: fault.code(), fault }
    }
}

/// Where the reader is.
#[derive(Debug)]
pub struct Reader {
    stage: Stage,
    /// The front of a head.
    head: [u8; HEAD],
    /// The front of a payload.
    held: Vec<u8>,
    /// What is held was given out, and is of no more use.
    is_stale: bool,
    /// The stream of a block of fields that has begun and not ended.
    block: Option<u32>,
    /// There was no frame yet.
    is_first: bool,
    /// Frames and blocks that have begun.
    begun: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// So many bytes of it have come.
    Preface(u8),
    Head(u8),
    Payload(Head),
    /// The length of the padding is next.
    PadLength(Head),
    Data {
        left: u32,
        padding: u8,
    },
    Skip(u32),
}

/// A [`Piece`], which may be in the reader's own buffer.
enum Step<'i> {
    Held(Head),
    Piece(Piece<'i>),
    /// More is needed.
    Starved,
    /// There is nothing to tell.
    Silent,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            stage: Stage::Preface(0),
            head: [0; HEAD],
            held: Vec::new(),
            is_stale: false,
            block: None,
            is_first: true,
            begun: 0,
        }
    }
}

impl Reader {
    /// Takes what comes next from the front of `input`; `None` where more is needed.
    ///
    /// # Errors
    ///
    /// What ends the connection.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Piece<'a>>, Breach> {
        if self.is_stale {
            self.held = Vec::new();
            self.is_stale = false;
        }
        loop {
            match self.step(input)? {
                Step::Silent => {}
                Step::Starved => return Ok(None),
                Step::Piece(piece) => return Ok(Some(piece)),
                Step::Held(head) => {
                    self.is_stale = true;
                    return Ok(Some(Piece::Frame(head, &self.held)));
                }
            }
        }
    }

    /// Whether the client has said that it speaks HTTP/2.
    pub fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Preface(_))
    }

    /// Whether the client owes the rest of a frame that is no DATA, of a block of fields, or of the
    /// preface. A body may stop anywhere: its own limits see to that.
    pub fn is_unfinished(&self) -> bool {
        match self.stage {
            Stage::Preface(have) | Stage::Head(have) => have > 0 || self.block.is_some(),
            Stage::Payload(_) | Stage::Skip(_) => true,
            Stage::PadLength(_) | Stage::Data { .. } => false,
        }
    }

    /// Changes with each frame, or block of several, that begins.
    pub fn begun(&self) -> u32 {
        self.begun
    }

    fn step<'i>(&mut self, input: &mut &'i [u8]) -> Result<Step<'i>, Breach> {
        match self.stage {
            Stage::Data { left: 0, padding: 0 } => {
                self.stage = Stage::Head(0);
                Ok(Step::Piece(Piece::DataEnd))
            }
            Stage::Payload(head) => Ok(self.payload(head, input)),
            _ if input.is_empty() => Ok(Step::Starved),
            Stage::Preface(have) => self.preface(have, input),
            Stage::Head(have) => self.head(have, input),
            Stage::PadLength(head) => {
                let padding = take(input, 1)[0];
                if u32::from(padding) >= head.length {
                    return Err(Fault::Protocol.into());
                }
                let left = head.length - 1 - u32::from(padding);
                self.stage = Stage::Data { left, padding };
                Ok(Step::Piece(Piece::Data(head, left)))
            }
            Stage::Data { left: 0, padding } => {
                let skipped = take(input, usize::from(padding)).len();
                self.stage = Stage::Data { left: 0, padding: padding - skipped as u8 };
                Ok(Step::Silent)
            }
            Stage::Data { left, padding } => {
                let content = take(input, left as usize);
                self.stage = Stage::Data { left: left - content.len() as u32, padding };
                Ok(Step::Piece(Piece::Content(content)))
            }
            Stage::Skip(left) => {
                let left = left - take(input, left as usize).len() as u32;
                self.stage = if left == 0 { Stage::Head(0) } else { Stage::Skip(left) };
                Ok(Step::Silent)
            }
        }
    }

    fn preface<'i>(&mut self, have: u8, input: &mut &'i [u8]) -> Result<Step<'i>, Breach> {
        let due = &PREFACE[usize::from(have)..];
        let came = take(input, due.len());
        if *came != due[..came.len()] {
            return Err(Fault::Preface.into());
        }
        self.stage = match came.len() == due.len() {
            true => Stage::Head(0),
            false => Stage::Preface(have + came.len() as u8),
        };
        Ok(Step::Silent)
    }

    fn head<'i>(&mut self, have: u8, input: &mut &'i [u8]) -> Result<Step<'i>, Breach> {
        if have == 0 && self.block.is_none() {
            self.begun = self.begun.wrapping_add(1);
        }
        let head = match input.first_chunk() {
            Some(head) if have == 0 => {
                take(input, HEAD);
                Head::parse(head)
            }
            _ => {
                let came = take(input, HEAD - usize::from(have));
                let end = usize::from(have) + came.len();
                self.head[usize::from(have)..end].copy_from_slice(came);
                if end < HEAD {
                    self.stage = Stage::Head(end as u8);
                    return Ok(Step::Starved);
                }
                Head::parse(&self.head)
            }
        };
        self.begins(head)
    }

    fn begins<'i>(&mut self, head: Head) -> Result<Step<'i>, Breach> {
        if head.length as usize > MOST_PAYLOAD {
            return Err(Fault::FrameSize.into());
        }
        let continues = self.block.filter(|stream| *stream == head.stream).is_some();
        let is_due = match (head.kind, self.is_first) {
            (kind::SETTINGS, true) => !head.has(ACK),
            (_, true) => false,
            (kind::CONTINUATION, false) => continues,
            (_, false) => self.block.is_none(),
        };
        if !is_due {
            return Err(Fault::Protocol.into());
        }
        self.is_first = false;
        match head.kind {
            kind::DATA if !head.has(PADDED) => {
                self.stage = Stage::Data { left: head.length, padding: 0 };
                return Ok(Step::Piece(Piece::Data(head, head.length)));
            }
            kind::DATA if head.length == 0 => return Err(Fault::FrameSize.into()),
            kind::DATA => self.stage = Stage::PadLength(head),
            kind::HEADERS | kind::CONTINUATION => {
                self.block = Some(head.stream).filter(|_| !head.has(END_HEADERS));
                self.stage = Stage::Payload(head);
            }
            kind::PRIORITY..=kind::WINDOW_UPDATE => self.stage = Stage::Payload(head),
            _ => {
                self.stage =
                    if head.length == 0 { Stage::Head(0) } else { Stage::Skip(head.length) };
                return Ok(Step::Piece(Piece::Unknown(head)));
            }
        }
        Ok(Step::Silent)
    }

    fn payload<'i>(&mut self, head: Head, input: &mut &'i [u8]) -> Step<'i> {
        let length = head.length as usize;
        if self.held.is_empty() && input.len() >= length {
            self.stage = Stage::Head(0);
            return Step::Piece(Piece::Frame(head, take(input, length)));
        }
        let missing = length - self.held.len();
        self.held.extend_from_slice(take(input, missing));
        if self.held.len() < length {
            return Step::Starved;
        }
        self.stage = Stage::Head(0);
        Step::Held(head)
    }
}

/// Takes up to so many bytes from the front.
fn take<'i>(input: &mut &'i [u8], most: usize) -> &'i [u8] {
    let (front, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    front
}
