//! A body between two tasks of a worker: the one that reads a client's connection, and the one that
//! writes to the endpoint. One piece at a time, and read only when it is asked for.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use thiserror::Error;

use crate::upstream::error::BodyError;

/// What a client did with the body of its request that no client should. None of it is the endpoint's
/// fault, and the endpoint never takes what it got for a whole request.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BodyFault {
    /// It broke off: the client left, or reset its stream.
    #[error("the request body broke off")]
    BrokenOff,
    /// Its chunks are none.
    #[error("the request body is malformed")]
    Malformed,
    /// Nothing of it came for too long.
    #[error("the client sent nothing of its request body for too long")]
    Silent,
    /// It came too slowly.
    #[error("the request body came too slowly")]
    TooSlow,
}

/// The end that is filled. Dropped before the body has ended, it has broken off.
pub struct BodyFeed(Arc<Shared>);

/// The end that is read.
pub struct PipedBody(Arc<Shared>);

/// What the end that is filled is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Demand {
    /// Nobody will ever read it: the other end is gone.
    Gone,
    /// There is a piece that was not taken yet.
    Full,
    /// There is room, but nobody waits.
    Room,
    /// Somebody waits.
    Wanted,
}

struct Shared(Mutex<Slot>);

struct Slot {
    piece: Option<Bytes>,
    trailers: Option<HeaderMap>,
    /// What is still to be read of a body whose length was said.
    left: Option<u64>,
    end: End,
    is_wanted: bool,
    is_gone: bool,
    reader: Option<Waker>,
    filler: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Open,
    Ended,
    Failed(BodyFault),
}

/// Both ends of a body; `length` is how long it is, if that is known.
pub fn pipe(length: Option<u64>) -> (BodyFeed, PipedBody) {
    let slot = Slot {
        piece: None,
        trailers: None,
        left: length,
        end: End::Open,
        is_wanted: false,
        is_gone: false,
        reader: None,
        filler: None,
    };
    let shared = Arc::new(Shared(Mutex::new(slot)));
    (BodyFeed(Arc::clone(&shared)), PipedBody(shared))
}

impl BodyFault {
    /// One stable word: metric label and log field.
    pub fn reason(self) -> &'static str {
        match self {
            Self::BrokenOff | Self::Malformed => "client_body",
            Self::Silent => "request_body_timeout",
            Self::TooSlow => "request_body_too_slow",
        }
    }

    /// Whether it is a matter of time.
    pub fn is_late(self) -> bool {
        matches!(self, Self::Silent | Self::TooSlow)
    }
}

impl BodyFeed {
    /// What is to be done. This task is woken when that changes.
    pub fn demand(&self, cx: &Context<'_>) -> Demand {
        let mut slot = self.0.lock();
        if slot.is_gone {
            return Demand::Gone;
        }
        match &mut slot.filler {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        match (slot.piece.is_some(), slot.is_wanted) {
            (true, _) => Demand::Full,
            (false, true) => Demand::Wanted,
            (false, false) => Demand::Room,
        }
    }

    /// Whether the other end is gone.
    pub fn is_gone(&self) -> bool {
        self.0.lock().is_gone
    }

    /// The next piece; there must be room for it.
    pub fn push(&self, piece: Bytes) {
        let mut slot = self.0.lock();
        slot.piece = Some(piece);
        slot.is_wanted = false;
        slot.wake_reader();
    }

    /// All of it has been pushed.
    pub fn end(self, trailers: Option<HeaderMap>) {
        let mut slot = self.0.lock();
        slot.trailers = trailers;
        slot.end = End::Ended;
        slot.wake_reader();
    }

    /// There will be no more, and it is not all.
    pub fn fail(self, fault: BodyFault) {
        let mut slot = self.0.lock();
        slot.end = End::Failed(fault);
        slot.wake_reader();
    }
}

impl Drop for BodyFeed {
    fn drop(&mut self) {
        let mut slot = self.0.lock();
        if slot.end == End::Open {
            slot.end = End::Failed(BodyFault::BrokenOff);
            slot.wake_reader();
        }
    }
}

impl Body for PipedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut slot = self.0.lock();
        if let Some(piece) = slot.piece.take() {
            slot.left = slot.left.map(|left| left.saturating_sub(piece.len() as u64));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match slot.end {
            End::Ended => Poll::Ready(slot.trailers.take().map(|it| Ok(Frame::trailers(it)))),
            End::Failed(fault) => Poll::Ready(Some(Err(BodyError::Client(fault)))),
            End::Open => {
                match &mut slot.reader {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                if !slot.is_wanted {
                    slot.is_wanted = true;
                    slot.wake_filler();
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let slot = self.0.lock();
        slot.end == End::Ended && slot.piece.is_none() && slot.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for PipedBody {
    fn drop(&mut self) {
        let mut slot = self.0.lock();
        slot.is_gone = true;
        slot.piece = None;
        slot.wake_filler();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn wake_reader(&self) {
        if let Some(waker) = &self.reader {
            waker.wake_by_ref();
        }
    }

    fn wake_filler(&self) {
        if let Some(waker) = &self.filler {
            waker.wake_by_ref();
        }
    }
}

impl fmt::Debug for BodyFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyFeed").finish_non_exhaustive()
    }
}

impl fmt::Debug for PipedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipedBody").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(body: &mut PipedBody) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    fn demand(feed: &BodyFeed) -> Demand {
        feed.demand(&Context::from_waker(Waker::noop()))
    }

    fn is_data(polled: Poll<Option<Result<Frame<Bytes>, BodyError>>>, expected: &str) -> bool {
        matches!(polled, Poll::Ready(Some(Ok(frame))) if frame.data_ref().is_some_and(|it| it == expected))
    }

    #[test]
    fn a_piece_is_asked_for_before_it_is_read_and_taken_before_the_next() {
        let (feed, mut body) = pipe(Some(7));
        assert_eq!(demand(&feed), Demand::Room);
        assert!(next(&mut body).is_pending());
        assert_eq!(demand(&feed), Demand::Wanted);
        feed.push(Bytes::from_static(b"some"));
        assert_eq!(demand(&feed), Demand::Full);
        assert!(is_data(next(&mut body), "some"));
        assert_eq!((demand(&feed), body.size_hint().exact()), (Demand::Room, Some(3)));
        feed.push(Bytes::from_static(b"ing"));
        feed.end(None);
        assert!(!body.is_end_stream());
        assert!(is_data(next(&mut body), "ing"));
        assert!(body.is_end_stream() && matches!(next(&mut body), Poll::Ready(None)));
    }

    #[test]
    fn a_body_that_is_not_fed_to_its_end_fails() {
        let (feed, mut body) = pipe(None);
        feed.push(Bytes::from_static(b"half"));
        drop(feed);
        assert!(is_data(next(&mut body), "half"));
        let Poll::Ready(Some(Err(BodyError::Client(fault)))) = next(&mut body) else {
            panic!("an error");
        };
        assert_eq!(fault, BodyFault::BrokenOff);
        let (feed, body) = pipe(None);
        drop(body);
        assert!(feed.is_gone() && demand(&feed) == Demand::Gone);
    }
}
