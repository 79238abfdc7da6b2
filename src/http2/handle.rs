//! A connection as its loop and the tasks of its streams share it, all on one worker: nobody ever waits for
//! the lock, and nobody keeps it.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http::StatusCode;

use crate::http2::code::Code;
use crate::http2::code::StreamError;
use crate::http2::machine::Machine;
use crate::http2::state::Accepted;
use crate::http2::stream;
use crate::message::Fields;
use crate::message::Request;

/// A connection in the hands of its loop. When it is dropped, the connection is gone for all of its streams.
#[derive(Debug)]
pub struct Connection(Shared);

/// What all handles refer to.
#[derive(Clone)]
struct Shared(Arc<Mutex<Machine>>);

/// The body of a request. Dropped before its end, the rest is not wanted.
#[derive(Debug)]
pub struct Receiving {
    /// None: there is no body.
    stream: Option<Handle>,
}

/// The way back. Dropped before its end, the stream is reset.
#[derive(Debug)]
pub struct Sending {
    stream: Handle,
}

#[derive(Debug)]
struct Handle {
    shared: Shared,
    id: u32,
}

impl Connection {
    /// One that begins.
    pub fn new(machine: Machine) -> Self {
        Self(Shared(Arc::new(Mutex::new(machine))))
    }

    /// The machine, for one call.
    pub fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock()
    }

    /// A request that has come, with what its stream is used by.
    pub fn stream(&self, accepted: Accepted) -> (Request<Receiving>, Sending) {
        let Accepted { id, gained, ends } = accepted;
        let handle = || Handle { shared: self.0.clone(), id };
        let receiving = Receiving { stream: (!ends).then(handle) };
        (Request::from_parts(gained.head, receiving), Sending { stream: handle() })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.machine().gone();
    }
}

impl Receiving {
    /// The next piece of the body. Taking it gives the client room for as much.
    pub fn poll_data(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, StreamError>>> {
        let Some(Handle { shared, id }) = &self.stream else { return Poll::Ready(None) };
        let mut machine = shared.lock();
        let state = &mut machine.state;
        let Some(stream) = state.streams.get(*id) else {
            return Poll::Ready(Some(Err(StreamError::Gone)));
        };
        if let Some(error) = stream.error {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(data) = stream.inward.pop() {
            state.took_of(*id, data.len() as u32);
            return Poll::Ready(Some(Ok(data)));
        }
        if stream.inward.has_ended {
            return Poll::Ready(None);
        }
        stream::keep(&mut stream.inward.reader, cx.waker());
        Poll::Pending
    }

    /// What follows the body, if anything does.
    pub fn poll_trailers(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Fields>, StreamError>> {
        let Some(Handle { shared, id }) = &self.stream else { return Poll::Ready(Ok(None)) };
        let mut machine = shared.lock();
        let Some(stream) = machine.state.streams.get(*id) else {
            return Poll::Ready(Err(StreamError::Gone));
        };
        if let Some(error) = stream.error {
            return Poll::Ready(Err(error));
        }
        if stream.inward.has_ended {
            return Poll::Ready(Ok(stream.inward.trailers.take()));
        }
        stream::keep(&mut stream.inward.reader, cx.waker());
        Poll::Pending
    }

    /// Whether all of it has been taken.
    pub fn is_over(&self) -> bool {
        let Some(Handle { shared, id }) = &self.stream else { return true };
        let mut machine = shared.lock();
        let stream = machine.state.streams.get(*id);
        stream.is_some_and(|stream| stream.error.is_none() && stream.inward.is_over())
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let Some(Handle { shared, id }) = &self.stream else { return };
        let mut machine = shared.lock();
        let state = &mut machine.state;
        if let Some(stream) = state.streams.get(*id) {
            stream.inward.is_held = false;
            stream.inward.reader = None;
            let unread = stream.inward.clear();
            state.took(unread);
        }
        state.settle(*id);
    }
}

impl Sending {
    /// Ready when the stream has ended before its end: the client has reset it, or is gone.
    pub fn poll_reset(&self, cx: &Context<'_>) -> Poll<StreamError> {
        self.lock().state.poll_reset(self.stream.id, cx)
    }

    /// Sends an interim response. Nobody misses one that cannot be sent.
    pub fn inform(&mut self, status: StatusCode, fields: &Fields) {
        self.lock().state.inform(self.stream.id, status, fields);
    }

    /// Sends the head of the response; `ends` if that is all of it.
    ///
    /// # Errors
    ///
    /// The stream is gone, or there is a field that HTTP/2 does not know.
    pub fn respond(
        &mut self,
        status: StatusCode,
        fields: &Fields,
        ends: bool,
    ) -> Result<(), StreamError> {
        self.lock().state.respond(self.stream.id, status, fields, ends)
    }

    /// Sends as much of a piece as there is room for: how much. `is_last` if nothing follows the piece.
    pub fn poll_write(
        &mut self,
        cx: &Context<'_>,
        bytes: &[u8],
        is_last: bool,
    ) -> Poll<Result<usize, StreamError>> {
        self.lock().state.poll_write(self.stream.id, cx, bytes, is_last)
    }

    /// Sends a piece as there is room for it, and takes away what was sent; ready when all of it was.
    pub fn poll_send(
        &mut self,
        cx: &Context<'_>,
        piece: &mut Bytes,
        is_last: bool,
    ) -> Poll<Result<(), StreamError>> {
        let mut machine = self.stream.shared.lock();
        while !piece.is_empty() {
            let wrote = ready!(machine.state.poll_write(self.stream.id, cx, piece, is_last))?;
            bytes::Buf::advance(piece, wrote);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether it is the client that gives no room.
    pub fn lacks_window(&self) -> bool {
        self.lock().state.lacks_window(self.stream.id)
    }

    /// Sends the end of the response.
    ///
    /// # Errors
    ///
    /// The stream is gone.
    pub fn finish(&mut self) -> Result<(), StreamError> {
        self.lock().state.finish(self.stream.id)
    }

    /// Sends the response's trailers, which are its end.
    ///
    /// # Errors
    ///
    /// The stream is gone.
    pub fn finish_with(&mut self, trailers: &Fields) -> Result<(), StreamError> {
        self.lock().state.finish_with(self.stream.id, trailers)
    }

    /// Ends the stream before its end.
    pub fn reset(&mut self, code: Code) {
        self.lock().state.give_up(self.stream.id, code);
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.stream.shared.lock()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut machine = self.lock();
        let state = &mut machine.state;
        state.let_go(self.stream.id);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}
