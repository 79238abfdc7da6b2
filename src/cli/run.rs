//! `portcullis run`: serve what a configuration file says.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Builder;

use crate::admin;
use crate::admin::AdminListener;
use crate::admin::AdminState;
use crate::cli::ConfigFile;
use crate::cli::INVALID_CONFIGURATION;
use crate::config::Config;
use crate::config::admin::AdminListen;
use crate::runtime::fault::Fault;
use crate::runtime::handle::Handle;
use crate::runtime::plan::Purpose;
use crate::runtime::start;
use crate::runtime::start::StartError;
use crate::telemetry::operational;

/// The verb.
#[derive(Debug, clap::Args)]
pub struct Run {
    #[command(flatten)]
    config: ConfigFile,
}

/// Where a started proxy can be reached.
#[derive(Debug)]
pub struct Addresses {
    /// The first TLS listener.
    pub tls: Option<SocketAddr>,
    /// The admin.
    pub admin: AdminListen,
}

impl Run {
    /// Runs until it is told to stop.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        serve(self.config.path(), |_| ())
    }
}

/// Serves a configuration file; `when_ready` is called once everything listens.
pub fn serve(file: &Path, when_ready: impl FnOnce(&Addresses)) -> anyhow::Result<ExitCode> {
    let loaded = match Config::load(file) {
        Ok(loaded) => loaded,
        Err(complaints) => {
            eprint!("{}", complaints.render(std::io::stderr().is_terminal()));
            return Ok(ExitCode::from(INVALID_CONFIGURATION));
        }
    };
    let config = loaded.config;
    // Kept to the end: dropping it writes what is still on its way.
    let messages = operational::init(config.log.level, config.log.format)?;
    for warning in loaded.warnings.iter() {
        tracing::warn!("{}", warning.one_line());
    }

    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before anything else: a second instance must not get as far as the sites' sockets.
        let door = AdminListener::bind(&config.admin.listen)?;
        let configured = config.admin.listen.to_string();
        let control = match start::start(file, config) {
            Ok(control) => control,
            Err(StartError::Faults(faults)) => {
                for fault in &faults {
                    tracing::error!("{fault}");
                }
                let is_invalid = faults.iter().any(Fault::is_configuration);
                let code = if is_invalid { INVALID_CONFIGURATION } else { 1 };
                return Ok(ExitCode::from(code));
            }
            Err(error) => return Err(error.into()),
        };
        let handle = control.handle();
        messages.count_in(handle.recorder());
        let addresses = Addresses { tls: handle.address(Purpose::Tls), admin: door.address() };
        tracing::info!(configured, address = %addresses.admin, kind = "admin", "listening");
        tokio::spawn(admin::serve(door, Arc::new(admin_state(&handle))));
        when_ready(&addresses);
        control.run().await.context("the control plane stopped")?;
        Ok(ExitCode::SUCCESS)
    })
}

fn admin_state(handle: &Handle) -> AdminState {
    let (status, readiness, logs) = (handle.clone(), handle.clone(), handle.clone());
    AdminState {
        recorder: handle.recorder().clone(),
        status: Arc::new(move || status.status()),
        readiness: Arc::new(move || readiness.readiness()),
        reload: handle.reloads(),
        reopen_logs: Arc::new(move || logs.reopen_logs()),
    }
}
