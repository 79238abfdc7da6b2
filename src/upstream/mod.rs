//! Pools: which endpoint gets a request, over which connection, and what happens when that fails.
//!
//! Not a client library but a stack of idle connections for each worker and endpoint: a connection is
//! used only by the worker that opened it. HTTP/1.1 is our own ([`http1`]), HTTP/2 is hyper's. Must not
//! know the client side.

pub mod adapt;
pub mod answers;
pub mod body;
pub mod budget;
pub mod check;
pub mod choose;
pub mod circle;
pub mod client_body;
pub mod connect;
pub mod connection_error;
pub mod cookie;
pub mod dial;
pub mod endpoint;
pub mod error;
pub mod forward;
pub mod hash;
pub mod health;
pub mod http1;
pub mod incoming;
pub mod interim;
pub mod lease;
pub mod names;
pub mod opening;
pub mod outgoing;
pub mod pace;
pub mod patience;
pub mod pick;
pub mod piped;
pub mod place;
pub mod queue;
pub mod source;
pub mod standing;
pub mod sticky;
pub mod stream;
pub mod stream_io;
pub mod supervision;
pub mod trailers;
pub mod tunnel;

use std::fmt;
use std::sync::Arc;

use crate::config;
use crate::config::balance::Balance;
use crate::live::Live;
use crate::names::PoolName;
use crate::per_worker::PerWorker;
use crate::telemetry::pool_metrics::EndpointMetrics;
use crate::telemetry::pool_metrics::PoolMetrics;
use crate::telemetry::recorder::Recorder;
use crate::upstream::answers::Answers;
use crate::upstream::budget::Budget;
use crate::upstream::choose::Chooser;
use crate::upstream::circle::Circle;
use crate::upstream::connect::Connecting;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::endpoint::Keeping;
use crate::upstream::hash::KeySource;
use crate::upstream::queue::Queue;
use crate::upstream::standing::Rules;
use crate::upstream::standing::Standing;
use crate::upstream::sticky::Sticky;
use crate::upstream::supervision::Supervision;

pub use crate::upstream::body::RequestBody;
pub use crate::upstream::body::UpstreamBody;
pub use crate::upstream::client_body::ClientBody;
pub use crate::upstream::client_body::StreamBody;
pub use crate::upstream::error::BodyError;
pub use crate::upstream::error::Side;
pub use crate::upstream::error::UpstreamError;
pub use crate::upstream::forward::Trace;
pub use crate::upstream::interim::Hearing;
pub use crate::upstream::interim::Interims;
pub use crate::upstream::outgoing::Manner;
pub use crate::upstream::outgoing::Outgoing;
pub use crate::upstream::pace::BodyPace;
pub use crate::upstream::pace::Pace;
pub use crate::upstream::piped::BodyFault;
pub use crate::upstream::source::Source;
pub use crate::upstream::tunnel::Switch;

/// A pool. The services that use it hold it for as long as they live; a reload changes its members.
pub struct Pool {
    /// Its name, also in metrics and log lines.
    pub name: PoolName,
    members: Live<Members>,
    circle: Arc<Circle>,
    recorder: Recorder,
    metrics: PoolMetrics,
    sizes: Sizes,
    queue: Queue,
    budget: PerWorker<Budget>,
    supervision: Supervision,
}

/// What is the same for all pools of the process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sizes {
    /// Number of workers.
    pub workers: usize,
    /// Bytes of a response head: `limits.response_head`.
    pub response_head: usize,
}

/// What a reload of a pool replaces as a whole.
#[derive(Debug)]
pub struct Members {
    config: config::pool::Pool,
    /// As it was given; compared by address, to see whether a reload changed it.
    tls: Option<Arc<rustls::ClientConfig>>,
    endpoints: Vec<Arc<Endpoint>>,
    chooser: Chooser,
    /// For a consistent hash.
    key: Option<KeySource>,
    sticky: Option<Sticky>,
}

impl Pool {
    /// Makes a pool; connects to nothing. `tls` is the client side of `config.tls`, ALPN included.
    pub fn new(
        config: &config::pool::Pool,
        tls: Option<Arc<rustls::ClientConfig>>,
        recorder: &Recorder,
        sizes: Sizes,
    ) -> Arc<Self> {
        let members = Members::new(config, tls, Vec::new(), sizes);
        let pool = Self {
            name: config.name.clone(),
            members: Live::new(Arc::new(members)),
            circle: Circle::new(),
            recorder: recorder.clone(),
            metrics: PoolMetrics::new(recorder, &config.name),
            sizes,
            queue: Queue::default(),
            budget: PerWorker::new(sizes.workers, || Budget::new(sizes.workers)),
            supervision: Supervision::default(),
        };
        let tls = pool.members.snapshot().tls.clone();
        pool.update(config, tls);
        Arc::new(pool)
    }

    /// Publishes other members. Endpoints whose address and settings are the same stay, with their
    /// connections and counters; requests under way finish where they are.
    pub fn update(&self, config: &config::pool::Pool, tls: Option<Arc<rustls::ClientConfig>>) {
        let mut answers = self.supervision.answers();
        answers.retain(config);
        self.publish(config, tls, &answers);
    }

    fn publish(
        &self,
        config: &config::pool::Pool,
        tls: Option<Arc<rustls::ClientConfig>>,
        answers: &Answers,
    ) {
        let members = self.members(config, tls, answers);
        let standings = members.chooser.standings().to_vec();
        self.members.replace(Arc::new(members));
        self.circle.replace(standings);
    }

    /// The endpoints of the moment, for status and metrics.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.members.current().endpoints.clone()
    }

    /// How many requests and streams wait until an endpoint has room.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    fn members(
        &self,
        config: &config::pool::Pool,
        tls: Option<Arc<rustls::ClientConfig>>,
        answers: &Answers,
    ) -> Members {
        let previous = self.members.snapshot();
        let is_same = previous.connects_like(config, tls.as_ref());
        let connecting = Connecting {
            connect_timeout: config.connect_timeout,
            protocol: config.protocol,
            tls: tls.clone(),
            server_name: config.tls.as_ref().and_then(|tls| tls.server_name.clone()),
            response_head: self.sizes.response_head,
            proxy_protocol: config.proxy_protocol,
        };
        let endpoints = answers.places(config).into_iter().map(|(place, weight)| {
            let kept = previous.endpoints.iter().find(|kept| kept.place == place);
            let rules = rules(config, weight);
            let standing = kept.map(|kept| Arc::clone(&kept.standing));
            let standing = standing.unwrap_or_else(|| Standing::new(rules, &self.circle));
            standing.obey(rules);
            match kept {
                Some(kept) if is_same => return Arc::clone(kept),
                None if !previous.endpoints.is_empty() => standing.came_up(),
                Some(_) | None => {}
            }
            let metrics = EndpointMetrics::new(&self.recorder, &self.name, &place.address);
            Arc::new(Endpoint::new(
                place,
                standing,
                metrics,
                connecting.clone(),
                keeping(config, self.sizes),
            ))
        });
        let endpoints = endpoints.collect();
        Members::new(config, tls, endpoints, self.sizes)
    }
}

impl Members {
    fn new(
        config: &config::pool::Pool,
        tls: Option<Arc<rustls::ClientConfig>>,
        endpoints: Vec<Arc<Endpoint>>,
        sizes: Sizes,
    ) -> Self {
        let labels: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.label()).collect();
        let standings = endpoints.iter().map(|endpoint| Arc::clone(&endpoint.standing)).collect();
        let key = match &config.balance {
            Balance::ConsistentHash(key) => Some(KeySource::new(key)),
            Balance::LeastRequests | Balance::RoundRobin | Balance::TwoChoices => None,
        };
        let sticky = config.sticky.as_ref();
        let sticky = sticky.map(|sticky| Sticky::new(sticky, &config.name, &labels));
        let has_slow_start = !config.slow_start.is_zero();
        let chooser = Chooser::new(&config.balance, standings, &labels, sizes.workers)
            .growing(has_slow_start);
        Self { config: config.clone(), tls, endpoints, chooser, key, sticky }
    }

    /// Whether connections that were made for these members would be made alike for those.
    fn connects_like(
        &self,
        config: &config::pool::Pool,
        tls: Option<&Arc<rustls::ClientConfig>>,
    ) -> bool {
        let same_tls = match (&self.tls, tls) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_tls
            && self.config.tls == config.tls
            && self.config.protocol == config.protocol
            && self.config.connect_timeout == config.connect_timeout
            && self.config.proxy_protocol == config.proxy_protocol
            && self.config.idle_timeout == config.idle_timeout
            && self.config.idle_connections == config.idle_connections
    }
}

fn keeping(config: &config::pool::Pool, sizes: Sizes) -> Keeping {
    Keeping {
        idle_timeout: config.idle_timeout,
        idle_connections: config.idle_connections,
        workers: sizes.workers,
    }
}

fn rules(config: &config::pool::Pool, weight: u32) -> Rules {
    Rules {
        weight,
        ejection: config.ejection,
        slow_start: config.slow_start,
        limit: config.limit.map(|limit| limit.in_flight),
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod pick_tests;
