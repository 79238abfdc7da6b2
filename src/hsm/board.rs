//! Who of a group does which job: data in, data out. Knows neither threads nor tokens.
//!
//! A job goes to an idle session of the best member that may do it; members of equal standing take
//! turns. While the best ones are busy it waits for them, however idle a lesser one is: priority is
//! for those who are down, not for those who are busy. Whoever was slow is *suspect* and comes after
//! all others until it has shown better.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

/// The members of a group with their sessions, and the jobs that wait.
#[derive(Debug)]
pub struct Board<J> {
    members: Vec<Member<J>>,
    /// Somebody waits for these.
    urgent: VecDeque<Job<J>>,
    /// These are done when there is nothing else.
    background: VecDeque<Job<J>>,
    /// Who is first among equals.
    turn: usize,
}

/// One piece of work.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Job<J> {
    /// Tells jobs apart.
    pub id: u64,
    /// What is to be done.
    pub work: J,
    /// Who may do it.
    pub may: Members,
    /// Whether somebody waits for it.
    pub is_urgent: bool,
    /// It has waited long enough: anybody who may will do.
    pub any_will_do: bool,
}

/// Some of at most 64 members.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Members(u64);

/// A session: the member, and which of its sessions.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct At {
    /// The place of the member in the configuration.
    pub member: usize,
    /// One of its sessions.
    pub session: usize,
}

/// What became of a job that was offered.
#[derive(Debug, Eq, PartialEq)]
pub enum Offer<J> {
    /// This session is to be woken.
    Given(At),
    /// Nobody who is up may do it.
    Nobody(Job<J>),
    /// All who may are busy.
    Waits,
}

/// What follows when somebody came, went or changed its standing.
#[derive(Debug, Eq, PartialEq)]
pub struct Settled<J> {
    /// These sessions are to be woken.
    pub given: Vec<At>,
    /// Nobody who is up may do these any more.
    pub orphans: Vec<Job<J>>,
}

/// How many sessions of a member do what.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// With nothing to do.
    pub idle: usize,
    /// With a job, in time or not.
    pub busy: usize,
    /// Not connected.
    pub down: usize,
}

#[derive(Debug)]
struct Member<J> {
    priority: u8,
    is_suspect: bool,
    sessions: Vec<Session<J>>,
}

#[derive(Debug)]
enum Session<J> {
    Busy {
        job: u64,
        since: Instant,
        /// It has been busy for too long: it counts as down until it comes back.
        is_stuck: bool,
    },
    Down,
    Given(Job<J>),
    Idle,
}

impl<J> Board<J> {
    /// Members by their priority, the lower the better, each with so many sessions, none of them up.
    pub fn new(priorities: &[u8], sessions: usize) -> Self {
        let member = |priority: &u8| Member {
            priority: *priority,
            is_suspect: false,
            sessions: (0..sessions).map(|_| Session::Down).collect(),
        };
        Self {
            members: priorities.iter().map(member).collect(),
            urgent: VecDeque::new(),
            background: VecDeque::new(),
            turn: 0,
        }
    }

    /// Gives a job to a session, or has it wait.
    pub fn offer(&mut self, job: Job<J>) -> Offer<J> {
        let Some(rank) = self.best_rank(&job) else { return Offer::Nobody(job) };
        let count = self.members.len();
        let in_turn = (0..count).map(|step| (self.turn + step) % count);
        let fits = |member: &usize| {
            job.may.has(*member) && (job.any_will_do || self.members[*member].rank() == rank)
        };
        let idle = in_turn.filter(fits).find_map(|member| {
            let sessions = &self.members[member].sessions;
            let session = sessions.iter().position(|one| matches!(one, Session::Idle))?;
            Some(At { member, session })
        });
        match idle {
            Some(at) => {
                self.turn = at.member + 1;
                *self.session(at) = Session::Given(job);
                Offer::Given(at)
            }
            None => {
                let queue = if job.is_urgent { &mut self.urgent } else { &mut self.background };
                queue.push_back(job);
                Offer::Waits
            }
        }
    }

    /// The next job of a session: the one it was given, or the first that waits for it.
    pub fn take(&mut self, at: At, now: Instant) -> Option<Job<J>> {
        let job = match self.session(at) {
            Session::Given(_) => match std::mem::replace(self.session(at), Session::Idle) {
                Session::Given(job) => Some(job),
                Session::Busy { .. } | Session::Down | Session::Idle => None,
            },
            Session::Idle => self.take_waiting(at.member),
            Session::Busy { .. } | Session::Down => None,
        }?;
        *self.session(at) = Session::Busy { job: job.id, since: now, is_stuck: false };
        Some(job)
    }

    /// A session that has nothing to do looks after itself.
    pub fn check(&mut self, at: At, now: Instant) {
        *self.session(at) = Session::Busy { job: NO_JOB, since: now, is_stuck: false };
    }

    /// A session has done its job.
    pub fn done(&mut self, at: At) {
        *self.session(at) = Session::Idle;
    }

    /// A session is connected.
    pub fn connected(&mut self, at: At) {
        *self.session(at) = Session::Idle;
    }

    /// A session is not connected any more. Gives back what it was given and has not begun.
    pub fn lost(&mut self, at: At) -> Option<Job<J>> {
        match std::mem::replace(self.session(at), Session::Down) {
            Session::Given(job) => Some(job),
            Session::Busy { .. } | Session::Down | Session::Idle => None,
        }
    }

    /// A member was slow, or is not any more.
    pub fn suspect(&mut self, member: usize, is_suspect: bool) {
        self.members[member].is_suspect = is_suspect;
    }

    /// Whether a member is under suspicion.
    pub fn is_suspect(&self, member: usize) -> bool {
        self.members[member].is_suspect
    }

    /// Offers what waits once more: after somebody came, went or changed its standing.
    pub fn settle(&mut self) -> Settled<J> {
        let mut settled = Settled { given: Vec::new(), orphans: Vec::new() };
        for job in self.drain() {
            match self.offer(job) {
                Offer::Given(at) => settled.given.push(at),
                Offer::Nobody(job) => settled.orphans.push(job),
                Offer::Waits => {}
            }
        }
        settled
    }

    /// Takes back a job that waits.
    pub fn withdraw(&mut self, id: u64) -> Option<Job<J>> {
        let queue = if self.urgent.iter().any(|job| job.id == id) {
            &mut self.urgent
        } else {
            &mut self.background
        };
        let place = queue.iter().position(|job| job.id == id)?;
        queue.remove(place)
    }

    /// Takes back all that wait.
    pub fn drain(&mut self) -> Vec<Job<J>> {
        self.urgent.drain(..).chain(self.background.drain(..)).collect()
    }

    /// The members that have worked on a job for this long.
    pub fn working_on(&self, id: u64, now: Instant, least: Duration) -> Members {
        let works = |session: &Session<J>| match session {
            Session::Busy { job, .. } => *job == id && session.is_busy_for(now, least),
            Session::Down | Session::Given(_) | Session::Idle => false,
        };
        let all = self.members.iter().enumerate();
        let at_work = all.filter(|(_, member)| member.sessions.iter().any(works));
        at_work.fold(Members::default(), |members, (index, _)| members.with(index))
    }

    /// Whether a session of a member has been busy for this long, whatever with.
    pub fn is_slow(&self, member: usize, now: Instant, least: Duration) -> bool {
        self.members[member].sessions.iter().any(|session| session.is_busy_for(now, least))
    }

    /// Does not count any more on those who have been busy for this long; gives their members.
    pub fn stuck(&mut self, now: Instant, least: Duration) -> Members {
        let mut stuck = Members::default();
        for (index, member) in self.members.iter_mut().enumerate() {
            for session in &mut member.sessions {
                let is_too_long = session.is_busy_for(now, least);
                if let (Session::Busy { is_stuck, .. }, true) = (session, is_too_long) {
                    *is_stuck = true;
                    stuck = stuck.with(index);
                }
            }
        }
        stuck
    }

    /// Whether a session has nothing to do.
    pub fn is_idle(&self, at: At) -> bool {
        matches!(self.members[at.member].sessions[at.session], Session::Idle)
    }

    /// Whether a member has a session that can be counted on.
    pub fn is_up(&self, member: usize) -> bool {
        self.members[member].is_up()
    }

    /// What the sessions of a member do.
    pub fn counts(&self, member: usize) -> Counts {
        let mut counts = Counts::default();
        for session in &self.members[member].sessions {
            match session {
                Session::Busy { .. } | Session::Given(_) => counts.busy += 1,
                Session::Down => counts.down += 1,
                Session::Idle => counts.idle += 1,
            }
        }
        counts
    }

    /// How many jobs wait that somebody waits for.
    pub fn waiting(&self) -> usize {
        self.urgent.len()
    }

    fn best_rank(&self, job: &Job<J>) -> Option<Rank> {
        let members = self.members.iter().enumerate();
        let able = members.filter(|(index, member)| job.may.has(*index) && member.is_up());
        able.map(|(_, member)| member.rank()).min()
    }

    fn take_waiting(&mut self, member: usize) -> Option<Job<J>> {
        let rank = self.members[member].rank();
        let fits = |job: &Job<J>| {
            job.may.has(member) && (job.any_will_do || self.best_rank(job) == Some(rank))
        };
        if let Some(place) = self.urgent.iter().position(fits) {
            return self.urgent.remove(place);
        }
        let place = self.background.iter().position(fits)?;
        self.background.remove(place)
    }

    fn session(&mut self, at: At) -> &mut Session<J> {
        &mut self.members[at.member].sessions[at.session]
    }
}

/// What a session is busy with that looks after itself.
const NO_JOB: u64 = u64::MAX;

/// Suspicion first, then priority.
type Rank = (bool, u8);

impl<J> Member<J> {
    fn rank(&self) -> Rank {
        (self.is_suspect, self.priority)
    }

    fn is_up(&self) -> bool {
        self.sessions.iter().any(|session| match session {
            Session::Busy { is_stuck, .. } => !is_stuck,
            Session::Down => false,
            Session::Given(_) | Session::Idle => true,
        })
    }
}

impl<J> Session<J> {
    fn is_busy_for(&self, now: Instant, least: Duration) -> bool {
        matches!(self, Self::Busy { since, .. } if now.saturating_duration_since(*since) >= least)
    }
}

impl Members {
    /// With this one too.
    #[must_use]
    pub fn with(self, member: usize) -> Self {
        Self(self.0 | 1 << member)
    }

    /// Without these.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether this one is among them.
    pub fn has(self, member: usize) -> bool {
        self.0 & 1 << member != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As a number, to be kept in an atomic.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// From [`bits`](Self::bits).
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
