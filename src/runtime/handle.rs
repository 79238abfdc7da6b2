//! What the rest of the process sees of the control plane: a page to read, and requests to make.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::certificate::Certificate;
use crate::certificate::OnDisk;
use crate::config::Config;
use crate::hsm::Group;
use crate::live::Live;
use crate::names::DomainPattern;
use crate::runtime::plan::Purpose;
use crate::runtime::plan::Socket;
use crate::runtime::reload::State;
use crate::runtime::report::ReloadReport;
use crate::runtime::status::CertificateStatus;
use crate::runtime::status::EndpointStatus;
use crate::runtime::status::HsmStatus;
use crate::runtime::status::ListenerStatus;
use crate::runtime::status::MemberStatus;
use crate::runtime::status::Phase;
use crate::runtime::status::PoolStatus;
use crate::runtime::status::Readiness;
use crate::runtime::status::Status;
use crate::runtime::status::VirtualServiceStatus;
use crate::service::Target;
use crate::service::VirtualService;
use crate::telemetry::app_log::AppLog;
use crate::telemetry::certificate_metrics;
use crate::telemetry::certificate_metrics::CertificateView;
use crate::telemetry::recorder::Recorder;
use crate::tls::acceptor::unix_now;
use crate::upstream::Pool;

/// A cheap clone for whoever asks.
#[derive(Clone, Debug)]
pub struct Handle {
    reloads: mpsc::Sender<ReloadRequest>,
    page: Arc<Live<Page>>,
    /// Written a few times in a life, read by probes.
    phase: Arc<Mutex<Phase>>,
    recorder: Recorder,
    log: Arc<AppLog>,
    started: Instant,
}

/// A wish for a reload, with the place where its report goes.
pub type ReloadRequest = oneshot::Sender<ReloadReport>;

/// What is in force, as of the latest commit. A page is `Live`, because the admin reads it on another
/// task than the one that commits.
#[derive(Debug)]
struct Page {
    config: Arc<Config>,
    config_file: String,
    certificates: Vec<Arc<Certificate>>,
    pools: Vec<Arc<Pool>>,
    hsms: Vec<Arc<Group>>,
    virtual_services: Vec<Arc<VirtualService>>,
    sockets: Vec<(Socket, SocketAddr)>,
    generation: u64,
    last_reload: Option<ReloadReport>,
}

impl Page {
    fn of(state: &State, last_reload: Option<ReloadReport>) -> Self {
        let running = &state.running;
        let sockets = running.sockets.iter().map(|(socket, actual)| (socket.clone(), *actual));
        Self {
            config: state.config(),
            config_file: state.path.display().to_string(),
            certificates: running.certificates.values().cloned().collect(),
            pools: running.pools.values().map(|running| Arc::clone(&running.pool)).collect(),
            hsms: running.hsms.values().cloned().collect(),
            virtual_services: running.virtual_services.values().cloned().collect(),
            sockets: sockets.collect(),
            generation: running.generation,
            last_reload,
        }
    }
}

impl Handle {
    /// The handle of a state whose first configuration is in force.
    pub fn new(reloads: mpsc::Sender<ReloadRequest>, state: &State) -> Self {
        let page = Arc::new(Live::new(Arc::new(Page::of(state, None))));
        let recorder = state.process.recorder.clone();
        let seen = Arc::clone(&page);
        certificate_metrics::collect(&recorder, move || {
            seen.current().certificates.iter().map(|slot| view(slot)).collect()
        });
        let phase = Arc::new(Mutex::new(Phase::Starting));
        let log = Arc::clone(&state.process.log);
        Self { reloads, page, phase, recorder, log, started: Instant::now() }
    }

    /// Shows what a commit put in force.
    pub fn publish(&self, state: &State, report: Option<&ReloadReport>) {
        self.page.replace(Arc::new(Page::of(state, report.cloned())));
    }

    /// Says what the process is doing.
    pub fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// What the process is doing.
    pub fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where every metric is.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Whether a load balancer should send traffic here.
    pub fn readiness(&self) -> Readiness {
        let reasons = match self.phase() {
            Phase::Starting => vec!["not all sockets are open yet".to_owned()],
            Phase::Serving => Vec::new(),
            Phase::Draining => vec!["draining: no new connections".to_owned()],
        };
        Readiness { ready: reasons.is_empty(), reasons }
    }

    /// The address that clients of the first socket of this purpose connect to.
    pub fn address(&self, purpose: Purpose) -> Option<SocketAddr> {
        let page = self.page.current();
        let socket = page.sockets.iter().find(|(socket, _)| socket.purpose == purpose);
        socket.map(|(_, actual)| *actual)
    }

    /// Where wishes for a reload go.
    pub fn reloads(&self) -> mpsc::Sender<ReloadRequest> {
        self.reloads.clone()
    }

    /// Opens the files of the application log again.
    pub fn reopen_logs(&self) {
        self.log.reopen();
    }

    /// Everything that is served, for people and tools.
    pub fn status(&self) -> Status {
        let page = self.page.snapshot();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            phase: self.phase(),
            workers: page.config.workers,
            uptime_seconds: self.started.elapsed().as_secs(),
            generation: page.generation,
            config_file: page.config_file.clone(),
            last_reload: page.last_reload.clone(),
            listeners: page.sockets.iter().map(listener_status).collect(),
            virtual_services: page
                .virtual_services
                .iter()
                .map(|s| service_status(s, &page))
                .collect(),
            certificates: page.certificates.iter().map(|slot| certificate_status(slot)).collect(),
            pools: page.pools.iter().map(|pool| pool_status(pool)).collect(),
            hsms: page.hsms.iter().map(|group| hsm_status(group)).collect(),
        }
    }
}

fn listener_status((socket, actual): &(Socket, SocketAddr)) -> ListenerStatus {
    ListenerStatus {
        virtual_service: socket.parent.to_string(),
        kind: socket.purpose.as_str().to_owned(),
        configured: socket.address.to_string(),
        actual: actual.to_string(),
    }
}

fn service_status(service: &VirtualService, page: &Page) -> VirtualServiceStatus {
    let config = &page.config.virtual_services[&service.name];
    VirtualServiceStatus {
        name: service.name.to_string(),
        parent: service.parent.as_ref().map(ToString::to_string),
        mode: service.mode_word().to_owned(),
        domains: service.domains.iter().map(DomainPattern::to_string).collect(),
        certificates: config.certificates.iter().map(ToString::to_string).collect(),
        tls_profile: config.tls_profile.to_string(),
        pool: match &service.target {
            Target::NoPool(_) => None,
            Target::Pool(pool) => Some(pool.name.to_string()),
        },
        active_connections: service.metrics.active_connections(),
    }
}

fn pool_status(pool: &Pool) -> PoolStatus {
    let endpoints = pool.endpoints().into_iter().map(|endpoint| EndpointStatus {
        address: endpoint.label().to_owned(),
        weight: endpoint.standing.weight(),
        state: endpoint.standing.state().as_str().to_owned(),
        in_flight: endpoint.standing.in_flight(),
    });
    let endpoints = endpoints.collect();
    PoolStatus { name: pool.name.to_string(), waiting: pool.waiting(), endpoints }
}

fn hsm_status(group: &Group) -> HsmStatus {
    let members = group.members().into_iter().map(|member| MemberStatus {
        name: member.name,
        state: if member.is_up { "up" } else { "down" }.to_owned(),
        seconds: member.since.as_secs(),
        problem: member.trouble.map(|trouble| trouble.to_string()),
    });
    HsmStatus { name: group.name().to_string(), members: members.collect() }
}

fn certificate_status(slot: &Certificate) -> CertificateStatus {
    let view = view(slot);
    let material = slot.material();
    let names = material.as_ref().map(|material| material.facts.names.iter());
    CertificateStatus {
        status: view.status(unix_now()).to_owned(),
        name: view.name.to_string(),
        key_type: view.key_type.to_owned(),
        common_name: view.common_name,
        names: names.into_iter().flatten().map(|name| name.to_string()).collect(),
        issuer: view.issuer,
        serial: view.serial,
        not_before: view.not_before,
        not_after: view.not_after,
        served_differs: view.served_differs,
        problem: slot.problem().map(|error| error.to_string()).or_else(|| {
            material.as_ref()?.token.as_ref()?.key.problem().map(|error| error.to_string())
        }),
    }
}

fn view(slot: &Certificate) -> CertificateView {
    let material = slot.material();
    let facts = material.as_ref().map(|material| &material.facts);
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    CertificateView {
        name: slot.name().clone(),
        key_type: facts.map_or("", |facts| facts.key_type().as_str()),
        not_before: facts.map_or(0, |facts| facts.not_before),
        not_after: facts.map_or(0, |facts| facts.not_after),
        common_name: text(facts.and_then(|facts| facts.common_name.as_deref())),
        issuer: text(facts.map(|facts| &*facts.issuer)),
        serial: text(facts.map(|facts| &*facts.serial)),
        served_differs: slot.on_disk() != OnDisk::Same,
        broken: facts.is_none(),
    }
}
