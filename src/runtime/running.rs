//! What runs now, as the control plane knows it. Only a commit changes it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use rustls::ClientConfig;
use tokio::sync::Semaphore;

use crate::certificate::Certificate;
use crate::config::Config;
use crate::hsm::Groups;
use crate::names::CertificateName;
use crate::names::ListenAddr;
use crate::names::PoolName;
use crate::names::TlsProfileName;
use crate::names::VirtualServiceName;
use crate::runtime::error_pages::ErrorPages;
use crate::runtime::inherited::Inherited;
use crate::runtime::plan::Socket;
use crate::runtime::sources::Content;
use crate::runtime::worker::Worker;
use crate::service::VirtualService;
use crate::service::handshakes::AllHandshakes;
use crate::service::listener::Listener;
use crate::telemetry::app_log::AppLog;
use crate::telemetry::recorder::Recorder;
use crate::telemetry::reload_metrics::CertificateReloads;
use crate::telemetry::reload_metrics::ReloadMetrics;
use crate::telemetry::service_metrics::ServiceMetrics;
use crate::tls::profile::Profile;
use crate::tls::ticket_secret::TicketSecret;
use crate::upstream::Pool;
use crate::upstream::names::Names;

/// What is set up once and lives as long as the process.
#[derive(Debug)]
pub struct Process {
    /// Where every metric is registered.
    pub recorder: Recorder,
    /// Counts of configuration reloads.
    pub reloads: ReloadMetrics,
    /// Counts of certificate changes.
    pub certificate_reloads: CertificateReloads,
    /// The writer of application logs.
    pub log: Arc<AppLog>,
    /// The site's secret, from which ticket keys are derived.
    pub tickets: TicketSecret,
    /// Handshakes under way, and how many there may be.
    pub handshakes: Arc<AllHandshakes>,
    /// Whether tokens are asked.
    pub tokens: Tokens,
    /// One permit for each client connection; all back means drained.
    pub connections: Arc<Semaphore>,
    /// How many permits there are.
    pub max_connections: u32,
    /// The data plane.
    pub workers: Vec<Worker>,
    /// Sockets that the service manager passed, until the first configuration is in force.
    pub inherited: Mutex<Inherited>,
}

/// What is done with the tokens that a configuration names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tokens {
    /// They are not asked; their keys count as able to sign.
    Assume,
    /// One session with each: enough to see whether all is in order.
    Check,
    /// They sign.
    Use,
}

impl Process {
    /// The socket that the service manager passed for an address.
    pub fn passed(&self, address: ListenAddr) -> Option<TcpListener> {
        self.inherited.lock().unwrap_or_else(PoisonError::into_inner).tcp(address.0)
    }
}

/// Everything that a reload may keep, replace, add or remove.
#[derive(Debug, Default)]
pub struct Running {
    /// What is in force; `None` until the first commit.
    pub config: Option<Arc<Config>>,
    /// Slots by name; a slot lives as long as its name is configured.
    pub certificates: BTreeMap<CertificateName, Arc<Certificate>>,
    /// Groups of tokens, with their threads.
    pub hsms: Groups,
    /// Compiled profiles.
    pub tls_profiles: BTreeMap<TlsProfileName, Arc<Profile>>,
    /// Who is asked for the addresses of endpoints; None in a rehearsal.
    pub names: Option<Arc<Names>>,
    /// Pools with the digest of the files that their TLS was made from.
    pub pools: BTreeMap<PoolName, RunningPool>,
    /// What the files of error pages held when they were read.
    pub error_pages: ErrorPages,
    /// Virtual services, parents and children.
    pub virtual_services: BTreeMap<VirtualServiceName, Arc<VirtualService>>,
    /// Counters by name; they survive the replacement of their service.
    pub metrics: BTreeMap<VirtualServiceName, Arc<ServiceMetrics>>,
    /// One for each parent.
    pub listeners: BTreeMap<VirtualServiceName, Arc<Listener>>,
    /// Open sockets and the addresses that they really have.
    pub sockets: BTreeMap<Socket, SocketAddr>,
    /// Counts commits.
    pub generation: u64,
}

/// A pool and what its TLS settings were made from.
#[derive(Clone, Debug)]
pub struct RunningPool {
    /// The pool itself.
    pub pool: Arc<Pool>,
    /// The client side of its TLS; `None` in plain text.
    pub client: Option<Arc<ClientConfig>>,
    /// The CA file's content; `None` without one.
    pub files: Content,
}
