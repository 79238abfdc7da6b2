//! A connection to an endpoint, as bytes: a request out, its response in, and whether another can follow.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::task::ready;

use bytes::Bytes;
use bytes::BytesMut;
use http::Method;
use http::StatusCode;
use http_body::Frame;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::message::Request;
use crate::message::Response;
use crate::upstream::body::RequestBody;
use crate::upstream::connection_error::BadResponse;
use crate::upstream::connection_error::ConnectionError;
use crate::upstream::error::BodyError;
use crate::upstream::error::UpstreamError;
use crate::upstream::http1::decoder::BadBody;
use crate::upstream::http1::decoder::Decoder;
use crate::upstream::http1::decoder::Framing;
use crate::upstream::http1::decoder::Piece;
use crate::upstream::http1::encode;
use crate::upstream::http1::head;
use crate::upstream::http1::head::BadHead;
use crate::upstream::http1::outbox::Outbox;
use crate::upstream::http1::upload::Upload;
use crate::upstream::interim::Hearing;
use crate::upstream::piped::BodyFault;
use crate::upstream::stream_io::StreamIo;

/// A connection with its buffers, of which there are none while it is not used.
#[derive(Debug)]
pub struct Connection {
    io: StreamIo,
    /// Bytes of a response head.
    most_head: usize,
    input: BytesMut,
    /// How much of an incomplete head is known to be one.
    looked_at: usize,
    /// There is more to read than fits a small buffer.
    is_bulk: bool,
    outbox: Outbox,
    upload: Upload,
    /// All of the request has left, or will never.
    has_sent: bool,
    method: Method,
    interims: u32,
    decoder: Decoder,
    /// What came behind the piece that was passed on last.
    ahead: Option<Result<Piece, BadBody>>,
    /// Another request can follow.
    keeps_alive: bool,
    /// What went wrong with the response, until it is told.
    failed: Option<BodyError>,
}

impl Connection {
    /// A connection that nothing has been said on. A response head may have `most_head` bytes.
    pub fn new(io: StreamIo, most_head: usize) -> Self {
        Self {
            io,
            most_head,
            input: BytesMut::new(),
            looked_at: 0,
            is_bulk: false,
            outbox: Outbox::default(),
            upload: Upload::none(),
            has_sent: true,
            method: Method::GET,
            interims: 0,
            decoder: ended(),
            ahead: None,
            keeps_alive: true,
            failed: None,
        }
    }

    /// Takes a request, and its body out of it; it leaves as the response is asked for.
    pub fn begin(&mut self, request: &mut Request<RequestBody>) {
        let (upload, content) = Upload::begin(request);
        self.upload = upload;
        self.outbox.begin();
        encode::head(self.outbox.text(), request, content);
        self.method.clone_from(request.method());
        self.has_sent = false;
        self.interims = 0;
        self.is_bulk = false;
    }

    /// Sends the request and waits for the head of its response; interim responses are told of.
    ///
    /// # Errors
    ///
    /// `ClientBody`, `Closed`, `InvalidResponse` or `InterimFlood`; the connection is of no use any more.
    pub fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        hearing: Option<&Hearing>,
    ) -> Poll<Result<Response<()>, UpstreamError>> {
        if let Poll::Ready(Err(_)) = self.poll_request(cx) {
            // Which of its faults, the body has noted.
            return Poll::Ready(Err(UpstreamError::ClientBody(BodyFault::BrokenOff)));
        }
        loop {
            while let Some(head) = self.next_head().map_err(BadResponse::Http1)? {
                if !head::is_interim(head.status()) {
                    self.expect_body(&head).map_err(BadResponse::Http1)?;
                    return Poll::Ready(Ok(head));
                }
                self.interims += 1;
                if self.interims > FLOOD {
                    return Poll::Ready(Err(UpstreamError::InterimFlood));
                }
                if let Some(hearing) = hearing {
                    hearing.tell(head.status(), head.fields());
                }
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) => return Poll::Ready(Err(ConnectionError::Ended.into())),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(ConnectionError::Io(error).into())),
            }
        }
    }

    /// Sends what there is of the request; ready when all of it has left, or never will because the
    /// endpoint takes no more of it.
    ///
    /// # Errors
    ///
    /// The request's body failed: the connection has to be cut.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while !self.has_sent {
            let filled = self.upload.poll_fill(cx, &mut self.outbox);
            if let Poll::Ready(Err(error)) = filled {
                return Poll::Ready(Err(error));
            }
            match self.outbox.poll_write(cx, &mut self.io) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                // It may have said why before it closed: that is still read.
                Poll::Ready(Err(_)) => self.give_up(),
            }
            if self.upload.is_done() {
                self.has_sent = true;
            } else if filled.is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The next piece of the response's body.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            match self.next_piece() {
                Ok(Some(Piece::Data(data))) => {
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(Some(Piece::End(trailers))) => {
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
                Ok(None) if self.has_ended() => return Poll::Ready(None),
                Ok(None) => {}
                Err(bad) => return self.fail(cx, ConnectionError::Chunks(bad)),
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) if self.decoder.closed() => return Poll::Ready(None),
                Ok(0) => return self.fail(cx, ConnectionError::Ended),
                Ok(_) => {}
                Err(error) => return self.fail(cx, ConnectionError::Io(error)),
            }
        }
    }

    /// Ready when a connection that is not used must not be used again: it was closed, or something was
    /// said on it that nobody asked for. What TLS says for itself is nothing.
    pub fn poll_unusable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0; 1];
        Pin::new(&mut self.io).poll_read(cx, &mut ReadBuf::new(&mut byte)).map(drop)
    }

    /// Whether all of the response has been passed on.
    pub fn has_ended(&self) -> bool {
        self.decoder.has_ended() && self.ahead.is_none()
    }

    /// Whether all of the request has left, or will never.
    pub fn has_sent(&self) -> bool {
        self.has_sent
    }

    /// Whether anything of the request may have left.
    pub fn has_written(&self) -> bool {
        self.outbox.has_written()
    }

    /// Whether the endpoint is waited for to take what there is of the request.
    pub fn is_blocked(&self) -> bool {
        self.outbox.is_blocked()
    }

    /// How many bytes of the response's body are to come, where that was said.
    pub fn length(&self) -> Option<u64> {
        let ahead = match &self.ahead {
            Some(Ok(Piece::Data(data))) => data.len() as u64,
            _ => 0,
        };
        self.decoder.length().map(|length| length + ahead)
    }

    /// Whether another request can follow.
    pub fn is_reusable(&self) -> bool {
        self.keeps_alive && self.has_sent && self.has_ended() && self.input.is_empty()
    }

    /// Gives its buffers back.
    pub fn rest(&mut self) {
        self.input = BytesMut::new();
        self.outbox = Outbox::default();
    }

    /// Closes it between two messages. TLS is told, which is not waited for.
    pub fn close(mut self: Box<Self>) {
        if let StreamIo::Tls(_) = self.io {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = Pin::new(&mut self.io).poll_shutdown(&mut cx);
        }
    }

    /// The stream and what was read of it, when it is HTTP's no longer.
    pub fn into_parts(self) -> (StreamIo, Bytes) {
        (self.io, self.input.freeze())
    }

    /// The response broke off. Told in the next turn of the task, so that what came before can leave: a
    /// stream of HTTP/2 that is reset forgets what waits for it.
    fn fail<T>(&mut self, cx: &Context<'_>, error: ConnectionError) -> Poll<T> {
        self.failed = Some(error.into());
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The rest of the request has nowhere to go.
    fn give_up(&mut self) {
        self.upload = Upload::none();
        self.outbox.clear();
        self.keeps_alive = false;
    }

    fn next_head(&mut self) -> Result<Option<Response<()>>, BadHead> {
        let news = &self.input[self.looked_at..];
        // One that comes in many pieces is parsed once for each line.
        if news.is_empty()
            || self.looked_at > 0
                && self.input.len() < self.most_head
                && memchr::memchr(b'\n', news).is_none()
        {
            self.looked_at = self.input.len();
            return Ok(None);
        }
        let head = head::parse(&mut self.input, self.most_head)?;
        self.looked_at = if head.is_some() { 0 } else { self.input.len() };
        Ok(head)
    }

    fn expect_body(&mut self, head: &Response<()>) -> Result<(), BadHead> {
        let framing = head::framing(head, &self.method)?;
        self.keeps_alive &= framing != Framing::UntilClose
            && head.status() != StatusCode::SWITCHING_PROTOCOLS
            && head::keeps_alive(head);
        self.decoder =
            if framing == Framing::Empty { ended() } else { Decoder::of_response(framing) };
        self.ahead = None;
        Ok(())
    }

    /// Takes the next piece off what was read, and looks whether it is the last one.
    fn next_piece(&mut self) -> Result<Option<Piece>, BadBody> {
        let piece = match self.ahead.take() {
            Some(piece) => piece?,
            None => match self.decoder.decode(&mut self.input)? {
                Some(piece) => piece,
                None => return Ok(None),
            },
        };
        if let Piece::Data(_) = piece {
            self.ahead = match self.decoder.decode(&mut self.input).transpose() {
                Some(Ok(Piece::End(None))) => None,
                ahead => ahead,
            };
        }
        Ok(Some(piece))
    }

    /// Reads what there is; 0 at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.is_bulk {
            return self.poll_read_little(cx);
        }
        let left = self.decoder.length().and_then(|left| usize::try_from(left).ok());
        let room = left.unwrap_or(usize::MAX).clamp(LITTLE, MUCH);
        if self.input.capacity() - self.input.len() < room / 2 {
            // Takes what is free in front where nothing refers to it any more, or anew.
            self.input.reserve(room);
        }
        let read = ready!(std::pin::pin!(self.io.read_buf(&mut self.input)).poll(cx))?;
        // TLS hands over one record at a time. How it ended is told again by the next read.
        while matches!(self.io, StreamIo::Tls(_))
            && self.input.len() < self.input.capacity()
            && let Poll::Ready(Ok(1..)) = std::pin::pin!(self.io.read_buf(&mut self.input)).poll(cx)
        {
        }
        Poll::Ready(Ok(read))
    }

    /// The same through the worker's buffer: however long a client takes for a head and a page, they hold as
    /// much memory as they have bytes.
    fn poll_read_little(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(LITTLE, 0);
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            let mut before = 0;
            while matches!(self.io, StreamIo::Tls(_)) && read.filled().len() > before {
                before = read.filled().len();
                let _ = Pin::new(&mut self.io).poll_read(cx, &mut read);
            }
            let read = read.filled();
            self.input.extend_from_slice(read);
            self.is_bulk = read.len() == LITTLE;
            Poll::Ready(Ok(read.len()))
        })
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// After a body.
fn ended() -> Decoder {
    let mut decoder = Decoder::new(Framing::Empty);
    decoder.closed();
    decoder
}

/// What is read at a time: a head and a page.
const LITTLE: usize = 32 << 10;

/// The same of a body that comes faster than it is read.
const MUCH: usize = 128 << 10;

/// Interim responses to one request. No page has so many hints, and no server so much progress to tell.
const FLOOD: u32 = 32;

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
