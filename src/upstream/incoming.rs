//! The body of a response as it comes from an endpoint, over whatever connection.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;

use crate::upstream::connection_error::ConnectionError;
use crate::upstream::error::BodyError;
use crate::upstream::http1::Connection;
use crate::upstream::http1::apart::Apart;

/// Where it comes from.
#[derive(Debug)]
pub enum Incoming {
    /// A connection of its own until it has ended; `None` when that has been given back.
    Http1(Option<Box<Connection>>),
    /// Such a connection that its request still needs.
    Apart(Apart),
    /// A stream.
    Http2(hyper::body::Incoming),
}

impl Incoming {
    /// The connection that it came over, if that is nobody else's.
    pub fn take_connection(&mut self) -> Option<Box<Connection>> {
        match self {
            Self::Http1(connection) => connection.take(),
            Self::Apart(_) | Self::Http2(_) => None,
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Http1(Some(connection)) => connection.poll_frame(cx),
            Self::Http1(None) => Poll::Ready(None),
            Self::Apart(body) => body.poll_frame(cx),
            Self::Http2(stream) => {
                let polled = Pin::new(&mut *stream).poll_frame(cx);
                match polled.map_err(|error| ConnectionError::Http2(error).into()) {
                    // hyper takes a stream that its endpoint cancels for one that has ended.
                    Poll::Ready(None) if !stream.is_end_stream() => {
                        Poll::Ready(Some(Err(BodyError::Cancelled)))
                    }
                    polled => polled,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.as_ref().is_none_or(|it| it.has_ended()),
            Self::Apart(body) => body.has_ended(),
            Self::Http2(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = match self {
            Self::Http1(connection) => connection.as_ref().map_or(Some(0), |it| it.length()),
            Self::Apart(body) => body.length(),
            Self::Http2(stream) => return stream.size_hint(),
        };
        length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
