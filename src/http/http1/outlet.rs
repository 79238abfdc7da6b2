//! The body of a response on its way to the wire.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use http_body::Frame;

use crate::http::http1::encode;
use crate::http::http1::encode::Content;
use crate::http::http1::wire::Wire;

/// Frames one body.
#[derive(Debug)]
pub struct Outlet {
    content: Content,
    takes_trailers: bool,
    state: Filled,
}

/// How far a body has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Filled {
    /// It broke off: the client must not take what it has for all.
    Broken,
    /// All of it is on the wire, or about to be.
    Ended,
    /// The wire is full.
    Full,
    /// There is nothing more at the moment.
    Waiting,
}

impl Outlet {
    /// A body whose head has been written.
    pub fn new(content: Content, takes_trailers: bool) -> Self {
        Self { content, takes_trailers, state: Filled::Waiting }
    }

    /// Puts on the wire what there is.
    pub fn poll_fill<IO, B>(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut B,
        wire: &mut Wire<'_, IO>,
    ) -> Filled
    where
        B: Body<Data = Bytes> + Unpin,
    {
        while !matches!(self.state, Filled::Broken | Filled::Ended) {
            if self.is_over(body) {
                self.end(wire, None);
                break;
            }
            if !wire.has_room() {
                return Filled::Full;
            }
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
                return Filled::Waiting;
            };
            match frame {
                None => self.end(wire, None),
                Some(Ok(frame)) => self.take(frame, body, wire),
                Some(Err(_)) => self.state = Filled::Broken,
            }
        }
        self.state
    }

    fn is_over<B: Body>(&self, body: &B) -> bool {
        // Asked even where nothing is left to write: it may have something to note at its end.
        body.is_end_stream()
    }

    fn take<IO, B: Body>(&mut self, frame: Frame<Bytes>, body: &B, wire: &mut Wire<'_, IO>) {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                let trailers = frame.into_trailers().ok().filter(|_| self.takes_trailers);
                return self.end(wire, trailers.as_ref());
            }
        };
        if data.is_empty() {
            return;
        }
        match &mut self.content {
            // What has no body has none.
            Content::None => self.state = Filled::Ended,
            Content::Length(left) => match left.checked_sub(data.len() as u64) {
                Some(rest) => {
                    *left = rest;
                    wire.add(data, b"");
                }
                // More than was promised would be taken for the next response.
                None => self.state = Filled::Broken,
            },
            Content::Chunked => {
                encode::chunk(wire.text(), data.len());
                if body.is_end_stream() {
                    wire.add(data, b"\r\n0\r\n\r\n");
                    self.state = Filled::Ended;
                } else {
                    wire.add(data, b"\r\n");
                }
            }
            Content::UntilClose => wire.add(data, b""),
        }
    }

    fn end<IO>(&mut self, wire: &mut Wire<'_, IO>, trailers: Option<&HeaderMap>) {
        self.state = match self.content {
            // Less than was promised.
            Content::Length(1..) => Filled::Broken,
            Content::Chunked => {
                encode::last_chunk(wire.text(), trailers);
                Filled::Ended
            }
            Content::Length(0) | Content::None | Content::UntilClose => Filled::Ended,
        };
    }
}
