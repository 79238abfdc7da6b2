//! The handles of a pool and of each of its endpoints.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use metrics::Counter;
use metrics::Gauge;

use crate::names::EndpointAddr;
use crate::names::PoolName;
use crate::telemetry::catalog::Family;
use crate::telemetry::lazy::LazyCounters;
use crate::telemetry::recorder::Recorder;
use crate::telemetry::recorder::Scope;

/// Counts for a pool.
#[derive(Debug)]
pub struct PoolMetrics {
    pool: PoolName,
    scope: Scope,
    retries: OnceLock<Counter>,
    budget_exhausted: OnceLock<Counter>,
    queue: OnceLock<Gauge>,
    rejections: LazyCounters<&'static str>,
}

impl PoolMetrics {
    /// The handles of a pool, none of which exists yet.
    pub fn new(recorder: &Recorder, pool: &PoolName) -> Self {
        Self {
            pool: pool.clone(),
            scope: recorder.scope(),
            retries: OnceLock::new(),
            budget_exhausted: OnceLock::new(),
            queue: OnceLock::new(),
            rejections: LazyCounters::default(),
        }
    }

    /// Counts a request that is sent once more.
    pub fn retried(&self) {
        let make = || self.scope.counter(Family::PoolRetries, &self.labels());
        self.retries.get_or_init(make).increment(1);
    }

    /// Counts a request that was not sent once more, because the budget is spent.
    pub fn budget_exhausted(&self) {
        let make = || self.scope.counter(Family::PoolRetriesExhausted, &self.labels());
        self.budget_exhausted.get_or_init(make).increment(1);
    }

    /// Counts a request as waiting until the guard goes.
    pub fn queued(&self) -> Queued {
        let make = || self.scope.gauge(Family::PoolQueue, &self.labels());
        let gauge = self.queue.get_or_init(make).clone();
        gauge.increment(1.0);
        Queued(gauge)
    }

    /// Counts a request that was given to no endpoint.
    pub fn rejected(&self, reason: &'static str) {
        self.rejections.increment(reason, || {
            let [pool] = self.labels();
            self.scope.counter(Family::PoolRejections, &[pool, ("reason", reason)])
        });
    }

    fn labels(&self) -> [(&'static str, &str); 1] {
        [("pool", self.pool.as_str())]
    }
}

/// A request that waits for a place in flight.
pub struct Queued(Gauge);

impl fmt::Debug for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queued")
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Counts for one endpoint of a pool.
#[derive(Debug)]
pub struct EndpointMetrics {
    pool: PoolName,
    endpoint: Box<str>,
    scope: Scope,
    busy: OnceLock<Box<Busy>>,
    connect_failures: LazyCounters<&'static str>,
    /// Health checks say whether it is up; connects do not.
    is_checked: AtomicBool,
    ejections: OnceLock<Counter>,
}

#[derive(Debug)]
struct Busy {
    requests: Counter,
    active: Gauge,
    connects: Counter,
    idle: Gauge,
    up: Gauge,
}

impl EndpointMetrics {
    /// The handles of an endpoint, none of which exists yet.
    pub fn new(recorder: &Recorder, pool: &PoolName, endpoint: &EndpointAddr) -> Arc<Self> {
        Arc::new(Self {
            pool: pool.clone(),
            endpoint: endpoint.to_string().into_boxed_str(),
            scope: recorder.scope(),
            busy: OnceLock::new(),
            connect_failures: LazyCounters::default(),
            is_checked: AtomicBool::new(false),
            ejections: OnceLock::new(),
        })
    }

    /// Counts that it is left out for a while because of its answers.
    pub fn ejected(&self) {
        let make = || self.scope.counter(Family::EndpointEjections, &self.labels());
        self.ejections.get_or_init(make).increment(1);
    }

    /// Counts a request that is sent; it is in flight until the guard goes.
    pub fn request_started(self: &Arc<Self>) -> InFlight {
        let busy = self.busy();
        busy.requests.increment(1);
        busy.active.increment(1.0);
        InFlight(self.clone())
    }

    /// Counts a connection that was made.
    pub fn connected(&self) {
        let busy = self.busy();
        busy.connects.increment(1);
        self.connect_says(1.0);
    }

    /// Counts a connection that could not be made.
    pub fn connect_failed(&self, reason: &'static str) {
        self.connect_says(0.0);
        self.connect_failures.increment(reason, || {
            let [pool, endpoint] = self.labels();
            let labels = [pool, endpoint, ("reason", reason)];
            self.scope.counter(Family::EndpointConnectFailures, &labels)
        });
    }

    /// What health checks say; from now on nothing else does.
    pub fn checked(&self, is_up: bool) {
        self.is_checked.store(true, Ordering::Relaxed);
        self.busy().up.set(if is_up { 1.0 } else { 0.0 });
    }

    /// There are no health checks any more.
    pub fn unchecked(&self) {
        self.is_checked.store(false, Ordering::Relaxed);
    }

    fn connect_says(&self, up: f64) {
        if !self.is_checked.load(Ordering::Relaxed) {
            self.busy().up.set(up);
        }
    }

    /// Counts a connection as idle until the guard goes.
    pub fn idle(self: &Arc<Self>) -> IdleConnection {
        self.busy().idle.increment(1.0);
        IdleConnection(self.clone())
    }

    fn labels(&self) -> [(&'static str, &str); 2] {
        [("pool", self.pool.as_str()), ("endpoint", &self.endpoint)]
    }

    fn busy(&self) -> &Busy {
        self.busy.get_or_init(|| {
            let (scope, labels) = (&self.scope, &self.labels());
            Box::new(Busy {
                requests: scope.counter(Family::EndpointRequests, labels),
                active: scope.gauge(Family::EndpointRequestsActive, labels),
                connects: scope.counter(Family::EndpointConnects, labels),
                idle: scope.gauge(Family::EndpointConnectionsIdle, labels),
                up: scope.gauge(Family::EndpointUp, labels),
            })
        })
    }
}

/// A request in flight.
#[derive(Debug)]
pub struct InFlight(Arc<EndpointMetrics>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.busy().active.decrement(1.0);
    }
}

/// A connection that waits for a request.
#[derive(Debug)]
pub struct IdleConnection(Arc<EndpointMetrics>);

impl Drop for IdleConnection {
    fn drop(&mut self) {
        self.0.busy().idle.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::recorder::tests::recorder;

    #[test]
    fn an_endpoint_is_up_when_its_latest_connection_could_be_made() {
        let recorder = recorder();
        let address = "app:8080".parse().unwrap();
        let metrics = EndpointMetrics::new(&recorder, &"shop".parse().unwrap(), &address);
        let labels = [("pool", "shop"), ("endpoint", "app:8080")];
        let value = |family| recorder.value(family, &labels);
        assert_eq!(value(Family::EndpointUp), None);
        metrics.connect_failed("refused");
        assert_eq!(value(Family::EndpointUp), Some(0.0));
        metrics.connected();
        assert_eq!(value(Family::EndpointUp), Some(1.0));
        metrics.checked(false);
        metrics.connected();
        assert_eq!(value(Family::EndpointUp), Some(0.0), "the checks know better");
        metrics.unchecked();
        metrics.connected();
        assert_eq!(value(Family::EndpointUp), Some(1.0));
        let (request, idle) = (metrics.request_started(), metrics.idle());
        assert_eq!(value(Family::EndpointRequestsActive), Some(1.0));
        assert_eq!(value(Family::EndpointConnectionsIdle), Some(1.0));
        drop((request, idle));
        assert_eq!(value(Family::EndpointRequestsActive), Some(0.0));
        assert_eq!(value(Family::EndpointConnectionsIdle), Some(0.0));
    }
}
