//! The side of those who want something: the lane's threads a signature, the control plane a proof.

use std::sync::Arc;
use std::sync::Condvar;
use std::time::Duration;
use std::time::Instant;

use rustls::SignatureScheme;

use crate::hsm::board::Job;
use crate::hsm::board::Members;
use crate::hsm::board::Offer;
use crate::hsm::dispatcher::Dispatcher;
use crate::hsm::key::State;
use crate::hsm::key::TokenKey;
use crate::hsm::request::Answer;
use crate::hsm::request::Request;
use crate::hsm::request::SignError;
use crate::hsm::request::Task;
use crate::hsm::scheme::Way;
use crate::hsm::standing::Standing;
use crate::hsm::trouble::Class;
use crate::hsm::trouble::Trouble;
use crate::telemetry::hsm_metrics::Refused;

/// What a key is worth at one member.
pub type Verdict = (usize, Result<(), Trouble>);

impl Dispatcher {
    /// Signs; blocks until there is a signature, or none can be had in time.
    pub fn sign(&self, key: &Arc<TokenKey>, scheme: SignatureScheme, message: &[u8]) -> Answer {
        let answer = self.try_sign(key, scheme, message);
        match &answer {
            Ok(_) => {}
            Err(SignError::Late { .. }) => self.metrics.refused(Refused::Late),
            Err(SignError::NoMember { .. }) => self.metrics.refused(Refused::NoMember),
            Err(_) => self.metrics.refused(Refused::Failed),
        }
        answer
    }

    fn try_sign(&self, key: &Arc<TokenKey>, scheme: SignatureScheme, message: &[u8]) -> Answer {
        let asked = Instant::now();
        let timeout = self.config.sign_timeout;
        let task = Task::Sign { scheme, message: message.to_vec() };
        let request = Request::new(Arc::clone(key), task, asked + timeout);
        let may = self.able(&request);
        if !self.submit(&request, may, Urgency::Now) {
            return Err(SignError::NoMember { hsm: self.name() });
        }
        if let Some(answer) = request.wait_until(asked + timeout / 2) {
            return answer;
        }
        self.offer_again(&request, timeout);
        request.wait_until(request.deadline).unwrap_or_else(|| {
            self.give_up(&request, timeout);
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
            let asked = self.submit(&request, may, Urgency::Now) || self.hold(&request, index);
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
                Some(Ok(_)) => {
                    // Where it was held, its session counts a moment later.
                    self.wait_for_change(deadline, |_| self.members[index].is_up());
                    Ok(())
                }
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

    /// Who might do it: members that may have the key, have not been found without it, and have the way.
    pub(super) fn able(&self, request: &Request) -> Members {
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
    pub(super) fn submit(&self, request: &Arc<Request>, may: Members, urgency: Urgency) -> bool {
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

    /// Keeps a proof for a member that is down only because it has none of the keys that it was asked for so
    /// far: the next one to connect tries this one. Says whether it is such a member.
    fn hold(&self, request: &Arc<Request>, member: usize) -> bool {
        let trouble = self.members[member].trouble();
        if trouble.is_none_or(|trouble| trouble.class() != Class::Key) {
            return false;
        }
        let mut desk = self.lock();
        if desk.is_closed {
            return false;
        }
        desk.held.push((member, Arc::clone(request)));
        drop(desk);
        self.wake[member].iter().for_each(Condvar::notify_one);
        true
    }

    /// Half of the time is over. What waits goes to anybody; what is being worked on goes to another member
    /// too, and whoever is slow is suspect.
    fn offer_again(&self, request: &Arc<Request>, timeout: Duration) {
        let mut desk = self.lock();
        if let Some(job) = desk.board.withdraw(request.id) {
            match desk.board.offer(Job { any_will_do: true, ..job }) {
                Offer::Given(at) => self.wake[at.member][at.session].notify_one(),
                Offer::Nobody(_) => {
                    request.answer(Err(SignError::NoMember { hsm: self.name() }));
                }
                Offer::Waits => {}
            }
            return;
        }
        let slow = desk.board.working_on(request.id, Instant::now(), timeout / 4);
        let slow_ones = || (0..self.members.len()).filter(|member| slow.has(*member));
        slow_ones().for_each(|member| desk.board.suspect(member, true));
        let may = self.able(request).without(slow);
        let (id, work) = (request.id, Arc::clone(request));
        let offer = desk.board.offer(Job { id, work, may, is_urgent: true, any_will_do: true });
        if let Offer::Given(at) = &offer {
            self.wake[at.member][at.session].notify_one();
        }
        // Where there is nobody else, whoever works on it may still finish.
        if !matches!(offer, Offer::Nobody(_)) {
            slow_ones().for_each(|member| self.metrics.member(member).failed_over());
        }
        self.settle(desk);
    }

    /// All of the time is over. Whoever has been busy for most of it is not counted on until it comes back.
    fn give_up(&self, request: &Request, timeout: Duration) {
        let mut desk = self.lock();
        desk.board.withdraw(request.id);
        let stuck = desk.board.stuck(Instant::now(), timeout * 3 / 4);
        for member in (0..self.members.len()).filter(|member| stuck.has(*member)) {
            self.metrics.member(member).error(Trouble::Hangs.code());
            self.members[member].failed(&Trouble::Hangs);
        }
        self.settle(desk);
    }

    fn wait_until_settled(&self) {
        self.wait_for_change(self.settles_by, |_| self.members.iter().all(Standing::is_settled));
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Urgency {
    /// Somebody waits, and the best member has failed.
    Anybody,
    /// When there is nothing else to do.
    Background,
    /// Somebody waits.
    Now,
}
