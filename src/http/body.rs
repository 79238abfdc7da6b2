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
use crate::http::tunnel::Switched;
use crate::upstream::BodyError;
use crate::upstream::Switch;
use crate::upstream::UpstreamBody;

/// What a client is sent.
#[derive(Debug)]
pub struct ResponseBody {
    content: Content,
    /// `None` if it goes on without a body.
    exchange: Option<Box<Exchange>>,
}

#[derive(Debug)]
enum Content {
    Own(Bytes),
    Upstream(UpstreamBody),
    /// None: protocols are switched.
    Switching(Option<Switch>),
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

    /// None: both sides have agreed to switch protocols.
    pub fn switching(switch: Switch, exchange: Box<Exchange>) -> Self {
        Self::new(Content::Switching(Some(switch)), exchange)
    }

    /// The tunnel that follows, if protocols are switched.
    pub fn take_switched(&mut self) -> Option<Switched> {
        let Content::Switching(switch) = &mut self.content else { return None };
        Some(Switched::new(switch.take()?, self.exchange.take()?))
    }

    /// The client did not take it.
    pub fn failed(&mut self, reason: &'static str) {
        if let Some(exchange) = &mut self.exchange {
            exchange.failed(reason);
        }
    }

    fn ended(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.response_ended();
        }
    }

    fn new(content: Content, exchange: Box<Exchange>) -> Self {
        let is_empty = exchange.is_head() || content.is_empty();
        let mut body = Self { content, exchange: Some(exchange) };
        if is_empty {
            // Nobody asks a body without content for a frame.
            body.ended();
        }
        body
    }
}

impl Content {
    fn is_empty(&self) -> bool {
        match self {
            Self::Own(text) => text.is_empty(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Switching(_) => true,
        }
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
            Content::Switching(_) => None,
        };
        let is_last = self.content.is_empty();
        let Some(exchange) = &mut self.exchange else { return Poll::Ready(frame) };
        match &frame {
            Some(Ok(frame)) => {
                exchange.sent(frame.data_ref().map_or(0, |data| data.len() as u64));
                if frame.is_trailers() || is_last {
                    exchange.response_ended();
                }
            }
            Some(Err(error)) => exchange.broke_off(error.reason()),
            None => exchange.response_ended(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(text) => SizeHint::with_exact(text.len() as u64),
            Content::Upstream(body) => body.size_hint(),
            Content::Switching(_) => SizeHint::with_exact(0),
        }
    }
}
