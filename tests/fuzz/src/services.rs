//! Services without sockets, files or keys, for targets that ask whose a name or a request is.

use std::sync::Arc;

use portcullis::config::limits::Limits;
use portcullis::config::metrics::Metrics;
use portcullis::config::tls_profile::TlsProfile;
use portcullis::config::virtual_service;
use portcullis::config::virtual_service::NoPool;
use portcullis::service::Parts;
use portcullis::service::Target;
use portcullis::service::VirtualService;
use portcullis::service::handshakes::AllHandshakes;
use portcullis::telemetry::app_log::LogSink;
use portcullis::telemetry::recorder::Recorder;
use portcullis::telemetry::service_metrics::ServiceMetrics;
use portcullis::tls::acceptor::Acceptor;
use portcullis::tls::profile::Profile;
use portcullis::tls::ticket_secret::TicketSecret;
use portcullis::tls::tickets::Period;

/// The service of a checked table; it serves nothing.
pub(crate) fn service(config: &virtual_service::VirtualService) -> VirtualService {
    let recorder = Recorder::new(&Metrics::default());
    let parts = Parts {
        tls: acceptor(),
        all_handshakes: Arc::new(AllHandshakes::new(&Limits::default(), 1)),
        target: Target::NoPool(NoPool::Close),
        policy: None,
        metrics: ServiceMetrics::new(&recorder, &config.name),
        log: LogSink::off(),
    };
    VirtualService::new(config, parts)
}

fn acceptor() -> Acceptor {
    let profile = Profile::compile(&TlsProfile::modern()).expect("a built-in profile");
    let period = Period { seconds: 3600, keep: 1 };
    let secret = TicketSecret::from_bytes(&[7; 32], period).expect("long enough");
    let ticketer = secret.ticketer(&"fuzz".parse().expect("a name"), profile.client_auth_digest());
    Acceptor::new(profile, Vec::new(), ticketer).expect("no two of a kind")
}
