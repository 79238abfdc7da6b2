//! Interim responses (1xx) on their way to a client, between who reads an endpoint and who writes to the
//! client.
//!
//! RFC 9110, section 15.2: a proxy passes on what it did not ask for itself. Nobody waits for an
//! interim response, so that whatever is in its way is a reason to drop it.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Waker;

use http::StatusCode;

use crate::message::Fields;
use crate::message::Response;

/// The interim responses of one request at a time.
#[derive(Debug, Default)]
pub struct Interims {
    state: Mutex<State>,
    /// Looked at before the lock is taken.
    is_waiting: AtomicBool,
}

/// The right to say something about one request: what is said about one that is over is not heard.
#[derive(Clone)]
pub struct Hearing {
    interims: Arc<Interims>,
    turn: u32,
}

#[derive(Debug, Default)]
struct State {
    turn: u32,
    waiting: Vec<Response<()>>,
    waker: Option<Waker>,
}

impl Interims {
    /// A request begins; what was left of the one before is forgotten.
    pub fn begin(self: &Arc<Self>) -> Hearing {
        let mut state = self.lock();
        state.next_turn();
        self.is_waiting.store(false, Ordering::Relaxed);
        Hearing { interims: Arc::clone(self), turn: state.turn }
    }

    /// The request has its final response: nothing is passed on any more.
    pub fn end(&self) {
        self.lock().next_turn();
        self.is_waiting.store(false, Ordering::Relaxed);
    }

    /// What came since the last time.
    pub fn take(&self) -> Vec<Response<()>> {
        if !self.is_waiting.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        std::mem::take(&mut self.lock().waiting)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_turn(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        self.waiting = Vec::new();
        self.waker = None;
    }
}

impl Hearing {
    /// An endpoint has sent this. Kept if there is room.
    pub fn tell(&self, status: StatusCode, fields: &Fields) {
        if status == StatusCode::CONTINUE || status == StatusCode::SWITCHING_PROTOCOLS {
            // `Expect` is answered by the proxy, and never passed on.
            return;
        }
        let mut response = Response::new(());
        *response.status_mut() = status;
        response.fields_mut().clone_from(fields);
        self.push(response);
    }

    /// The endpoint wants the body of a request that waits for `100 Continue`.
    pub fn go_on(&self) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        self.push(response);
    }

    /// Wakes this task from now on: what is said is said by another one.
    pub fn listen(&self, cx: &Context<'_>) {
        let mut state = self.interims.lock();
        if state.turn != self.turn {
            return;
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    fn push(&self, response: Response<()>) {
        let mut state = self.interims.lock();
        if state.turn == self.turn && state.waiting.len() < MOST_WAITING {
            state.waiting.push(response);
            self.interims.is_waiting.store(true, Ordering::Relaxed);
            if let Some(waker) = &state.waker {
                waker.wake_by_ref();
            }
        }
    }
}

impl fmt::Debug for Hearing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hearing").field("turn", &self.turn).finish()
    }
}

/// Kept for a client that has not taken the ones before.
const MOST_WAITING: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_in_order_and_within_bounds() {
        let interims = Arc::new(Interims::default());
        let hearing = interims.begin();
        hearing.tell(StatusCode::EARLY_HINTS, &Fields::new());
        hearing.tell(StatusCode::PROCESSING, &Fields::new());
        hearing.tell(StatusCode::CONTINUE, &Fields::new());
        let heard: Vec<_> = interims.take().iter().map(Response::status).collect();
        assert_eq!(heard, [StatusCode::EARLY_HINTS, StatusCode::PROCESSING]);
        for _ in 0..100 {
            hearing.tell(StatusCode::EARLY_HINTS, &Fields::new());
        }
        assert_eq!(interims.take().len(), MOST_WAITING);
    }

    #[test]
    fn nothing_is_heard_about_a_request_that_is_over() {
        let interims = Arc::new(Interims::default());
        let before = interims.begin();
        before.tell(StatusCode::EARLY_HINTS, &Fields::new());
        let now = interims.begin();
        before.tell(StatusCode::EARLY_HINTS, &Fields::new());
        assert!(interims.take().is_empty());
        now.go_on();
        interims.end();
        now.tell(StatusCode::EARLY_HINTS, &Fields::new());
        assert!(interims.take().is_empty());
    }
}
