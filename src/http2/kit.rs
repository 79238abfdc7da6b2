//! A client of the machine for tests: frames by hand, and what comes back.

use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;

use crate::http2::Accepted;
use crate::http2::Bounds;
use crate::http2::Connection;
use crate::http2::Fault;
use crate::http2::Machine;
use crate::http2::Receiving;
use crate::http2::Sending;
use crate::http2::StreamError;
use crate::http2::frame;
use crate::http2::frame::END_HEADERS;
use crate::http2::frame::END_STREAM;
use crate::http2::frame::HEAD;
use crate::http2::frame::Head;
use crate::http2::frame::PREFACE;
use crate::http2::frame::kind;
use crate::http2::request;
use crate::message::Request;

/// A machine, and what came of its client's bytes.
pub(super) struct Lab {
    pub(super) connection: Connection,
    pub(super) accepted: Vec<Accepted>,
}

impl Lab {
    /// Nothing was said.
    pub(super) fn silent() -> Self {
        let head = request::Bounds { size: 32 << 10, fields: 100 };
        let machine = Machine::new(Bounds { streams: 100, head, glitches: 1000 });
        Self { connection: Connection::new(machine), accepted: Vec::new() }
    }

    /// The preface and these settings were said, and what came back was heard.
    pub(super) fn open(settings: &[(u16, u32)]) -> Self {
        let mut lab = Self::silent();
        lab.say(PREFACE);
        lab.say(&written(|to| frame::settings(to, settings)));
        lab.heard();
        lab
    }

    /// The client says this.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.connection.machine().feed(bytes, || 0, &mut self.accepted);
    }

    /// What is in the outbox; it is empty afterwards.
    pub(super) fn heard(&mut self) -> Vec<(Head, Vec<u8>)> {
        let mut machine = self.connection.machine();
        let bytes = machine.outbox().bytes().to_vec();
        machine.outbox().wrote(bytes.len());
        machine.serve();
        frames(&bytes)
    }

    /// The same, of one kind.
    pub(super) fn heard_of(&mut self, kind: u8) -> Vec<(Head, Vec<u8>)> {
        self.heard().into_iter().filter(|(head, _)| head.kind == kind).collect()
    }

    /// The codes of streams that were reset.
    pub(super) fn resets(&mut self) -> Vec<(u32, u32)> {
        let number = |(head, payload): &(Head, Vec<u8>)| {
            (head.stream, frame::number_at(payload, 0).expect("a code"))
        };
        self.heard_of(kind::RST_STREAM).iter().map(number).collect()
    }

    /// The first request that nobody has taken.
    pub(super) fn request(&mut self) -> (Request<Receiving>, Sending) {
        self.connection.stream(self.accepted.remove(0))
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.connection.machine().fault()
    }
}

/// All frames in there, which must be whole.
pub(super) fn frames(mut bytes: &[u8]) -> Vec<(Head, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() {
        let head = Head::parse(head);
        let (payload, rest) = rest.split_at(head.length as usize);
        frames.push((head, payload.to_vec()));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a head");
    frames
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    written(|to| {
        Head { length: payload.len() as u32, kind, flags, stream }.write(to);
        to.extend_from_slice(payload);
    })
}

pub(super) fn number(kind: u8, stream: u32, number: u32) -> Vec<u8> {
    written(|to| frame::number(to, kind, stream, number))
}

pub(super) fn data(stream: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, bytes)
}

/// A block of short fields, none of them indexed or compressed.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "short");
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// HEADERS with the fields of a request, and these.
pub(super) fn opened(stream: u32, flags: u8, method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let host =
        [(":method", method), (":scheme", "https"), (":authority", "a.test"), (":path", "/")];
    frame(kind::HEADERS, flags | END_HEADERS, stream, &block(&[&host, more].concat()))
}

pub(super) fn get(stream: u32) -> Vec<u8> {
    opened(stream, END_STREAM, "GET", &[])
}

pub(super) fn post(stream: u32) -> Vec<u8> {
    opened(stream, 0, "POST", &[])
}

pub(super) fn trailers(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block(fields))
}

pub(super) fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

/// A task that nobody wakes.
pub(super) fn idle() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// What has come of a body, and how it ended, if it has.
pub(super) fn taken(body: &mut Receiving) -> (Vec<u8>, Option<Result<(), StreamError>>) {
    let mut taken = Vec::new();
    loop {
        match body.poll_data(&idle()) {
            Poll::Ready(Some(Ok(data))) => taken.extend_from_slice(&data),
            Poll::Ready(Some(Err(error))) => return (taken, Some(Err(error))),
            Poll::Ready(None) => return (taken, Some(Ok(()))),
            Poll::Pending => return (taken, None),
        }
    }
}

/// Sends as much as there is room for; what is left.
pub(super) fn sent(to: &mut Sending, bytes: &[u8], is_last: bool) -> Result<usize, StreamError> {
    let mut piece = Bytes::copy_from_slice(bytes);
    match to.poll_send(&idle(), &mut piece, is_last) {
        Poll::Ready(Err(error)) => Err(error),
        Poll::Ready(Ok(())) | Poll::Pending => Ok(piece.len()),
    }
}
