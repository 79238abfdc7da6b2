//! Services for tests, without sockets, files or keys.

use std::sync::Arc;
use std::sync::OnceLock;

use crate::certificate::Certificate;
use crate::config::limits::Limits;
use crate::config::timeouts::Timeouts;
use crate::config::tls_profile::TlsProfile;
use crate::config::virtual_service::Forwarded;
use crate::config::virtual_service::HostCheck;
use crate::config::virtual_service::Mode;
use crate::config::virtual_service::NoPool;
use crate::config::virtual_service::UnderscoreFields;
use crate::names::VirtualServiceName;
use crate::service::Target;
use crate::service::VirtualService;
use crate::service::handshakes::AllHandshakes;
use crate::service::handshakes::Handshakes;
use crate::service::http_redirect::HttpRedirect;
use crate::service::retirement::Retirement;
use crate::service::settings::Settings;
use crate::service::table::Table;
use crate::telemetry::app_log::LogSink;
use crate::telemetry::service_metrics::ServiceMetrics;
use crate::tls::acceptor::Acceptor;
use crate::tls::profile::Profile;
use crate::tls::ticket_secret::TicketSecret;
use crate::tls::tickets::Period;

/// A child of `front` with these domains, or `front` itself if there are none.
pub fn service(name: &str, domains: &[&str]) -> VirtualService {
    let name: VirtualServiceName = name.parse().expect("a name");
    let parent = (!domains.is_empty()).then(|| "front".parse().expect("a name"));
    let domains = domains.iter().map(|domain| domain.parse().expect("a pattern")).collect();
    VirtualService {
        metrics: ServiceMetrics::new(&recorder(), &name),
        name,
        parent,
        domains,
        tls: acceptor(Vec::new()),
        handshakes: Handshakes::unlimited(&Arc::new(AllHandshakes::new(&Limits::default(), 1))),
        tunnel_idle: None,
        mode: Mode::Http,
        target: Target::NoPool(NoPool::Close),
        policy: None,
        trusted_proxies: Box::default(),
        forwarded: Forwarded::XForwarded,
        underscore_fields: UnderscoreFields::Drop,
        client_certificate_headers: false,
        http_redirect: HttpRedirect::default(),
        host_check: HostCheck::Strict,
        log: LogSink::off(),
        retirement: Retirement::new(),
    }
}

/// A recorder that nobody reads.
pub fn recorder() -> crate::telemetry::recorder::Recorder {
    crate::telemetry::recorder::Recorder::new(&crate::config::metrics::Metrics {
        request_buckets: vec![0.1, 1.0],
        handshake_buckets: vec![0.1, 1.0],
    })
}

/// A table with the defaults of everything.
pub fn table(parent: VirtualService, children: &[Arc<VirtualService>]) -> Table {
    let settings = Settings { timeouts: Timeouts::default(), limits: Limits::default() };
    Table::new(Arc::new(parent), children, false, Arc::new(settings))
}

/// Handshakes of the modern kind, with these certificates.
pub fn acceptor(certificates: Vec<Arc<Certificate>>) -> Acceptor {
    static PROFILE: OnceLock<Arc<Profile>> = OnceLock::new();
    let modern = || Profile::compile(&TlsProfile::modern()).expect("a built-in profile");
    acceptor_with(PROFILE.get_or_init(modern), certificates)
}

/// Handshakes of another kind, without certificates.
pub fn acceptor_of_other_policy() -> Acceptor {
    let profile = TlsProfile::intermediate();
    acceptor_with(&Profile::compile(&profile).expect("a built-in profile"), Vec::new())
}

fn acceptor_with(profile: &Arc<Profile>, certificates: Vec<Arc<Certificate>>) -> Acceptor {
    let period = Period { seconds: 3600, keep: 1 };
    let secret = TicketSecret::from_bytes(&[7; 32], period).expect("long enough");
    let ticketer = secret.ticketer(&"test".parse().expect("a name"), profile.client_auth_digest());
    Acceptor::new(Arc::clone(profile), certificates, ticketer).expect("one of each kind")
}
