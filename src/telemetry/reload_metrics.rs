//! The handles of the control plane: reloads of the configuration and of certificates.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use metrics::Counter;
use metrics::Gauge;

use crate::names::CertificateName;
use crate::telemetry::catalog::Family;
use crate::telemetry::lazy::LazyCounters;
use crate::telemetry::recorder::Recorder;
use crate::telemetry::recorder::Scope;

/// How a reload of the configuration ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReloadResult {
    /// The new configuration is in force.
    Applied,
    /// Nothing in it differs from what is in force.
    Unchanged,
    /// It has errors, or something that it needs failed; the old one stays.
    Refused,
}

/// Counts for reloads of the configuration.
#[derive(Debug)]
pub struct ReloadMetrics {
    applied: Counter,
    unchanged: Counter,
    refused: Counter,
    successful: Gauge,
    success_time: Gauge,
    duration: Gauge,
    generation: Gauge,
    _scope: Scope,
}

impl ReloadMetrics {
    /// The handles, all of them made: an alert needs the zero before the one.
    pub fn new(recorder: &Recorder) -> Self {
        let scope = recorder.scope();
        let counter = |result| scope.counter(Family::ConfigReloads, &[("result", result)]);
        Self {
            applied: counter("applied"),
            unchanged: counter("unchanged"),
            refused: counter("refused"),
            successful: scope.gauge(Family::ConfigReloadSuccessful, &[]),
            success_time: scope.gauge(Family::ConfigReloadSuccessTime, &[]),
            duration: scope.gauge(Family::ConfigReloadDuration, &[]),
            generation: scope.gauge(Family::ConfigGeneration, &[]),
            _scope: scope,
        }
    }

    /// Says that the configuration of the start is in force: generation 1.
    pub fn started(&self, took: Duration) {
        self.succeeded(1);
        self.duration.set(took);
    }

    /// Counts a reload; `generation` is the one in force after it.
    pub fn finished(&self, result: ReloadResult, generation: u64, took: Duration) {
        self.duration.set(took);
        match result {
            ReloadResult::Applied => self.applied.increment(1),
            ReloadResult::Unchanged => self.unchanged.increment(1),
            ReloadResult::Refused => {
                self.refused.increment(1);
                self.successful.set(0.0);
                return;
            }
        }
        self.succeeded(generation);
    }

    fn succeeded(&self, generation: u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.successful.set(1.0);
        self.success_time.set(now.as_secs() as f64);
        self.generation.set(generation as f64);
    }
}

/// Counts for changes of certificate files; a certificate has a series after its first one.
#[derive(Debug)]
pub struct CertificateReloads {
    recorder: Recorder,
    /// Taken by the control plane alone.
    counters: Mutex<BTreeMap<CertificateName, (Scope, LazyCounters<&'static str>)>>,
}

impl CertificateReloads {
    /// Without series.
    pub fn new(recorder: &Recorder) -> Self {
        Self { recorder: recorder.clone(), counters: Mutex::default() }
    }

    /// Counts a change of the files: replaced what is served, or refused because it cannot serve.
    pub fn changed(&self, certificate: &CertificateName, replaced: bool) {
        let result = if replaced { "replaced" } else { "refused" };
        let labels = [("certificate", certificate.as_str()), ("result", result)];
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let (scope, counters) = counters
            .entry(certificate.clone())
            .or_insert_with(|| (self.recorder.scope(), LazyCounters::default()));
        counters.increment(result, || scope.counter(Family::CertificateReloads, &labels));
    }

    /// Forgets certificates that the configuration no longer has.
    pub fn retain(&self, keep: impl Fn(&CertificateName) -> bool) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|name, _| keep(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::recorder::tests::recorder;

    #[test]
    fn a_refused_reload_leaves_generation_and_time_of_success() {
        let recorder = recorder();
        let metrics = ReloadMetrics::new(&recorder);
        metrics.started(Duration::from_millis(3));
        metrics.finished(ReloadResult::Applied, 2, Duration::from_millis(5));
        metrics.finished(ReloadResult::Refused, 2, Duration::from_millis(7));
        let value = |family| recorder.value(family, &[]);
        assert_eq!(value(Family::ConfigReloadSuccessful), Some(0.0));
        assert_eq!(value(Family::ConfigGeneration), Some(2.0));
        assert_eq!(value(Family::ConfigReloadDuration), Some(0.007));
        assert!(value(Family::ConfigReloadSuccessTime) > Some(1.7e9));
    }

    #[test]
    fn only_certificates_that_changed_have_a_series() {
        let recorder = recorder();
        let reloads = CertificateReloads::new(&recorder);
        let name: CertificateName = "shop_ec".parse().unwrap();
        let value = |result| {
            let labels = [("certificate", "shop_ec"), ("result", result)];
            recorder.value(Family::CertificateReloads, &labels)
        };
        assert_eq!(value("replaced"), None);
        reloads.changed(&name, true);
        reloads.changed(&name, true);
        reloads.changed(&name, false);
        assert_eq!((value("replaced"), value("refused")), (Some(2.0), Some(1.0)));
        reloads.retain(|_| false);
        assert_eq!(value("replaced"), None);
    }
}
