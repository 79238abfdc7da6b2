//! A connection as a machine: bytes of the client in, requests and pieces of bodies out, and frames into an
//! outbox. It knows no sockets, and asks for the time only when it has to judge. Pure.

use std::task::Waker;

use crate::http2::fault::Fault;
use crate::http2::outbox::Outbox;
use crate::http2::reader::Breach;
use crate::http2::reader::Reader;
use crate::http2::state::Accepted;
use crate::http2::state::Bounds;
use crate::http2::state::State;
use crate::http2::stream;

/// All that is known of a connection.
#[derive(Debug)]
pub struct Machine {
    reader: Reader,
    pub(super) state: State,
}

impl Machine {
    /// A connection on which nothing has passed. What we have to say first is in the outbox.
    pub fn new(bounds: Bounds) -> Self {
        Self { reader: Reader::default(), state: State::new(bounds) }
    }

    /// The client has sent this. Requests are added to `accepted`; `now` is in microseconds.
    pub fn feed(&mut self, mut input: &[u8], now: impl Fn() -> u64, accepted: &mut Vec<Accepted>) {
        while !self.state.is_over {
            let done = match self.reader.next(&mut input) {
                Ok(Some(piece)) => self.state.receive(piece, accepted),
                Ok(None) => return,
                Err(breach) => Err(breach),
            };
            if let Err(breach) = done {
                self.state.end(breach);
            }
            self.judge(&now);
        }
    }

    /// Ends the connection if the client does too much of something.
    pub fn judge(&mut self, now: impl Fn() -> u64) {
        if let Some(fault) = self.state.glitches.verdict(now) {
            self.state.end(fault.into());
        }
    }

    /// Ends the connection, and says why.
    pub fn end(&mut self, fault: Fault) {
        self.state.end(Breach::from(fault));
    }

    /// The connection is gone.
    pub fn gone(&mut self) {
        self.state.gone();
    }

    /// Says that the client is to leave. Streams that are open, or that it opens before it has seen that,
    /// are served to their end.
    pub fn warn(&mut self) {
        self.state.warn();
    }

    /// Why the connection has ended, if it had to be.
    pub fn fault(&self) -> Option<Fault> {
        self.state.fault
    }

    /// Whether nothing is read any more: there is a fault, or all streams of a client that leaves have
    /// ended.
    pub fn is_done(&self) -> bool {
        self.state.is_done()
    }

    /// Whether the client has said that it speaks HTTP/2.
    pub fn has_begun(&self) -> bool {
        self.reader.has_begun()
    }

    /// Whether the client owes the rest of something that is no body; which it is, is said by the number.
    pub fn unfinished(&self) -> Option<u32> {
        self.reader.is_unfinished().then(|| self.reader.begun())
    }

    /// Bytes of bodies that have come.
    pub fn data(&self) -> u64 {
        self.state.data
    }

    /// What is to be written.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.state.outbox
    }

    /// There may be room in the outbox again.
    pub fn serve(&mut self) {
        self.state.serve();
    }

    /// Wakes this task from now on when there is something to do: written, or ended.
    pub fn attend(&mut self, waker: &Waker) {
        stream::keep(&mut self.state.waker, waker);
        self.state.is_woken = false;
    }
}
