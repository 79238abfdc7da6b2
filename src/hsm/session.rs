//! The thread of one session: connect, work, and connect again when the session is lost.
//!
//! A module may hang for as long as it likes; then this thread hangs, and nobody else. Trying to connect
//! *is* the way back: there is no other health check for a member that is down.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use aws_lc_rs::rand;

use crate::hsm::board::At;
use crate::hsm::connection::Connection;
use crate::hsm::dispatcher::Dispatcher;
use crate::hsm::dispatcher::Next;
use crate::hsm::dispatcher::Paused;
use crate::hsm::key::State;
use crate::hsm::key::TokenKey;
use crate::hsm::module::Module;
use crate::hsm::request::Request;
use crate::hsm::request::SignError;
use crate::hsm::request::Task;
use crate::hsm::trouble::Class;
use crate::hsm::trouble::Trouble;
use crate::names::HsmName;

/// Runs until the group is closed.
pub fn run(dispatcher: &Dispatcher, at: At) {
    let _ending = Ending(dispatcher, at);
    let mut session = Session { dispatcher, at, kept: None, in_doubt: false, wait: FIRST_WAIT };
    while !dispatcher.is_closed() {
        if session.connect_and_serve().is_break() {
            break;
        }
    }
}

/// The end of the thread. If it is a panic, a bug, the others go on without it, and the process can end.
struct Ending<'a>(&'a Dispatcher, At);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lost(self.1, &Trouble::of_system("panic"), true);
        }
        self.0.ended();
    }
}

struct Session<'a> {
    dispatcher: &'a Dispatcher,
    at: At,
    /// A request that failed with the session, and that no other member can take, or that came while there
    /// was none: it gets a chance with the next session.
    kept: Option<Arc<Request>>,
    /// It is looking after itself because another session was lost.
    in_doubt: bool,
    /// Before the next attempt to connect. Only a session that lasts shows that the token is well.
    wait: Duration,
}

impl Session<'_> {
    fn connect_and_serve(&mut self) -> ControlFlow<()> {
        let member = &self.dispatcher.config.members[self.at.member];
        let opened = Connection::open(member, self.dispatcher.config.world_readable);
        let connected = opened.and_then(|mut connection| {
            self.show_that_it_signs(&mut connection)?;
            Ok(connection)
        });
        self.in_doubt = false;
        let mut connection = match connected {
            Ok(connection) => connection,
            Err(trouble) => return self.try_later(&trouble),
        };
        self.dispatcher.metrics.member(self.at.member).connected();
        self.dispatcher.connected(self.at, connection.ways());
        let connected = Instant::now();
        let Err(trouble) = self.serve(&mut connection) else { return ControlFlow::Break(()) };
        // The session ends before anybody hears of it: a module is only restarted without sessions.
        drop(connection);
        self.dispatcher.lost(self.at, &trouble, self.in_doubt);
        if connected.elapsed() >= LASTING {
            self.wait = FIRST_WAIT;
            return ControlFlow::Continue(());
        }
        if self.kept.is_some() {
            return ControlFlow::Continue(());
        }
        self.pause()
    }

    /// The half-open state of a circuit breaker: what failed takes no traffic before it has signed for us.
    fn show_that_it_signs(&mut self, connection: &mut Connection) -> Result<(), Trouble> {
        if let Some(request) = self.kept.take().filter(|kept| !kept.is_over(Instant::now()))
            && self.answer(connection, &request)?.is_some()
        {
            return Ok(());
        }
        let keys = self.dispatcher.keys_of(self.at.member);
        self.sign_something(connection, &keys).map(drop)
    }

    fn try_later(&mut self, trouble: &Trouble) -> ControlFlow<()> {
        self.fail_kept(trouble);
        let metrics = self.dispatcher.metrics.member(self.at.member);
        metrics.error(trouble.code());
        metrics.not_connected(trouble.class() == Class::Pin);
        self.dispatcher.not_connected(self.at, trouble);
        let member = &self.dispatcher.config.members[self.at.member];
        if let Ok(module) = Module::load(&member.module)
            && module.restart_if_unused()
        {
            tracing::debug!(module = %module.path().display(), "module initialised anew");
        }
        self.pause()
    }

    fn pause(&mut self) -> ControlFlow<()> {
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST_WAIT);
        match self.dispatcher.pause(self.at, jittered(wait)) {
            Paused::Asked(request) => self.kept = Some(request),
            Paused::Closed => return ControlFlow::Break(()),
            Paused::Over => {}
        }
        ControlFlow::Continue(())
    }

    /// Works until the session is lost (an error), or the group is closed.
    fn serve(&mut self, connection: &mut Connection) -> Result<(), Trouble> {
        loop {
            let check_at = Instant::now() + self.dispatcher.check_after(self.at.member);
            match self.dispatcher.next(self.at, check_at) {
                None => return Ok(()),
                Some(Next::Check { in_doubt }) => {
                    self.in_doubt = in_doubt;
                    let took = self.check(connection, in_doubt)?;
                    self.in_doubt = false;
                    self.dispatcher.done(self.at, took);
                }
                Some(Next::Work(request)) => {
                    let took = self.answer(connection, &request)?;
                    if took.is_none() {
                        // Is it the key alone?
                        let keys = self.dispatcher.keys_of(self.at.member);
                        self.sign_something(connection, &keys)?;
                    }
                    self.dispatcher.done(self.at, took);
                }
            }
        }
    }

    /// Every session looks after itself; one of them also has the token sign something, and looks for
    /// keys that were not there. Gives how long a signature took.
    fn check(
        &mut self,
        connection: &mut Connection,
        in_doubt: bool,
    ) -> Result<Option<Duration>, Trouble> {
        let checked = connection.check();
        self.count(checked)?;
        let member = self.at.member;
        let keys = self.dispatcher.keys_of(member);
        connection.retain(|id| keys.iter().any(|key| key.id == id));
        // Some modules call a session good whose token is gone.
        if !in_doubt && !self.dispatcher.should_sign(member) {
            return Ok(None);
        }
        let took = self.sign_something(connection, &keys)?;
        self.dispatcher.look_for_keys(member);
        Ok(took)
    }

    /// Has a key prove itself, one that has done so before if there is one. A token with none of the keys is
    /// of no use: some modules show an empty one where there is none. Gives how long it took; `None`: there are
    /// no keys.
    fn sign_something(
        &mut self,
        connection: &mut Connection,
        keys: &[Arc<TokenKey>],
    ) -> Result<Option<Duration>, Trouble> {
        let member = self.at.member;
        let is_known = |key: &&Arc<TokenKey>| key.state(member) == State::Proven;
        let (known, others): (Vec<_>, Vec<_>) = keys.iter().partition(is_known);
        let mut last = Ok(None);
        for key in known.into_iter().chain(others).take(MOST_TRIED) {
            let started = Instant::now();
            last = self.prove(connection, key).map(|()| Some(started.elapsed()));
            match &last {
                Err(trouble) if trouble.class() == Class::Key => {}
                Ok(_) | Err(_) => return last,
            }
        }
        last
    }

    /// Does what is asked. An error: the session is lost, and the request is in other hands, or kept.
    fn answer(
        &mut self,
        connection: &mut Connection,
        request: &Arc<Request>,
    ) -> Result<Option<Duration>, Trouble> {
        let started = Instant::now();
        let done = match &request.task {
            Task::Prove => self.prove(connection, &request.key).map(|()| Vec::new()),
            Task::Sign { scheme, message } => {
                let signed = connection.sign(&request.key, *scheme, message);
                if signed.is_ok() {
                    self.signed(started.elapsed());
                }
                self.count(signed)
            }
        };
        match done {
            Ok(signature) => {
                request.answer(Ok(signature));
                Ok(Some(started.elapsed()))
            }
            Err(trouble) => {
                self.give_away(request, &trouble);
                if trouble.class() == Class::Key { Ok(None) } else { Err(trouble) }
            }
        }
    }

    /// Another member may do better; else the next session of this one may, if the fault was the session's.
    fn give_away(&mut self, request: &Arc<Request>, trouble: &Trouble) {
        let is_proof = matches!(request.task, Task::Prove);
        if trouble.class() == Class::Key && !is_proof {
            self.refuse(&request.key, trouble);
        }
        let first = !request.tried(self.at.member).has(KEPT_ONCE);
        if !is_proof && self.dispatcher.hand_on(request, self.at.member) {
            return;
        }
        if trouble.class() == Class::Connection && first {
            request.tried(KEPT_ONCE);
            self.kept = Some(Arc::clone(request));
            return;
        }
        request.answer(Err(self.failed(trouble)));
    }

    fn fail_kept(&mut self, trouble: &Trouble) {
        if let Some(request) = self.kept.take() {
            request.answer(Err(self.failed(trouble)));
        }
    }

    fn prove(&mut self, connection: &mut Connection, key: &Arc<TokenKey>) -> Result<(), Trouble> {
        let started = Instant::now();
        let proven = connection.prove(key);
        match self.count(proven) {
            Ok(_) => {
                self.signed(started.elapsed());
                if key.proven(self.at.member) {
                    let (hsm, member) = self.names();
                    tracing::debug!(%hsm, member, key = %key.selector, "key has proven itself");
                }
                Ok(())
            }
            Err(trouble) => {
                if trouble.class() == Class::Key {
                    self.refuse(key, &trouble);
                }
                Err(trouble)
            }
        }
    }

    fn refuse(&self, key: &TokenKey, trouble: &Trouble) {
        if key.refused(self.at.member, trouble) {
            let (hsm, member) = self.names();
            let (key, reason) = (&key.selector, trouble.code());
            tracing::error!(%hsm, member, %key, reason, "key cannot be used there: {trouble}");
        }
    }

    fn signed(&self, took: Duration) {
        self.dispatcher.metrics.member(self.at.member).signed(took);
    }

    fn count<T>(&self, result: Result<T, Trouble>) -> Result<T, Trouble> {
        result.inspect_err(|trouble| {
            self.dispatcher.metrics.member(self.at.member).error(trouble.code());
        })
    }

    fn failed(&self, trouble: &Trouble) -> SignError {
        SignError::Failed { hsm: self.dispatcher.name(), trouble: trouble.clone() }
    }

    fn names(&self) -> (&HsmName, &str) {
        let config = &self.dispatcher.config;
        (&config.name, &config.members[self.at.member].name)
    }
}

/// Between three quarters and five quarters, so that the sessions of a token do not come back as one.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [128];
    // Without randomness it is the middle.
    let _ = rand::fill(&mut byte);
    wait * 3 / 4 + wait * u32::from(byte[0]) / 512
}

/// Of 10,000 keys, none of which is there, this many tell enough.
const MOST_TRIED: usize = 8;

/// The place of no member: a request has been kept for a second session.
const KEPT_ONCE: usize = 63;

/// A session that lived for so long was a good one: the next one may be made at once.
const LASTING: Duration = Duration::from_secs(5);

const FIRST_WAIT: Duration = Duration::from_millis(100);

const LONGEST_WAIT: Duration = Duration::from_secs(5);
