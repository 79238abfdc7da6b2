//! Pools: which endpoint gets a request, over which connection, and what happens when that fails.
//!
//! Not a client library but a stack of idle connections for each worker and endpoint: a connection is
//! used only by the worker that opened it. Must not know the client side.

pub mod adapt;
pub mod body;
pub mod choose;
pub mod circle;
pub mod client_body;
pub mod connect;
pub mod dial;
pub mod endpoint;
pub mod error;
pub mod forward;
pub mod interim;
pub mod lease;
pub mod opening;
pub mod outgoing;
pub mod place;
pub mod source;
pub mod standing;
pub mod stream;
pub mod stream_io;

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
use crate::upstream::choose::Turn;
use crate::upstream::circle::Circle;
use crate::upstream::connect::Connecting;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::endpoint::Keeping;
use crate::upstream::standing::Rules;
use crate::upstream::standing::Standing;

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
pub use crate::upstream::outgoing::Outgoing;
pub use crate::upstream::source::Source;

/// A pool. The services that use it hold it for as long as they live; a reload changes its members.
pub struct Pool {
    /// Its name, also in metrics and log lines.
    pub name: PoolName,
    members: Live<Members>,
    circle: Arc<Circle>,
    recorder: Recorder,
    metrics: PoolMetrics,
    sizes: Sizes,
    turn: PerWorker<Turn>,
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
}

impl Pool {
    /// Makes a pool; connects to nothing. `tls` is the client side of `config.tls`, ALPN included.
    pub fn new(
        config: &config::pool::Pool,
        tls: Option<Arc<rustls::ClientConfig>>,
        recorder: &Recorder,
        sizes: Sizes,
    ) -> Arc<Self> {
        let members = Members { config: config.clone(), tls, endpoints: Vec::new() };
        let pool = Self {
            name: config.name.clone(),
            members: Live::new(Arc::new(members)),
            circle: Circle::new(),
            recorder: recorder.clone(),
            metrics: PoolMetrics::new(recorder, &config.name),
            sizes,
            turn: PerWorker::new(sizes.workers, Turn::default),
        };
        let tls = pool.members.snapshot().tls.clone();
        pool.update(config, tls);
        Arc::new(pool)
    }

    /// Publishes other members. Endpoints whose address and settings are the same stay, with their
    /// connections and counters; requests under way finish where they are.
    pub fn update(&self, config: &config::pool::Pool, tls: Option<Arc<rustls::ClientConfig>>) {
        let members = self.members(config, tls);
        let standings = members.endpoints.iter().map(|endpoint| Arc::clone(&endpoint.standing));
        let standings = standings.collect();
        self.members.replace(Arc::new(members));
        self.circle.replace(standings);
    }

    /// The endpoints of the moment, for status and metrics.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.members.current().endpoints.clone()
    }

    fn members(
        &self,
        config: &config::pool::Pool,
        tls: Option<Arc<rustls::ClientConfig>>,
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
        let endpoints = config.endpoints.iter().map(|endpoint| {
            let kept =
                previous.endpoints.iter().find(|kept| kept.place.address == endpoint.address);
            let rules = rules(config, endpoint.weight);
            match kept {
                Some(kept) if is_same => {
                    kept.standing.obey(rules);
                    Arc::clone(kept)
                }
                _ => Arc::new(Endpoint::new(
                    endpoint.address.clone().into(),
                    Standing::new(rules, &self.circle),
                    EndpointMetrics::new(&self.recorder, &self.name, &endpoint.address),
                    connecting.clone(),
                    keeping(config, self.sizes),
                )),
            }
        });
        Members { endpoints: endpoints.collect(), config: config.clone(), tls }
    }
}

impl Members {
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

    fn balance(&self) -> &Balance {
        &self.config.balance
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
