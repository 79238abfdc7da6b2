//! What a virtual service is: everything that is decided per server name, compiled for the workers.
//!
//! Must not know hyper, sockets or files: it holds what they need and answers questions.

#[cfg(test)]
pub mod fixture;
pub mod handshakes;
pub mod host;
pub mod http_redirect;
pub mod listener;
pub mod location;
pub mod policy;
pub mod retirement;
pub mod settings;
pub mod table;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config;
use crate::config::virtual_service::Forwarded;
use crate::config::virtual_service::HostCheck;
use crate::config::virtual_service::Mode;
use crate::config::virtual_service::NoPool;
use crate::config::virtual_service::Role;
use crate::config::virtual_service::UnderscoreFields;
use crate::names::CertificateName;
use crate::names::DomainPattern;
use crate::names::VirtualServiceName;
use crate::service::handshakes::AllHandshakes;
use crate::service::handshakes::Handshakes;
use crate::service::http_redirect::HttpRedirect;
use crate::service::policy::Denial;
use crate::service::policy::Policy;
use crate::service::policy::action::Action;
use crate::service::retirement::Retirement;
use crate::service::settings::Settings;
use crate::telemetry::app_log::LogSink;
use crate::telemetry::service_metrics::ServiceMetrics;
use crate::tls::acceptor::Acceptor;
use crate::upstream::Pool;

pub use crate::service::listener::Listener;
pub use crate::service::table::Table;

/// A parent or a child as the workers see it. Immutable: a reload that changes it makes another one
/// and retires this one; a reload that does not keeps this `Arc`.
pub struct VirtualService {
    /// Its name, also in metrics and log lines.
    pub name: VirtualServiceName,
    /// The parent of a child; `None` for a parent.
    pub parent: Option<VirtualServiceName>,
    /// What a child owns; empty for a parent.
    pub domains: Arc<[DomainPattern]>,
    /// What is done with a connection.
    pub mode: Mode,
    /// The TLS side: profile, certificates, tickets.
    pub tls: Acceptor,
    /// Counts its handshakes, and sheds those that are too many.
    pub handshakes: Handshakes,
    /// Silence of its WebSockets and streams; None: as in the settings.
    pub tunnel_idle: Option<Duration>,
    /// Where requests go.
    pub target: Target,
    /// What is done with requests beside passing them on; None: nothing.
    pub policy: Option<Box<Policy>>,
    /// Whose word about the client is believed.
    pub trusted_proxies: Box<[IpNet]>,
    /// Which fields tell the endpoint about the client.
    pub forwarded: Forwarded,
    /// Whether fields tell the endpoint about the client's certificate.
    pub client_certificate_headers: bool,
    /// What is done with fields that have an underscore in their names.
    pub underscore_fields: UnderscoreFields,
    /// What a plain HTTP request for one of the domains is answered with.
    pub http_redirect: HttpRedirect,
    /// What happens to a host that is not this child's.
    pub host_check: HostCheck,
    /// Handles, registered once.
    pub metrics: Arc<ServiceMetrics>,
    /// The application log of this service.
    pub log: LogSink,
    /// Asks this service's connections to leave.
    pub retirement: Retirement,
}

/// Where requests go.
pub enum Target {
    /// A parent without a pool answers by itself (SPEC VS-8).
    NoPool(NoPool),
    /// To one of these endpoints.
    Pool(Arc<Pool>),
}

/// What has been made for a service before it is put together.
#[derive(Debug)]
pub struct Parts {
    /// Its side of handshakes.
    pub tls: Acceptor,
    /// What counts the handshakes of all services.
    pub all_handshakes: Arc<AllHandshakes>,
    /// Its pool or answer.
    pub target: Target,
    /// Its policy, if it has one.
    pub policy: Option<Box<Policy>>,
    /// Its handles.
    pub metrics: Arc<ServiceMetrics>,
    /// Its log.
    pub log: LogSink,
}

impl VirtualService {
    /// Compiles a service from its checked table and what has been made for it.
    pub fn new(config: &config::virtual_service::VirtualService, parts: Parts) -> Self {
        let Parts { tls, all_handshakes, target, policy, metrics, log } = parts;
        let (parent, domains) = match &config.role {
            Role::Child { parent, domains } => (Some(parent.clone()), Arc::clone(domains)),
            Role::Parent { .. } => (None, Arc::default()),
        };
        Self {
            name: config.name.clone(),
            parent,
            domains,
            mode: config.mode,
            tls: tls_side(tls, config),
            handshakes: Handshakes::new(config, &all_handshakes),
            tunnel_idle: config.tunnel_idle,
            target,
            policy,
            trusted_proxies: config.trusted_proxies.clone().into(),
            forwarded: config.forwarded,
            client_certificate_headers: config.tells_client_certificates(),
            underscore_fields: config.underscore_fields,
            http_redirect: HttpRedirect::compile(&config.http_redirect),
            host_check: config.host_check,
            metrics,
            log,
            retirement: Retirement::new(),
        }
    }

    /// The pool of a request that this rule of the policy applies to, or none.
    pub fn pool(&self, rule: Option<usize>) -> Option<&Arc<Pool>> {
        let rule = self.policy.as_deref().and_then(|policy| policy.rule(rule));
        match (rule.map(|rule| &rule.action), &self.target) {
            (Some(Action::Pool(pool)), _) | (_, Target::Pool(pool)) => Some(pool),
            (_, Target::NoPool(_)) => None,
        }
    }

    /// Whether a connection is closed before there is a request.
    pub fn serves_nothing(&self) -> bool {
        let has_rules = self.policy.as_deref().is_some_and(Policy::has_rules);
        matches!(self.target, Target::NoPool(NoPool::Close)) && !has_rules
    }

    /// Whether a client may connect, as far as that can be told before its handshake.
    ///
    /// # Errors
    ///
    /// The service's policy denies its address, or has no room for more connections. A proxy that is
    /// believed is not its clients: who they are is seen in their requests, where there are any.
    pub fn admits(&self, client: IpAddr) -> Result<(), Denial> {
        let Some(policy) = self.policy.as_deref() else { return Ok(()) };
        let address = client.to_canonical();
        let is_proxy = self.mode == Mode::Http
            && self.trusted_proxies.iter().any(|network| network.contains(&address));
        policy.admits_connection(address, is_proxy)
    }

    /// How long a WebSocket or a stream may be silent.
    pub fn tunnel_idle(&self, settings: &Settings) -> Duration {
        self.tunnel_idle.unwrap_or(settings.timeouts.tunnel_idle)
    }

    /// The mode, as the configuration writes it.
    pub fn mode_word(&self) -> &'static str {
        match self.mode {
            Mode::Http => "http",
            Mode::Passthrough => "passthrough",
            Mode::Tcp => "tcp",
        }
    }

    /// Whether a client that may speak TLS to one service may speak to the other.
    pub fn has_tls_policy_of(&self, other: &Self) -> bool {
        self.tls.profile().digest() == other.tls.profile().digest()
    }

    /// The domains that none of the certificates covers; clients will not accept those.
    pub fn uncovered_domains(&self) -> impl Iterator<Item = &DomainPattern> {
        let materials: Vec<_> =
            self.tls.certificates().filter_map(|slot| slot.material()).collect();
        self.domains.iter().filter(move |domain| {
            // The most general name that a certificate can have for a pattern.
            let name = match domain {
                DomainPattern::Exact(name) | DomainPattern::ApexAndBelow(name) => name.to_string(),
                DomainPattern::Below(apex) => format!("any.{apex}"),
                DomainPattern::Stem(_) => return false,
            };
            !materials.is_empty() && !materials.iter().any(|material| material.facts.covers(&name))
        })
    }

    /// Whether the certificate that this service presented under that name covers a host.
    pub fn served_certificate_covers(&self, served: &CertificateName, host: &str) -> bool {
        self.tls
            .certificates()
            .find(|certificate| *certificate.name() == *served)
            .and_then(|certificate| certificate.material())
            .is_some_and(|material| material.facts.covers(host))
    }
}

/// What the service wants of its handshakes.
fn tls_side(tls: Acceptor, config: &config::virtual_service::VirtualService) -> Acceptor {
    let tls = tls.keeping_client_certificates(config.tells_client_certificates());
    match config.mode {
        Mode::Http => tls,
        Mode::Passthrough | Mode::Tcp => tls.without_default_alpn(),
    }
}

impl fmt::Debug for VirtualService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualService").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPool(action) => f.debug_tuple("NoPool").field(action).finish(),
            Self::Pool(pool) => f.debug_tuple("Pool").field(&pool.name).finish(),
        }
    }
}
