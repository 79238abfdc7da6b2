//! The handles of a group of tokens and of each of its members (SPEC HSM-7).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use metrics::Counter;
use metrics::Gauge;
use metrics::Histogram;

use crate::names::HsmName;
use crate::telemetry::catalog::Family;
use crate::telemetry::recorder::Recorder;
use crate::telemetry::recorder::Scope;

/// Counts for a group. All handles are made at once: there are few groups, and an alert needs the zero
/// before the one.
pub struct HsmMetrics {
    waited: Histogram,
    waiting: Gauge,
    handshakes: Gauge,
    refused: [Counter; 4],
    /// In the order of the configuration.
    members: Box<[MemberMetrics]>,
    _scope: Scope,
}

/// Why a signature was not made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// Every member that could make it has failed.
    Failed = 0,
    /// It was not there in time.
    Late = 1,
    /// No member is up that has the key.
    NoMember = 2,
    /// Too many handshakes wait already.
    QueueFull = 3,
}

/// Counts for a member of a group.
pub struct MemberMetrics {
    hsm: HsmName,
    member: String,
    signed: Histogram,
    up: Gauge,
    pin_refused: Gauge,
    idle: Gauge,
    busy: Gauge,
    down: Gauge,
    went_up: Counter,
    went_down: Counter,
    connects: Counter,
    failovers: Counter,
    /// By what the module said. Taken by threads of sessions when something fails.
    errors: Mutex<BTreeMap<String, Counter>>,
    scope: Scope,
}

impl HsmMetrics {
    /// The handles of a group with these members.
    pub fn new<'a>(
        recorder: &Recorder,
        hsm: &HsmName,
        members: impl Iterator<Item = &'a str>,
    ) -> Self {
        let scope = recorder.scope();
        let group = [("hsm", hsm.as_str())];
        let refused = ["failed", "deadline", "no_member", "queue_full"];
        Self {
            waited: scope.histogram(Family::HsmQueueDuration, &group),
            waiting: scope.gauge(Family::HsmQueue, &group),
            handshakes: scope.gauge(Family::HsmHandshakesActive, &group),
            refused: refused
                .map(|reason| scope.counter(Family::HsmRefused, &[group[0], ("reason", reason)])),
            members: members.map(|member| MemberMetrics::new(recorder, hsm, member)).collect(),
            _scope: scope,
        }
    }

    /// The handles of a member, by its place in the configuration.
    pub fn member(&self, index: usize) -> &MemberMetrics {
        &self.members[index]
    }

    /// How long a signature waited for a session.
    pub fn waited(&self, duration: Duration) {
        self.waited.record(duration);
    }

    /// How many signatures wait for a session.
    pub fn waiting(&self, count: usize) {
        self.waiting.set(count as f64);
    }

    /// Counts a handshake on the group's lane until the guard goes.
    pub fn handshake(&self) -> LaneHandshake {
        self.handshakes.increment(1.0);
        LaneHandshake(self.handshakes.clone())
    }

    /// Counts a signature that was not made.
    pub fn refused(&self, reason: Refused) {
        self.refused[reason as usize].increment(1);
    }
}

/// A handshake on a lane.
pub struct LaneHandshake(Gauge);

impl Drop for LaneHandshake {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl MemberMetrics {
    fn new(recorder: &Recorder, hsm: &HsmName, member: &str) -> Self {
        let scope = recorder.scope();
        let labels = [("hsm", hsm.as_str()), ("member", member)];
        let [hsm_label, member_label] = labels;
        let sessions =
            |state| scope.gauge(Family::HsmSessions, &[hsm_label, member_label, ("state", state)]);
        let transitions = |status| {
            scope.counter(Family::HsmTransitions, &[hsm_label, member_label, ("status", status)])
        };
        Self {
            hsm: hsm.clone(),
            member: member.to_owned(),
            signed: scope.histogram(Family::HsmSignDuration, &labels),
            up: scope.gauge(Family::HsmMemberUp, &labels),
            pin_refused: scope.gauge(Family::HsmPinRefused, &labels),
            idle: sessions("idle"),
            busy: sessions("busy"),
            down: sessions("down"),
            went_up: transitions("up"),
            went_down: transitions("down"),
            connects: scope.counter(Family::HsmConnects, &labels),
            failovers: scope.counter(Family::HsmFailovers, &labels),
            errors: Mutex::default(),
            scope,
        }
    }

    /// A signature, and how long the token took for it.
    pub fn signed(&self, duration: Duration) {
        self.signed.record(duration);
    }

    /// What its sessions do.
    pub fn sessions(&self, idle: usize, busy: usize, down: usize) {
        self.idle.set(idle as f64);
        self.busy.set(busy as f64);
        self.down.set(down as f64);
    }

    /// It came up or went down.
    pub fn became(&self, is_up: bool) {
        self.up.set(if is_up { 1.0 } else { 0.0 });
        let counter = if is_up { &self.went_up } else { &self.went_down };
        counter.increment(1);
    }

    /// A session was opened and logged in.
    pub fn connected(&self) {
        self.connects.increment(1);
        self.pin_refused.set(0.0);
    }

    /// No session could be opened; whether that is because the token refuses the PIN.
    pub fn not_connected(&self, is_pin_refused: bool) {
        self.pin_refused.set(if is_pin_refused { 1.0 } else { 0.0 });
    }

    /// A job of it went to another member.
    pub fn failed_over(&self) {
        self.failovers.increment(1);
    }

    /// Something failed; the code comes from the closed list of the standard, or is our own.
    pub fn error(&self, code: &str) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = errors.entry(code.to_owned()).or_insert_with(|| {
            let labels = [("hsm", self.hsm.as_str()), ("member", &self.member), ("code", code)];
            self.scope.counter(Family::HsmErrors, &labels)
        });
        counter.increment(1);
    }
}

impl fmt::Debug for HsmMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HsmMetrics").field("members", &self.members).finish_non_exhaustive()
    }
}

impl fmt::Debug for MemberMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemberMetrics").field(&self.hsm).field(&self.member).finish()
    }
}

impl fmt::Debug for LaneHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaneHandshake")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::recorder::tests::recorder;

    #[test]
    fn a_group_and_its_members_are_there_before_anything_happens() {
        let recorder = recorder();
        let name: HsmName = "prod".parse().unwrap();
        let metrics = HsmMetrics::new(&recorder, &name, ["a", "b"].into_iter());
        let member = [("hsm", "prod"), ("member", "b")];
        assert_eq!(recorder.value(Family::HsmMemberUp, &member), Some(0.0));
        metrics.member(1).became(true);
        metrics.member(1).sessions(3, 2, 1);
        metrics.refused(Refused::QueueFull);
        assert_eq!(recorder.value(Family::HsmMemberUp, &member), Some(1.0));
        let busy = [member[0], member[1], ("state", "busy")];
        assert_eq!(recorder.value(Family::HsmSessions, &busy), Some(2.0));
        let full = [("hsm", "prod"), ("reason", "queue_full")];
        assert_eq!(recorder.value(Family::HsmRefused, &full), Some(1.0));
        drop(metrics);
        assert_eq!(recorder.value(Family::HsmMemberUp, &member), None);
    }

    #[test]
    fn errors_are_counted_by_what_the_module_said() {
        let recorder = recorder();
        let metrics = HsmMetrics::new(&recorder, &"p".parse().unwrap(), ["a"].into_iter());
        metrics.member(0).error("device_error");
        metrics.member(0).error("device_error");
        let labels = [("hsm", "p"), ("member", "a"), ("code", "device_error")];
        assert_eq!(recorder.value(Family::HsmErrors, &labels), Some(2.0));
    }
}
