//! From a checked configuration to a proxy that serves: what is set up once, then the first commit.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use rustix::process::Resource;
use rustix::process::Rlimit;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::runtime::control::Control;
use crate::runtime::fault::Fault;
use crate::runtime::handle::Handle;
use crate::runtime::inherited::Inherited;
use crate::runtime::panics;
use crate::runtime::prepare::Tolerance;
use crate::runtime::reload::State;
use crate::runtime::running::Process;
use crate::runtime::running::Tokens;
use crate::runtime::worker::Worker;
use crate::service::handshakes::AllHandshakes;
use crate::telemetry::app_log::AppLog;
use crate::telemetry::app_log::AppLogError;
use crate::telemetry::process_metrics;
use crate::telemetry::recorder::Recorder;
use crate::telemetry::reload_metrics::CertificateReloads;
use crate::telemetry::reload_metrics::ReloadMetrics;
use crate::tls::ticket_secret::TicketSecret;
use crate::tls::ticket_secret::TicketSecretError;
use crate::tls::tickets::Period;

/// Why nothing was started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The application log's thread or file.
    #[error("cannot start the application log")]
    AppLog(#[from] AppLogError),
    /// Certificates, profiles, pools or addresses that cannot be used.
    #[error("{}", list(.0))]
    Faults(Vec<Fault>),
    /// The directory for what must survive a restart.
    #[error("cannot make the state directory {}", path.display())]
    StateDirectory {
        /// As configured.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The secret that ticket keys are derived from.
    #[error("cannot read the ticket secret")]
    Tickets(#[from] TicketSecretError),
    /// A thread of the data plane.
    #[error("cannot start a worker")]
    Worker(#[source] io::Error),
}

/// Starts workers and puts the first configuration in force. Everything listens when this returns.
pub fn start(path: &Path, config: Config, inherited: Inherited) -> Result<Control, StartError> {
    let process = process(&config, inherited)?;
    process_metrics::collect(&process.recorder, config.workers);
    let mut state = State::new(path.to_owned(), process);
    state.first(&Arc::new(config), Tolerance::EmptySlots).map_err(StartError::Faults)?;
    state.process.inherited.get_mut().unwrap_or_else(PoisonError::into_inner).close_rest();
    let (sender, reloads) = mpsc::channel(REQUESTS);
    let handle = Handle::new(sender, &state);
    Ok(Control::new(Box::new(state), reloads, handle))
}

/// Puts a configuration together as a start would, without sockets, workers or files of its own:
/// for `explain` and `check --deep`, which so answer with the code that serves.
pub fn rehearse(config: Config, tokens: Tokens) -> Result<State, StartError> {
    let recorder = Recorder::new(&config.metrics);
    let process = Process {
        log: AppLog::start(0, &recorder)?,
        reloads: ReloadMetrics::new(&recorder),
        certificate_reloads: CertificateReloads::new(&recorder),
        recorder,
        tickets: TicketSecret::generate(Period::from(&config.tickets))?,
        handshakes: Arc::new(AllHandshakes::new(&config.limits, 0)),
        tokens,
        connections: Arc::new(Semaphore::new(1)),
        max_connections: 1,
        workers: Vec::new(),
        inherited: Mutex::default(),
    };
    let mut state = State::new(PathBuf::new(), process);
    state.first(&Arc::new(config), Tolerance::Nothing).map_err(StartError::Faults)?;
    Ok(state)
}

fn process(config: &Config, inherited: Inherited) -> Result<Process, StartError> {
    let descriptors = raise_descriptor_limit();
    let recorder = Recorder::new(&config.metrics);
    panics::watch(&recorder);
    let log = AppLog::start(config.workers, &recorder)?;
    let tickets = ticket_secret(config)?;
    let max_connections = max_connections(config.limits.connections, descriptors);
    let workers = (0..config.workers).map(|number| Worker::start(number, Arc::clone(&log)));
    Ok(Process {
        workers: workers.collect::<io::Result<_>>().map_err(StartError::Worker)?,
        handshakes: Arc::new(AllHandshakes::new(&config.limits, config.workers)),
        tokens: Tokens::Use,
        connections: Arc::new(Semaphore::new(max_connections as usize)),
        max_connections,
        reloads: ReloadMetrics::new(&recorder),
        certificate_reloads: CertificateReloads::new(&recorder),
        recorder,
        log,
        tickets,
        inherited: Mutex::new(inherited),
    })
}

fn ticket_secret(config: &Config) -> Result<TicketSecret, StartError> {
    let path = &config.state_dir;
    fs::create_dir_all(path)
        .map_err(|source| StartError::StateDirectory { path: path.clone(), source })?;
    Ok(TicketSecret::load(&config.tickets, path, config.process.world_readable_keys)?)
}

/// The soft limit is what a shell had in mind; the hard limit is what the operator allows.
fn raise_descriptor_limit() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if rustix::process::setrlimit(Resource::Nofile, raised).is_ok() {
        hard
    } else {
        limit.current.unwrap_or(hard)
    }
}

/// Each client connection may need an upstream one; the rest is for files, the log and the admin.
/// Who knows that fewer will, because endpoints speak HTTP/2 for instance, may have more, but never so
/// many that none is left for an endpoint.
fn max_connections(wanted: usize, descriptors: u64) -> u32 {
    let connections =
        |number: u64| u32::try_from(number).unwrap_or(MAX_CONNECTIONS).clamp(1, MAX_CONNECTIONS);
    let free = descriptors - KEPT_BACK.min(descriptors / 2);
    let (carried, most) = (connections(free / 2), connections(free));
    if wanted == 0 {
        return carried;
    }
    let used = connections(wanted as u64).min(most);
    if wanted > carried as usize {
        tracing::warn!(
            wanted,
            used,
            carried,
            "limits.connections is more than the open file limit carries (LimitNOFILE)"
        );
    }
    used
}

fn list(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Descriptors for everything but connections; of a few, half.
const KEPT_BACK: u64 = 128;

/// More sockets than one machine has memory for.
const MAX_CONNECTIONS: u32 = 10_000_000;

/// Requests of the admin that wait while a reload works.
const REQUESTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_endpoints_and_files() {
        assert_eq!(max_connections(0, 1024), 448);
        assert_eq!(max_connections(100, 1024), 100);
        assert_eq!(max_connections(500, 1024), 500, "as it was wanted");
        assert_eq!(max_connections(100_000, 1024), 896, "some are left");
        assert_eq!(max_connections(0, 64), 16);
        assert_eq!(max_connections(1000, 64), 32);
        assert_eq!(max_connections(0, 0), 1);
        assert_eq!(max_connections(0, u64::MAX), MAX_CONNECTIONS);
        assert_eq!(max_connections(usize::MAX, u64::MAX), MAX_CONNECTIONS);
    }
}
