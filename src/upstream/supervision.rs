//! What the control plane does for a pool while it runs: names are looked up again, endpoints are
//! checked.
//!
//! Tasks of the control plane's runtime, never of a worker. They refer to their pool weakly, and end
//! with it; a pool without names and checks has none.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;

use tokio::task::AbortHandle;

use crate::config::health::HealthCheck;
use crate::names::EndpointAddr;
use crate::names::PoolName;
use crate::telemetry::check_metrics::CheckMetrics;
use crate::telemetry::check_metrics::LookupMetrics;
use crate::upstream::Pool;
use crate::upstream::answers::Answers;
use crate::upstream::check::check;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::health;
use crate::upstream::health::Transition;
use crate::upstream::health::Verdict;
use crate::upstream::names::LookupError;
use crate::upstream::names::Names;

/// A pool's tasks and what they found.
#[derive(Debug, Default)]
pub struct Supervision {
    /// Held while members are made from it, so that a reload and an answer do not overtake each other.
    answers: Mutex<Answers>,
    tasks: Mutex<Tasks>,
}

#[derive(Debug, Default)]
struct Tasks {
    lookups: Vec<Task>,
    checks: Vec<(Weak<Endpoint>, Task)>,
}

/// Ends with its value.
#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Supervision {
    /// What is known of names.
    pub(super) fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Begins to look up the names of this pool and to check its endpoints, as the configuration says
    /// now; whatever was begun before ends. Call it on the control plane's runtime.
    pub fn supervise(self: &Arc<Self>, names: &Arc<Names>) {
        let members = self.members.snapshot();
        let mut found = Vec::new();
        for endpoint in &members.config.endpoints {
            if let EndpointAddr::Name(name, _) = &endpoint.address
                && !found.contains(&name)
            {
                found.push(name);
            }
        }
        let lookups = found.into_iter().map(|name| {
            let metrics = LookupMetrics::new(&self.recorder, &self.name, name);
            let lookup = Lookup { pool: Arc::downgrade(self), name: name.clone(), metrics };
            Task(tokio::spawn(lookup.run(Arc::clone(names))).abort_handle())
        });
        let mut tasks = self.supervision.tasks();
        tasks.lookups = lookups.collect();
        tasks.checks.clear();
        self.check_members(&mut tasks);
        drop(tasks);
        if members.config.health.is_none() {
            for endpoint in &members.endpoints {
                endpoint.metrics.unchecked();
                endpoint.standing.checked(true);
            }
        }
    }

    /// Publishes the members that follow from an answer; says whether they are others than before.
    fn answered(&self, name: &str, addresses: Vec<IpAddr>) {
        let mut answers = self.supervision.answers();
        answers.insert(name, addresses);
        let members = self.members.snapshot();
        self.publish(&members.config, members.tls.clone(), &answers);
        drop(answers);
        self.check_members(&mut self.supervision.tasks());
    }

    /// Checks endpoints that are new, and none that are gone.
    fn check_members(&self, tasks: &mut Tasks) {
        let members = self.members.snapshot();
        let Some(health) = &members.config.health else { return };
        let is = |weak: &Weak<Endpoint>, endpoint: &Arc<Endpoint>| {
            std::ptr::eq(weak.as_ptr(), Arc::as_ptr(endpoint))
        };
        tasks.checks.retain(|(weak, _)| members.endpoints.iter().any(|one| is(weak, one)));
        for endpoint in &members.endpoints {
            // What a name stands for until it has addresses is not an endpoint to be judged.
            let is_name = matches!(endpoint.place.address, EndpointAddr::Name(..));
            if is_name || tasks.checks.iter().any(|(weak, _)| is(weak, endpoint)) {
                continue;
            }
            let checks = Checks {
                pool: self.name.clone(),
                endpoint: Arc::downgrade(endpoint),
                health: health.clone(),
                metrics: CheckMetrics::new(&self.recorder, &self.name, endpoint.label()),
            };
            let task = Task(tokio::spawn(checks.run()).abort_handle());
            tasks.checks.push((Arc::downgrade(endpoint), task));
        }
    }
}

/// One name, looked up again and again.
struct Lookup {
    pool: Weak<Pool>,
    name: Box<str>,
    metrics: LookupMetrics,
}

impl Lookup {
    async fn run(self, names: Arc<Names>) {
        let mut failing = None;
        loop {
            let found = names.look_up(&self.name).await;
            let Some(pool) = self.pool.upgrade() else { return };
            let wait = match found {
                Ok(answer) => {
                    if failing.take().is_some() {
                        tracing::info!(pool = %pool.name, name = &*self.name, "name resolves again");
                    }
                    let ttl = answer.ttl;
                    let before = pool.supervision.answers().get(&self.name).map(<[_]>::to_vec);
                    let addresses = answer.after(before.as_deref().unwrap_or_default());
                    self.publish(&pool, before.as_deref(), addresses);
                    ttl
                }
                Err(error) => {
                    self.metrics.looked_up(error.reason());
                    if failing.replace(error.reason()) != Some(error.reason()) {
                        self.complain(&pool.name, &error);
                    }
                    names.patience()
                }
            };
            drop(pool);
            tokio::time::sleep(wait).await;
        }
    }

    fn publish(&self, pool: &Pool, before: Option<&[IpAddr]>, addresses: Vec<IpAddr>) {
        if before == Some(&*addresses) {
            return self.metrics.looked_up("unchanged");
        }
        self.metrics.looked_up("changed");
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let addresses_now = shown.join(" ");
        // First in force, then said.
        pool.answered(&self.name, addresses);
        tracing::info!(
            pool = %pool.name,
            name = &*self.name,
            addresses = addresses_now,
            "name resolved"
        );
    }

    fn complain(&self, pool: &PoolName, error: &LookupError) {
        tracing::warn!(
            pool = %pool,
            name = &*self.name,
            reason = error.reason(),
            error = %error,
            "name does not resolve; what was known of it stays"
        );
    }
}

/// One endpoint, checked again and again.
struct Checks {
    pool: PoolName,
    endpoint: Weak<Endpoint>,
    health: HealthCheck,
    metrics: CheckMetrics,
}

impl Checks {
    async fn run(self) {
        let Some(endpoint) = self.endpoint.upgrade() else { return };
        let mut verdict = Verdict::new(&self.health, !endpoint.standing.is_down());
        endpoint.metrics.checked(verdict.is_up());
        drop(endpoint);
        loop {
            let Some(endpoint) = self.endpoint.upgrade() else { return };
            let result = check(&endpoint, &self.health).await;
            self.metrics.checked(result.as_ref().map_or_else(|error| error.reason(), |()| "ok"));
            let transition = verdict.add(result.is_ok());
            if transition.is_some() {
                endpoint.standing.checked(verdict.is_up());
                endpoint.metrics.checked(verdict.is_up());
            }
            match (transition, result) {
                (Some(Transition::Up), _) => {
                    self.metrics.changed("up");
                    tracing::info!(pool = %self.pool, endpoint = endpoint.label(), "endpoint is up");
                }
                (Some(Transition::Down), Err(error)) => {
                    self.metrics.changed("down");
                    tracing::warn!(
                        pool = %self.pool,
                        endpoint = endpoint.label(),
                        reason = error.reason(),
                        error = %error,
                        "endpoint is down"
                    );
                }
                (Some(Transition::Down) | None, _) => {}
            }
            drop(endpoint);
            tokio::time::sleep(health::pause(&self.health, random())).await;
        }
    }
}

/// The standard library seeds each of its hashers anew.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}
