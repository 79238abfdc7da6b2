//! The side of the sessions: what to do next, and what became of it.

use std::sync::Arc;
use std::sync::Condvar;
use std::time::Duration;
use std::time::Instant;

use crate::hsm::board::At;
use crate::hsm::board::Members;
use crate::hsm::board::Offer;
use crate::hsm::dispatcher::Desk;
use crate::hsm::dispatcher::Dispatcher;
use crate::hsm::dispatcher::asking::Urgency;
use crate::hsm::key::State;
use crate::hsm::key::TokenKey;
use crate::hsm::request::Request;
use crate::hsm::request::SignError;
use crate::hsm::request::Task;
use crate::hsm::scheme::Ways;
use crate::hsm::trouble::Trouble;

/// What a session does next.
#[derive(Debug)]
pub enum Next {
    /// Look whether the token is still there.
    Check {
        /// Another session of it was lost: what the session says of itself is not enough.
        in_doubt: bool,
    },
    /// Answer this.
    Work(Arc<Request>),
}

/// How a pause ended.
#[derive(Debug)]
pub enum Paused {
    /// Early: somebody wants this to be tried.
    Asked(Arc<Request>),
    /// The group was closed meanwhile.
    Closed,
    /// In time.
    Over,
}

impl Dispatcher {
    /// The next thing for a session; `None`: its thread ends.
    pub fn next(&self, at: At, check_at: Instant) -> Option<Next> {
        let mut desk = self.lock();
        loop {
            let now = Instant::now();
            if desk.is_closed {
                return None;
            }
            let doubt = desk.doubtful.iter().position(|doubtful| *doubtful == at);
            // A job that it was given goes first, and shows as much.
            if let Some(index) = doubt.filter(|_| desk.board.is_idle(at)) {
                desk.doubtful.swap_remove(index);
                desk.board.check(at, now);
                return Some(Next::Check { in_doubt: true });
            }
            if let Some(job) = desk.board.take(at, now) {
                if job.work.is_over(now) {
                    desk.board.done(at);
                    continue;
                }
                self.count(&desk, at.member);
                self.metrics.waited(job.work.asked.elapsed());
                return Some(Next::Work(job.work));
            }
            let left = check_at.saturating_duration_since(now);
            if left.is_zero() {
                desk.board.check(at, now);
                return Some(Next::Check { in_doubt: false });
            }
            desk = self.wait(desk, &self.wake[at.member][at.session], left);
        }
    }

    /// Waits before another attempt to connect.
    pub fn pause(&self, at: At, duration: Duration) -> Paused {
        let until = Instant::now() + duration;
        let mut desk = self.lock();
        while !desk.is_closed {
            if let Some(request) = desk.held_for(at.member) {
                return Paused::Asked(request);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Paused::Over;
            }
            desk = self.wait(desk, &self.wake[at.member][at.session], left);
        }
        Paused::Closed
    }

    /// A session is connected and at work.
    pub fn connected(&self, at: At, ways: Ways) {
        self.members[at.member].connected(ways);
        let mut desk = self.lock();
        desk.board.connected(at);
        let held: Vec<_> = std::iter::from_fn(|| desk.held_for(at.member)).collect();
        self.settle(desk);
        for request in held {
            self.submit(&request, Members::default().with(at.member), Urgency::Now);
        }
    }

    /// A session has done a job; `took`: it made a signature, in this time.
    pub fn done(&self, at: At, took: Option<Duration>) {
        let mut desk = self.lock();
        let was_up = desk.board.is_up(at.member);
        desk.board.done(at);
        let mut has_changed = !was_up;
        if let Some(took) = took {
            self.members[at.member].signed();
            if took < self.config.sign_timeout / 2 && desk.board.is_suspect(at.member) {
                desk.board.suspect(at.member, false);
                has_changed = true;
            }
        }
        if has_changed {
            self.settle(desk);
        } else {
            self.count(&desk, at.member);
        }
    }

    /// Whether a member should show that it signs: it has not for a while, or is suspect. Not while one of its
    /// sessions is slow at something: the others had better not get stuck too.
    pub fn should_sign(&self, member: usize) -> bool {
        let quiet = self.members[member].since_signature();
        let desk = self.lock();
        let wanted = quiet >= self.config.probe_interval || desk.board.is_suspect(member);
        wanted && !desk.board.is_slow(member, Instant::now(), self.config.sign_timeout / 4)
    }

    /// When an idle session looks after itself again.
    pub fn check_after(&self, member: usize) -> Duration {
        let interval = self.config.probe_interval;
        if self.lock().board.is_suspect(member) { interval.min(SUSPECT) } else { interval }
    }

    /// A session could not be connected.
    pub fn not_connected(&self, at: At, trouble: &Trouble) {
        self.members[at.member].failed(trouble);
        self.settle(self.lock());
    }

    /// A session was lost. The others of its member look after themselves at once, unless it did no more than that.
    pub fn lost(&self, at: At, trouble: &Trouble, was_in_doubt: bool) {
        self.members[at.member].failed(trouble);
        let mut desk = self.lock();
        let given = desk.board.lost(at);
        if !was_in_doubt {
            desk.doubtful.retain(|doubtful| doubtful.member != at.member);
            let siblings = (0..self.config.sessions).map(|session| At { session, ..at });
            desk.doubtful.extend(siblings.filter(|sibling| *sibling != at));
        }
        let back = given.and_then(|job| match desk.board.offer(job) {
            Offer::Given(other) => {
                self.wake[other.member][other.session].notify_one();
                None
            }
            Offer::Nobody(job) => Some(job),
            Offer::Waits => None,
        });
        self.settle(desk);
        if let Some(job) = back {
            job.work.answer(Err(SignError::Failed { hsm: self.name(), trouble: trouble.clone() }));
        }
        self.wake[at.member].iter().for_each(Condvar::notify_one);
    }

    /// Gives a request that a member has failed at to another one; says whether there is one.
    pub fn hand_on(&self, request: &Arc<Request>, member: usize) -> bool {
        let may = self.able(request).without(request.tried(member));
        let handed = !may.is_empty() && self.submit(request, may, Urgency::Anybody);
        if handed {
            self.metrics.member(member).failed_over();
        }
        handed
    }

    /// Has a member look for the keys that have not proven themselves there, when it has nothing else to do.
    pub fn look_for_keys(&self, member: usize) {
        let unproven = |key: &Arc<TokenKey>| key.state(member) != State::Proven;
        for key in self.keys_of(member).into_iter().filter(unproven) {
            let request = Request::new(key, Task::Prove, Instant::now() + BACKGROUND);
            self.submit(&request, Members::default().with(member), Urgency::Background);
        }
    }
}

impl Desk {
    /// A proof that waits for a session of this member.
    fn held_for(&mut self, member: usize) -> Option<Arc<Request>> {
        let place = self.held.iter().position(|(held, _)| *held == member)?;
        Some(self.held.swap_remove(place).1)
    }
}

/// Whoever was slow gets a chance to show better soon.
const SUSPECT: Duration = Duration::from_secs(1);

/// Nobody waits for what is done in the background; it is forgotten when it was not done by then.
const BACKGROUND: Duration = Duration::from_secs(60);
