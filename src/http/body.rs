//! The body of a response to a client: an endpoint's or our own. It carries the exchange, which is
//! written when the body has ended or is dropped.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;

use crate::http::exchange::Exchange;
use crate::upstream::BodyError;
use crate::upstream::UpstreamBody;

/// What a client is sent.
#[derive(Debug)]
pub struct ResponseBody {
    content: Content,
    exchange: Box<Exchange>,
}

#[derive(Debug)]
enum Content {
    Own(Bytes),
    Upstream(UpstreamBody),
}

impl ResponseBody {
    /// An answer of our own.
    pub fn own(text: Bytes, exchange: Box<Exchange>) -> Self {
        Self::new(Content::Own(text), exchange)
    }

    /// An endpoint's response.
    pub fn upstream(body: UpstreamBody, exchange: Box<Exchange>) -> Self {
        Self::new(Content::Upstream(body), exchange)
    }

    fn new(content: Content, exchange: Box<Exchange>) -> Self {
        let mut body = Self { content, exchange };
        // Nobody asks a body without content for a frame.
        if body.is_end_stream() || body.exchange.is_head() {
            body.exchange.response_ended();
        }
        body
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match &mut self.content {
            Content::Own(text) if text.is_empty() => None,
            Content::Own(text) => Some(Ok(Frame::data(std::mem::take(text)))),
            Content::Upstream(body) => ready!(Pin::new(body).poll_frame(cx)),
        };
        match &frame {
            Some(Ok(frame)) => {
                self.exchange.sent(frame.data_ref().map_or(0, |data| data.len() as u64));
                if frame.is_trailers() || self.is_end_stream() {
                    self.exchange.response_ended();
                }
            }
            Some(Err(error)) => self.exchange.broke_off(error.reason()),
            None => self.exchange.response_ended(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(text) => text.is_empty(),
            Content::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(text) => SizeHint::with_exact(text.len() as u64),
            Content::Upstream(body) => body.size_hint(),
        }
    }
}
