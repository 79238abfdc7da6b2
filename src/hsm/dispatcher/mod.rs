//! Brings requests and sessions together: the board with a lock around it, and what is known of members.
//!
//! Threads of the lane and the control plane ask; threads of sessions answer. Nothing here calls a module,
//! so the lock is never held for longer than it takes to look.

mod asking;
mod serving;

pub use asking::Verdict;
pub use serving::Next;
pub use serving::Paused;

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;
use std::time::Instant;

use crate::config::hsm::Hsm;
use crate::hsm::board::At;
use crate::hsm::board::Board;
use crate::hsm::key::State;
use crate::hsm::key::TokenKey;
use crate::hsm::request::Request;
use crate::hsm::request::SignError;
use crate::hsm::scheme::Way;
use crate::hsm::scheme::Ways;
use crate::hsm::standing::Standing;
use crate::hsm::trouble::Trouble;
use crate::telemetry::hsm_metrics::HsmMetrics;

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
    /// Until then, whoever wants a proof waits for the first attempt to connect of each member: once for
    /// all of a thousand certificates, however long a module hangs.
    settles_by: Instant,
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
    /// Proofs that wait for a member, by its place, to be connected once more.
    held: Vec<(usize, Arc<Request>)>,
    threads: usize,
    is_closed: bool,
}

impl Dispatcher {
    /// A group without a session.
    pub fn new(config: Arc<Hsm>, metrics: HsmMetrics) -> Self {
        let priorities: Vec<u8> = config.members.iter().map(|member| member.priority).collect();
        let sessions = config.sessions;
        let wake = |_: &u8| (0..sessions).map(|_| Condvar::new()).collect();
        let desk = Desk {
            board: Board::new(&priorities, sessions),
            doubtful: Vec::new(),
            held: Vec::new(),
            threads: priorities.len() * sessions,
            is_closed: false,
        };
        Self {
            metrics,
            desk: Mutex::new(desk),
            wake: priorities.iter().map(wake).collect(),
            changed: Condvar::new(),
            members: priorities.iter().map(|_| Standing::default()).collect(),
            settles_by: Instant::now() + SETTLE,
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

    /// Answers whoever waits, and ends the threads when they have finished what they do.
    pub fn close(&self) {
        let mut desk = self.lock();
        desk.is_closed = true;
        let waiting = desk.board.drain().into_iter().map(|job| job.work);
        let held = desk.held.drain(..).map(|(_, request)| request);
        let waiting: Vec<_> = waiting.chain(held).collect();
        drop(desk);
        for request in waiting {
            request.answer(Err(SignError::Closed { hsm: self.name() }));
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

    /// A thread of a session has ended.
    pub fn ended(&self) {
        self.lock().threads -= 1;
        self.changed.notify_all();
    }

    /// The name of the group, for messages.
    pub fn name(&self) -> String {
        self.config.name.to_string()
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

/// How long a start or a reload waits for the first attempt to connect of each member: long for a network, short for whoever waits.
const SETTLE: Duration = Duration::from_secs(10);
