//! The body of a request on its way into the outbox: framed as its head says.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::header;
use http_body::Body;
use http_body::Frame;

use crate::message::Fields;
use crate::message::Request;
use crate::upstream::body::RequestBody;
use crate::upstream::error::BodyError;
use crate::upstream::http1::encode;
use crate::upstream::http1::encode::Content;
use crate::upstream::http1::outbox::Outbox;
use crate::upstream::piped::BodyFault;

/// A body, and how much of it is to come.
#[derive(Debug)]
pub struct Upload {
    body: RequestBody,
    left: Left,
}

#[derive(Debug)]
enum Left {
    Nothing,
    /// So many bytes, at least one.
    Length(u64),
    /// As many chunks as there are, and these trailers.
    Chunks(Box<[HeaderName]>),
}

impl Upload {
    /// No body.
    pub fn none() -> Self {
        Self { body: RequestBody::Empty, left: Left::Nothing }
    }

    /// Takes the body of a request, and says what its head has to say of it: its length, if that is known,
    /// or that there are chunks.
    pub fn begin(request: &mut Request<RequestBody>) -> (Self, Content) {
        let body = std::mem::replace(request.body_mut(), RequestBody::Empty);
        if body.is_end_stream() {
            return (Self::none(), Content::Said);
        }
        let fields = request.fields();
        let said = fields.get(header::CONTENT_LENGTH);
        let said = said.and_then(|value| value.to_str().ok()?.parse().ok());
        let (left, content) = match (said, body.size_hint().exact()) {
            (Some(length), _) => (Left::Length(length), Content::Said),
            (None, Some(length)) => (Left::Length(length), Content::Length(length)),
            (None, None) => (Left::Chunks(announced(fields)), Content::Chunked),
        };
        match left {
            Left::Nothing | Left::Length(0) => (Self::none(), content),
            left => (Self { body, left }, content),
        }
    }

    /// Whether all of it is in the outbox.
    pub fn is_done(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }

    /// Adds what there is; ready when there is nothing more to add, or no room for it, pending while the
    /// client is waited for.
    ///
    /// # Errors
    ///
    /// The body's; the endpoint must not take what it has for all.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
    ) -> Poll<Result<(), BodyError>> {
        while !self.is_done() && outbox.has_room() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => self.take(frame, outbox)?,
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => self.end(outbox, None)?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, frame: Frame<Bytes>, outbox: &mut Outbox) -> Result<(), BodyError> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return self.end(outbox, frame.into_trailers().ok()),
        };
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.left {
            Left::Nothing => {}
            Left::Length(left) => {
                // More than was promised would be taken for the next request.
                let after = left.checked_sub(data.len() as u64).ok_or(BROKEN)?;
                *left = after;
                outbox.add(data, b"");
                if after == 0 {
                    *self = Self::none();
                }
            }
            Left::Chunks(_) => {
                encode::chunk(outbox.text(), data.len());
                if self.body.is_end_stream() {
                    outbox.add(data, b"\r\n0\r\n\r\n");
                    *self = Self::none();
                } else {
                    outbox.add(data, b"\r\n");
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, outbox: &mut Outbox, trailers: Option<HeaderMap>) -> Result<(), BodyError> {
        match std::mem::replace(self, Self::none()).left {
            Left::Nothing => {}
            // Less than was promised.
            Left::Length(_) => return Err(BROKEN),
            Left::Chunks(announced) => {
                let trailers = trailers.map(|trailers| only(&announced, trailers));
                encode::last_chunk(outbox.text(), trailers.as_ref());
            }
        }
        Ok(())
    }
}

/// Trailers are sent on if the head has announced them (RFC 9110, section 6.6.2).
fn announced(fields: &Fields) -> Box<[HeaderName]> {
    let values = fields.get_all(header::TRAILER);
    let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}

fn only(announced: &[HeaderName], mut trailers: HeaderMap) -> HeaderMap {
    let others = trailers.keys().filter(|name| !announced.contains(name));
    for name in others.cloned().collect::<Vec<_>>() {
        trailers.remove(name);
    }
    trailers
}

const BROKEN: BodyError = BodyError::Client(BodyFault::BrokenOff);

#[cfg(test)]
#[path = "upload_tests.rs"]
mod tests;
