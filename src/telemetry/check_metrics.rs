//! The handles of what the control plane does for a pool: health checks and lookups of names.

use crate::names::PoolName;
use crate::telemetry::catalog::Family;
use crate::telemetry::lazy::LazyCounters;
use crate::telemetry::recorder::Recorder;
use crate::telemetry::recorder::Scope;

/// Counts for the checks of one endpoint.
#[derive(Debug)]
pub struct CheckMetrics {
    pool: PoolName,
    endpoint: Box<str>,
    scope: Scope,
    checks: LazyCounters<&'static str>,
    transitions: LazyCounters<&'static str>,
}

/// Counts for the lookups of one name.
#[derive(Debug)]
pub struct LookupMetrics {
    pool: PoolName,
    endpoint: Box<str>,
    scope: Scope,
    lookups: LazyCounters<&'static str>,
}

impl CheckMetrics {
    /// The handles, none of which exists yet. `endpoint` as its other metrics write it.
    pub fn new(recorder: &Recorder, pool: &PoolName, endpoint: &str) -> Self {
        Self {
            pool: pool.clone(),
            endpoint: endpoint.into(),
            scope: recorder.scope(),
            checks: LazyCounters::default(),
            transitions: LazyCounters::default(),
        }
    }

    /// Counts a check: `ok`, or why not.
    pub fn checked(&self, result: &'static str) {
        self.checks.increment(result, || {
            let labels = self.labels("result", result);
            self.scope.counter(Family::EndpointChecks, &labels)
        });
    }

    /// Counts a change of mind: `up` or `down` now.
    pub fn changed(&self, status: &'static str) {
        self.transitions.increment(status, || {
            let labels = self.labels("status", status);
            self.scope.counter(Family::EndpointTransitions, &labels)
        });
    }

    fn labels<'a>(&'a self, name: &'static str, value: &'a str) -> [(&'static str, &'a str); 3] {
        [("pool", self.pool.as_str()), ("endpoint", &self.endpoint), (name, value)]
    }
}

impl LookupMetrics {
    /// The handles, none of which exists yet. `endpoint` as it is configured.
    pub fn new(recorder: &Recorder, pool: &PoolName, endpoint: &str) -> Self {
        Self {
            pool: pool.clone(),
            endpoint: endpoint.into(),
            scope: recorder.scope(),
            lookups: LazyCounters::default(),
        }
    }

    /// Counts a lookup by its result.
    pub fn looked_up(&self, result: &'static str) {
        self.lookups.increment(result, || {
            let labels =
                [("pool", self.pool.as_str()), ("endpoint", &*self.endpoint), ("result", result)];
            self.scope.counter(Family::PoolLookups, &labels)
        });
    }
}
