//! Brings requests and sessions together: the board with a lock around it, and what is known of members.
//!
//! Threads of the lane and the control plane ask; threads of sessions answer. Nothing here calls a module,
//! so the lock is never held for longer than it takes to look.

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;
use std::time::Instant;

use rustls::SignatureScheme;

use crate::config::hsm::Hsm;
use crate::hsm::board::At;
use crate::hsm::board::Board;
use crate::hsm::board::Job;
use crate::hsm::board::Members;
use crate::hsm::board::Offer;
use crate::hsm::key::State;
use crate::hsm::key::TokenKey;
use crate::hsm::request::Answer;
use crate::hsm::request::Request;
use crate::hsm::request::SignError;
use crate::hsm::request::Task;
use crate::hsm::scheme::Way;
use crate::hsm::scheme::Ways;
use crate::hsm::standing::Standing;
use crate::hsm::trouble::Trouble;
use crate::telemetry::hsm_metrics::HsmMetrics;
use crate::telemetry::hsm_metrics::Refused;

/// What the threads of a group share.
#[derive(Debug)]
pub struct Dispatcher {
    /// The group as configured.
    pub config: Arc<Hsm>,
    /// Its counts.
    pub metrics: HsmMetrics,
    /// Taken by everybody, for short.
    desk: Mutex<Desk>,
    /// One for each session of each member.
    wake: Box<[Box<[Condvar]>]>,
    /// A member has settled, or a thread has ended.
    changed: Condvar,
    members: Box<[Standing]>,
    /// Nobody is asked; keys count as able to sign.
    is_assumed: bool,
    /// Keys that somebody uses. Taken when one is added, and by threads of sessions that look after them.
    keys: Mutex<Vec<Weak<TokenKey>>>,
}

#[derive(Debug)]
struct Desk {
    board: Board<Arc<Request>>,
    /// Sessions that had better look whether they are still good.
    doubtful: Vec<At>,
    threads: usize,
    is_closed: bool,
}

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

/// What a key is worth at one member.
pub type Verdict = (usize, Result<(), Trouble>);

impl Dispatcher {
    /// A group without a session.
    pub fn new(config: Arc<Hsm>, metrics: HsmMetrics) -> Self {
        let priorities: Vec<u8> = config.members.iter().map(|member| member.priority).collect();
        let sessions = config.sessions;
        let wake = |_: &u8| (0..sessions).map(|_| Condvar::new()).collect();
        let desk = Desk {
            board: Board::new(&priorities, sessions),
            doubtful: Vec::new(),
            threads: priorities.len() * sessions,
            is_closed: false,
        };
        Self {
            metrics,
            desk: Mutex::new(desk),
            wake: priorities.iter().map(wake).collect(),
            changed: Condvar::new(),
            members: priorities.iter().map(|_| Standing::new()).collect(),
            is_assumed: false,
            keys: Mutex::default(),
            config,
        }
    }

    /// A group that nobody will ask.
    pub fn assumed(config: Arc<Hsm>, metrics: HsmMetrics) -> Self {
        Self { is_assumed: true, ..Self::new(config, metrics) }
    }

    /// Whether nobody is asked.
    pub fn is_assumed(&self) -> bool {
        self.is_assumed
    }

    /// What is known of the members, in the order of the configuration.
    pub fn members(&self) -> &[Standing] {
        &self.members
    }

    /// A key that will be used: members that come up look for it.
    pub fn add(&self, key: &Arc<TokenKey>) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|key| key.strong_count() > 0);
        keys.push(Arc::downgrade(key));
    }

    /// The keys that somebody uses and that a member may have.
    pub fn keys_of(&self, member: usize) -> Vec<Arc<TokenKey>> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let live = keys.iter().filter_map(Weak::upgrade);
        live.filter(|key| key.may_be_in(&self.config.members[member])).collect()
    }

    /// How the key could sign right now. Takes no lock.
    pub fn ways_of(&self, key: &TokenKey) -> Ways {
        if self.is_assumed {
            return Way::ALL.into_iter().fold(Ways::default(), Ways::with);
        }
        let able = self
            .members
            .iter()
            .enumerate()
            .filter(|(index, member)| member.is_up() && key.state(*index) == State::Proven);
        let bits = able.fold(0, |bits, (_, member)| bits | member.ways().bits());
        Ways::from_bits(bits)
    }

    /// Signs; blocks until there is a signature, or none can be had in time.
    pub fn sign(&self, key: &Arc<TokenKey>, scheme: SignatureScheme, message: &[u8]) -> Answer {
        let asked = Instant::now();
        let timeout = self.config.sign_timeout;
        let task = Task::Sign { scheme, message: message.to_vec() };
        let request = Request::new(Arc::clone(key), task, asked + timeout);
        let may = self.able(&request);
        if !self.submit(&request, may, Urgency::Now) {
            self.metrics.refused(Refused::NoMember);
            return Err(SignError::NoMember { hsm: self.name() });
        }
        if let Some(answer) = request.wait_until(asked + timeout / 2) {
            return answer;
        }
        self.offer_again(&request, timeout);
        request.wait_until(request.deadline).unwrap_or_else(|| {
            self.give_up(&request, timeout);
            self.metrics.refused(Refused::Late);
            Err(SignError::Late { hsm: self.name() })
        })
    }

    /// Has a key prove itself at every member that may have it; blocks until each has said something, or
    /// is known not to.
    pub fn prove(&self, key: &Arc<TokenKey>) -> Vec<Verdict> {
        self.wait_until_settled();
        let deadline = Instant::now() + self.config.sign_timeout;
        let ask = |index: usize| {
            let request = Request::new(Arc::clone(key), Task::Prove, deadline);
            let may = Members::default().with(index);
            let asked = self.submit(&request, may, Urgency::Now);
            (index, asked.then_some(request))
        };
        let members = self.config.members.iter().enumerate();
        let asked: Vec<_> = (members.filter(|(_, member)| key.may_be_in(member)))
            .map(|(index, _)| ask(index))
            .collect();
        let verdict = |(index, request): (usize, Option<Arc<Request>>)| {
            let Some(request) = request else {
                let trouble = self.members[index].trouble();
                return (index, Err(trouble.unwrap_or(Trouble::Hangs)));
            };
            let answer = request.wait_until(deadline);
            let verdict = match answer {
                Some(Ok(_)) => Ok(()),
                Some(Err(SignError::Failed { trouble, .. })) => Err(trouble),
                Some(Err(_)) => Err(self.members[index].trouble().unwrap_or(Trouble::Hangs)),
                None => {
                    self.give_up(&request, self.config.sign_timeout);
                    Err(Trouble::Hangs)
                }
            };
            (index, verdict)
        };
        asked.into_iter().map(verdict).collect()
    }

    /// Answers whoever waits, and ends the threads when they have finished what they do.
    pub fn close(&self) {
        let mut desk = self.lock();
        desk.is_closed = true;
        let waiting = desk.board.drain();
        drop(desk);
        for job in waiting {
            job.work.answer(Err(SignError::Closed { hsm: self.name() }));
        }
        self.wake.iter().flatten().for_each(Condvar::notify_all);
        self.changed.notify_all();
    }

    /// Waits until every thread has ended; says whether they have.
    pub fn wait_until_ended(&self, deadline: Instant) -> bool {
        self.wait_for_change(deadline, |desk| desk.threads == 0)
    }

    /// Whether the group is being closed.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

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

    /// Waits, unless the group is closed meanwhile; says whether it is not.
    pub fn pause(&self, at: At, duration: Duration) -> bool {
        let until = Instant::now() + duration;
        let mut desk = self.lock();
        while !desk.is_closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            desk = self.wait(desk, &self.wake[at.member][at.session], left);
        }
        false
    }

    /// A session is connected and at work.
    pub fn connected(&self, at: At, ways: Ways) {
        self.members[at.member].connected(ways);
        let mut desk = self.lock();
        desk.board.connected(at);
        self.settle(desk);
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

    /// A session could not be connected.
    pub fn not_connected(&self, at: At, trouble: &Trouble) {
        self.members[at.member].failed(trouble);
        self.settle(self.lock());
    }

    /// A session was lost. The others of its member look after themselves at once.
    pub fn lost(&self, at: At, trouble: &Trouble) {
        self.members[at.member].failed(trouble);
        let mut desk = self.lock();
        let given = desk.board.lost(at);
        let sessions = 0..self.config.sessions;
        desk.doubtful.retain(|doubtful| doubtful.member != at.member);
        let siblings = sessions.map(|session| At { member: at.member, session });
        desk.doubtful.extend(siblings.filter(|sibling| *sibling != at));
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

    /// A thread of a session has ended.
    pub fn ended(&self) {
        self.lock().threads -= 1;
        self.changed.notify_all();
    }

    /// The name of the group, for messages.
    pub fn name(&self) -> String {
        self.config.name.to_string()
    }

    /// Who might do it: members that may have the key, have not been found without it, and have the way.
    fn able(&self, request: &Request) -> Members {
        let way = match &request.task {
            Task::Prove => None,
            Task::Sign { scheme, .. } => Way::of(*scheme),
        };
        let members = self.config.members.iter().enumerate();
        let able = members.filter(|(index, member)| {
            request.key.may_be_in(member)
                && request.key.state(*index) != State::Refused
                && way.is_none_or(|way| self.members[*index].ways().has(way))
        });
        able.fold(Members::default(), |able, (index, _)| able.with(index))
    }

    /// Says whether somebody is up who may do it.
    fn submit(&self, request: &Arc<Request>, may: Members, urgency: Urgency) -> bool {
        let job = Job {
            id: request.id,
            work: Arc::clone(request),
            may,
            is_urgent: urgency != Urgency::Background,
            any_will_do: urgency == Urgency::Anybody,
        };
        let mut desk = self.lock();
        if desk.is_closed {
            return false;
        }
        let offer = desk.board.offer(job);
        self.metrics.waiting(desk.board.waiting());
        match offer {
            Offer::Given(at) => self.wake[at.member][at.session].notify_one(),
            Offer::Nobody(_) => return false,
            Offer::Waits => {}
        }
        true
    }

    /// Half of the time is over. What waits goes to anybody; what is being worked on goes to another member
    /// too, and whoever is slow is suspect.
    fn offer_again(&self, request: &Arc<Request>, timeout: Duration) {
        let mut desk = self.lock();
        let job = match desk.board.withdraw(request.id) {
            Some(job) => Job { any_will_do: true, ..job },
            None => {
                let slow = desk.board.working_on(request.id, Instant::now() - timeout / 4);
                for member in (0..self.members.len()).filter(|member| slow.has(*member)) {
                    desk.board.suspect(member, true);
                    self.metrics.member(member).failed_over();
                }
                let may = self.able(request).without(slow);
                let (id, work) = (request.id, Arc::clone(request));
                Job { id, work, may, is_urgent: true, any_will_do: true }
            }
        };
        match desk.board.offer(job) {
            Offer::Given(at) => self.wake[at.member][at.session].notify_one(),
            // Whoever works on it may still finish.
            Offer::Nobody(_) | Offer::Waits => {}
        }
        self.settle(desk);
    }

    /// All of the time is over. Whoever has been busy for most of it is not counted on until it comes back.
    fn give_up(&self, request: &Request, timeout: Duration) {
        let mut desk = self.lock();
        desk.board.withdraw(request.id);
        let stuck = desk.board.stuck(Instant::now() - timeout * 3 / 4);
        for member in (0..self.members.len()).filter(|member| stuck.has(*member)) {
            self.metrics.member(member).error(Trouble::Hangs.code());
            self.members[member].failed(&Trouble::Hangs);
        }
        self.settle(desk);
    }

    /// Offers what waits anew, and tells who came up or went down.
    fn settle(&self, mut desk: MutexGuard<'_, Desk>) {
        let settled = desk.board.settle();
        for at in settled.given {
            self.wake[at.member][at.session].notify_one();
        }
        let mut changes = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            self.count(&desk, index);
            let is_up = desk.board.is_up(index);
            changes.extend(member.becomes(is_up).map(|was| (index, is_up, was)));
        }
        drop(desk);
        self.changed.notify_all();
        for job in settled.orphans {
            job.work.answer(Err(SignError::NoMember { hsm: self.name() }));
        }
        for (index, is_up, was) in changes {
            self.announce(index, is_up, was);
        }
        self.tell_troubles();
    }

    fn announce(&self, index: usize, is_up: bool, was: Duration) {
        let (hsm, member) = (&self.config.name, self.config.members[index].name.as_str());
        self.metrics.member(index).became(is_up);
        let seconds = was.as_secs_f64();
        if is_up {
            tracing::info!(%hsm, member, seconds, "token is up");
            self.look_for_keys(index);
        } else {
            let cause = self.members[index].is_news().unwrap_or(Trouble::Hangs);
            let reason = cause.code();
            tracing::error!(%hsm, member, seconds, reason, "token is down: {cause}");
        }
    }

    /// Says why members are down, once for each reason.
    fn tell_troubles(&self) {
        for (index, standing) in self.members.iter().enumerate().filter(|(_, one)| !one.is_up()) {
            let Some(cause) = standing.is_news() else { continue };
            let (hsm, member) = (&self.config.name, self.config.members[index].name.as_str());
            tracing::error!(%hsm, member, reason = cause.code(), "token cannot be used: {cause}");
        }
    }

    fn count(&self, desk: &Desk, member: usize) {
        let counts = desk.board.counts(member);
        self.metrics.member(member).sessions(counts.idle, counts.busy, counts.down);
        self.metrics.waiting(desk.board.waiting());
    }

    fn wait_until_settled(&self) {
        self.wait_for_change(Instant::now() + SETTLE, |_| {
            self.members.iter().all(Standing::is_settled)
        });
    }

    fn wait_for_change(&self, deadline: Instant, holds: impl Fn(&Desk) -> bool) -> bool {
        let mut desk = self.lock();
        while !holds(&desk) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            desk = self.wait(desk, &self.changed, left);
        }
        true
    }

    fn wait<'a>(
        &self,
        desk: MutexGuard<'a, Desk>,
        until: &Condvar,
        left: Duration,
    ) -> MutexGuard<'a, Desk> {
        until.wait_timeout(desk, left).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Urgency {
    /// Somebody waits, and the best member has failed.
    Anybody,
    /// When there is nothing else to do.
    Background,
    /// Somebody waits.
    Now,
}

/// How long a start or a reload waits for the first attempt to connect of each member: long for a network, short for whoever waits.
const SETTLE: Duration = Duration::from_secs(10);

/// Nobody waits for what is done in the background; it is forgotten when it was not done by then.
const BACKGROUND: Duration = Duration::from_secs(60);
