//! Services, pools and connections without sockets, for all benches.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis::config;
use portcullis::config::limits::Limits;
use portcullis::config::metrics::Metrics;
use portcullis::config::pool::Endpoint;
use portcullis::config::timeouts::Timeouts;
use portcullis::config::tls_profile::Alpn;
use portcullis::config::tls_profile::TlsProfile;
use portcullis::config::virtual_service::Forwarded;
use portcullis::config::virtual_service::HostCheck;
use portcullis::config::virtual_service::Mode;
use portcullis::config::virtual_service::UnderscoreFields;
use portcullis::http::Connection;
use portcullis::key::KeyType;
use portcullis::names::ClientAddr;
use portcullis::names::EndpointAddr;
use portcullis::names::VirtualServiceName;
use portcullis::service::Listener;
use portcullis::service::Table;
use portcullis::service::Target;
use portcullis::service::VirtualService;
use portcullis::service::handshakes::AllHandshakes;
use portcullis::service::handshakes::Handshakes;
use portcullis::service::http_redirect::HttpRedirect;
use portcullis::service::retirement::Retirement;
use portcullis::service::settings::Settings;
use portcullis::telemetry::app_log::LogSink;
use portcullis::telemetry::listener_metrics::ListenerMetrics;
use portcullis::telemetry::recorder::Recorder;
use portcullis::telemetry::service_metrics::ServiceMetrics;
use portcullis::tls::acceptor::Acceptor;
use portcullis::tls::choose::Rule;
use portcullis::tls::facts::TlsFacts;
use portcullis::tls::profile::Profile;
use portcullis::tls::ticket_secret::TicketSecret;
use portcullis::tls::tickets::Period;
use portcullis::upstream::Pool;
use portcullis::upstream::Sizes;

/// A recorder that nobody reads.
pub(crate) fn recorder() -> Recorder {
    Recorder::new(&Metrics::default())
}

/// A child of `front` with these domains, or `front` itself.
pub(crate) fn service(
    recorder: &Recorder,
    name: &str,
    domains: &[String],
    log: LogSink,
) -> VirtualService {
    let name: VirtualServiceName = name.parse().expect("a name");
    let parent = (!domains.is_empty()).then(|| "front".parse().expect("a name"));
    VirtualService {
        metrics: ServiceMetrics::new(recorder, &name),
        name,
        parent,
        domains: domains.iter().map(|domain| domain.parse().expect("a pattern")).collect(),
        tls: acceptor(),
        handshakes: Handshakes::unlimited(&Arc::new(AllHandshakes::new(&Limits::default(), 1))),
        tunnel_idle: None,
        mode: Mode::Http,
        target: Target::Pool(pool(recorder, 1)),
        policy: None,
        client_certificate_headers: false,
        trusted_proxies: Box::default(),
        forwarded: Forwarded::XForwarded,
        underscore_fields: UnderscoreFields::Drop,
        http_redirect: HttpRedirect::default(),
        host_check: HostCheck::Strict,
        log,
        retirement: Retirement::new(),
    }
}

/// A table of one child that owns these domains.
pub(crate) fn table(domains: &[String]) -> Table {
    let recorder = recorder();
    let front = service(&recorder, "front", &[], LogSink::off());
    let child = service(&recorder, "shop", domains, LogSink::off());
    Table::new(Arc::new(front), &[Arc::new(child)], false, settings())
}

/// A pool of so many endpoints.
pub(crate) fn pool(recorder: &Recorder, endpoints: u16) -> Arc<Pool> {
    let address = |number| EndpointAddr::Socket(SocketAddr::from(([127, 0, 0, 1], 1000 + number)));
    let endpoints =
        (0..endpoints).map(|number| Endpoint { address: address(number), weight: 1 }).collect();
    let config = config::pool::Pool::new("app".parse().expect("a name"), endpoints);
    Pool::new(&config, None, recorder, Sizes { workers: 1, response_head: 64 << 10 })
}

/// An HTTP/1.1 connection of a client to this service.
pub(crate) fn connection(recorder: &Recorder, service: VirtualService) -> Connection {
    let service = Arc::new(service);
    let front = self::service(recorder, "front", &[], LogSink::off());
    let table = Table::new(Arc::new(front), &[Arc::clone(&service)], false, settings());
    let parent: VirtualServiceName = "front".parse().expect("a name");
    let metrics = ListenerMetrics::new(recorder, &parent);
    Connection {
        client: ClientAddr(SocketAddr::from(([192, 0, 2, 7], 40_000))),
        peer: None,
        local: SocketAddr::from(([192, 0, 2, 1], 443)),
        facts: Box::new(facts()),
        service,
        listener: Arc::new(Listener::new(parent, Arc::new(table), metrics)),
        settings: settings(),
    }
}

fn settings() -> Arc<Settings> {
    Arc::new(Settings { timeouts: Timeouts::default(), limits: Limits::default() })
}

fn acceptor() -> Acceptor {
    let profile = Profile::compile(&TlsProfile::modern()).expect("a built-in profile");
    let period = Period { seconds: 3600, keep: 1 };
    let secret = TicketSecret::from_bytes(&[7; 32], period).expect("long enough");
    let ticketer = secret.ticketer(&"bench".parse().expect("a name"), profile.client_auth_digest());
    Acceptor::new(profile, Vec::new(), ticketer).expect("no two of a kind")
}

fn facts() -> TlsFacts {
    TlsFacts {
        server_name: Some("shop.example.com".parse().expect("a name")),
        version: "1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        group: "X25519MLKEM768",
        pfs: true,
        certificate: "shop_ec".parse().expect("a name"),
        key_type: KeyType::Ec,
        rule: Rule::Preferred,
        resumed: false,
        alpn: Alpn::Http1,
        agreed_alpn: Some(Alpn::Http1),
        handshake: Duration::from_micros(400),
        client_certificate: None,
        expired: false,
    }
}
