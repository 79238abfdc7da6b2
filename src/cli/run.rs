//! `portcullis run`: serve what a configuration file says.

use std::fs::File;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;
use thiserror::Error;
use tokio::runtime::Builder;

use crate::admin;
use crate::admin::AdminError;
use crate::admin::AdminListener;
use crate::admin::AdminState;
use crate::cli::ConfigFile;
use crate::cli::INVALID_CONFIGURATION;
use crate::config::Config;
use crate::config::admin::AdminListen;
use crate::runtime::control::Control;
use crate::runtime::fault::Fault;
use crate::runtime::handle::Handle;
use crate::runtime::identity;
use crate::runtime::identity::Identity;
use crate::runtime::inherited::Inherited;
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

/// Why nothing is served.
#[derive(Debug, Error)]
enum NotStarted {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Serves a configuration file; `when_ready` is called once everything listens.
pub fn serve(file: &Path, when_ready: impl FnOnce(&Addresses)) -> anyhow::Result<ExitCode> {
    // Before any file is opened, which would get one of their numbers.
    let inherited = Inherited::take_over()?;
    let loaded = match Config::load(file) {
        Ok(loaded) => loaded,
        Err(complaints) => {
            eprint!("{}", complaints.render(std::io::stderr().is_terminal()));
            return Ok(ExitCode::from(INVALID_CONFIGURATION));
        }
    };
    let config = loaded.config;
    // Before any key is read and any thread is started.
    let identity = match identity::assume(&config.process) {
        Ok(identity) => identity,
        Err(error) if error.is_configuration() => {
            eprintln!("portcullis: {error}");
            return Ok(ExitCode::from(INVALID_CONFIGURATION));
        }
        Err(error) => return Err(error.into()),
    };
    // Kept to the end: dropping it writes what is still on its way.
    let messages = operational::init(config.log.level, config.log.format)?;
    for warning in loaded.warnings.iter() {
        tracing::warn!("{}", warning.one_line());
    }
    introduce(&identity, &config);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (control, door) = match start(file, config, inherited) {
            Ok(started) => started,
            Err(error) => return refuse(error, &identity),
        };
        let handle = control.handle();
        messages.count_in(handle.recorder());
        let addresses = Addresses { tls: handle.address(Purpose::Tls), admin: door.address() };
        tokio::spawn(admin::serve(door, Arc::new(admin_state(&handle))));
        when_ready(&addresses);
        control.run().await.context("the control plane stopped")?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Says as whom the process goes on, and what that user may not do.
fn introduce(identity: &Identity, config: &Config) {
    match identity {
        Identity::Starter => {}
        Identity::Root => tracing::warn!(
            "runs as root; `user` in [process] says whom to become before keys are read and sockets opened"
        ),
        Identity::User { name, uid } => {
            tracing::info!(user = name, uid, "runs as this user");
            for file in config.files.iter().filter(|file| File::open(file).is_err()) {
                let file = file.display();
                tracing::warn!(%file, user = name, "this user cannot read the configuration: reloads will fail");
            }
        }
    }
}

/// Opens the door of the operator and puts the configuration in force.
fn start(
    file: &Path,
    config: Config,
    mut inherited: Inherited,
) -> Result<(Control, AdminListener), NotStarted> {
    // Before anything else: a second instance must not get as far as the sites' sockets.
    let listen = config.admin.listen.clone();
    let door = match AdminListener::passed(&listen, &mut inherited) {
        Some(door) => door,
        None => AdminListener::bind(&listen)?,
    };
    let control = start::start(file, config, inherited)?;
    tracing::info!(configured = %listen, address = %door.address(), kind = "admin", "listening");
    Ok((control, door))
}

fn refuse(error: NotStarted, identity: &Identity) -> anyhow::Result<ExitCode> {
    let faults = match error {
        NotStarted::Start(StartError::Faults(faults)) => faults,
        NotStarted::Start(error) => bail!("{:#}{}", anyhow::Error::from(error), identity.suffix()),
        NotStarted::Admin(error) => bail!("{error}{}", identity.suffix()),
    };
    for fault in &faults {
        tracing::error!("{fault}{}", identity.suffix());
    }
    let is_invalid = faults.iter().any(Fault::is_configuration);
    Ok(ExitCode::from(if is_invalid { INVALID_CONFIGURATION } else { 1 }))
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
