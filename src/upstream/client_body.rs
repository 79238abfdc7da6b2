//! What a client sends after the head of its request, over either protocol.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;

use crate::http2::Receiving;
use crate::http2::StreamError;
use crate::upstream::error::BodyError;
use crate::upstream::interim::Hearing;
use crate::upstream::pace::BodyPace;
use crate::upstream::piped::PipedBody;

/// A body that comes over a client's connection.
#[derive(Debug)]
pub enum ClientBody {
    /// HTTP/1.1.
    Http1(PipedBody),
    /// HTTP/2.
    Http2(StreamBody),
}

/// The body of one stream. Room is given back to the client with each piece that is taken.
#[derive(Debug)]
pub struct StreamBody {
    stream: Receiving,
    /// What is still to come of a body whose length was said; more and less is refused before.
    left: Option<u64>,
    has_data_ended: bool,
    /// The client waits for `100 Continue`.
    asks: Option<Hearing>,
    /// `None`: it may be silent, because both sides talk as they like.
    pace: Option<BodyPace>,
}

impl StreamBody {
    /// The body of a request. `length` is what its Content-Length says; `asks` is told when the body is
    /// wanted.
    pub fn new(
        stream: Receiving,
        length: Option<u64>,
        asks: Option<Hearing>,
        pace: Option<BodyPace>,
    ) -> Self {
        Self { stream, left: length, has_data_ended: false, asks, pace }
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.poll_stream(cx).map_err(BodyError::Stream);
        let Some(pace) = &mut self.pace else { return polled };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => pace.came(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(_) => self.pace = None,
            Poll::Pending => {
                let stall = ready!(pace.poll_stall(cx));
                return Poll::Ready(Some(Err(BodyError::Client(stall))));
            }
        }
        polled
    }

    fn poll_stream(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        if let Some(hearing) = self.asks.take() {
            hearing.go_on();
        }
        if !self.has_data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                // A client that cancels has not sent a whole body, whatever its reason is called.
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.has_data_ended = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers.into()))))
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Http1(body) => Pin::new(body).poll_frame(cx),
            Self::Http2(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.stream.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
