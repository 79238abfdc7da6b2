//! The handles of a parent for what happens before a virtual service is selected, and for
//! handshakes that fail (SPEC VS-7).

use std::sync::Arc;
use std::sync::OnceLock;

use metrics::Counter;

use crate::names::VirtualServiceName;
use crate::telemetry::catalog::Family;
use crate::telemetry::lazy::LazyCounters;
use crate::telemetry::recorder::Recorder;
use crate::telemetry::recorder::Scope;

/// Counts for the sockets of one parent.
#[derive(Debug)]
pub struct ListenerMetrics {
    parent: VirtualServiceName,
    scope: Scope,
    accepted: OnceLock<Counter>,
    accept_failures: LazyCounters<&'static str>,
    rejections: LazyCounters<&'static str>,
    handshake_failures: LazyCounters<&'static str>,
    sni_unmatched: LazyCounters<&'static str>,
}

/// Why a server name selects no child.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unmatched {
    /// The ClientHello has none.
    Absent,
    /// No child has it.
    Unknown,
}

impl ListenerMetrics {
    /// The handles of a parent, none of which exists yet.
    pub fn new(recorder: &Recorder, parent: &VirtualServiceName) -> Arc<Self> {
        Arc::new(Self {
            parent: parent.clone(),
            scope: recorder.scope(),
            accepted: OnceLock::new(),
            accept_failures: LazyCounters::default(),
            rejections: LazyCounters::default(),
            handshake_failures: LazyCounters::default(),
            sni_unmatched: LazyCounters::default(),
        })
    }

    /// Counts an accepted connection.
    pub fn accepted(&self) {
        self.accepted
            .get_or_init(|| self.scope.counter(Family::ListenerConnections, &[self.label()]))
            .increment(1);
    }

    /// Counts a failure of `accept`, such as too many open files.
    pub fn accept_failed(&self, reason: &'static str) {
        self.count(&self.accept_failures, Family::ListenerAcceptFailures, reason);
    }

    /// Counts a connection that has to wait, because it would be over a limit.
    pub fn rejected(&self, reason: &'static str) {
        self.count(&self.rejections, Family::ListenerRejections, reason);
    }

    /// Counts a failed handshake, whatever child was selected.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.count(&self.handshake_failures, Family::HandshakeFailures, reason);
    }

    /// Counts a ClientHello that selects no child.
    pub fn sni_unmatched(&self, kind: Unmatched) {
        let sni = match kind {
            Unmatched::Absent => "absent",
            Unmatched::Unknown => "unknown",
        };
        self.sni_unmatched.increment(sni, || {
            self.scope.counter(Family::SniUnmatched, &[self.label(), ("sni", sni)])
        });
    }

    fn count(&self, list: &LazyCounters<&'static str>, family: Family, reason: &'static str) {
        list.increment(reason, || self.scope.counter(family, &[self.label(), ("reason", reason)]));
    }

    fn label(&self) -> (&'static str, &str) {
        ("virtual_service", self.parent.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::recorder::tests::recorder;

    #[test]
    fn failures_count_on_the_parent_by_reason() {
        let recorder = recorder();
        let metrics = ListenerMetrics::new(&recorder, &"edge".parse().unwrap());
        metrics.accepted();
        metrics.handshake_failed("no_shared_cipher");
        metrics.handshake_failed("no_shared_cipher");
        metrics.handshake_failed("eof");
        metrics.sni_unmatched(Unmatched::Unknown);
        let edge = ("virtual_service", "edge");
        let value = |family, label| recorder.value(family, &[edge, label]);
        let reason = ("reason", "no_shared_cipher");
        assert_eq!(value(Family::HandshakeFailures, reason), Some(2.0));
        assert_eq!(value(Family::HandshakeFailures, ("reason", "eof")), Some(1.0));
        assert_eq!(value(Family::SniUnmatched, ("sni", "unknown")), Some(1.0));
        assert_eq!(value(Family::SniUnmatched, ("sni", "absent")), None);
        assert_eq!(recorder.value(Family::ListenerConnections, &[edge]), Some(1.0));
    }
}
