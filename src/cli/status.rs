//! `portcullis status`: what the running proxy serves.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;

use crate::admin::client;
use crate::cli::table::table;
use crate::config;
use crate::config::Config;
use crate::config::admin::AdminListen;
use crate::runtime::status;
use crate::tls::acceptor::unix_now;

/// The verb.
#[derive(Debug, clap::Args)]
pub struct Status {
    #[command(flatten)]
    admin: Admin,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

/// Which running proxy is meant.
#[derive(Debug, clap::Args)]
pub struct Admin {
    /// The admin address: `127.0.0.1:9901` or `unix:PATH`.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Take the admin address from this configuration file.
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
}

impl Admin {
    /// Calls the admin and gives back the body of an answer with one of these status codes.
    pub fn call(&self, method: &str, path: &str, expected: &[u16]) -> anyhow::Result<String> {
        let listen = self.listen()?;
        let answer = client::call(&listen, method, path, WITHIN)?;
        if !expected.contains(&answer.status) {
            bail!("the proxy at {listen} answered {}: {}", answer.status, answer.body);
        }
        Ok(answer.body)
    }

    fn listen(&self) -> anyhow::Result<AdminListen> {
        if let Some(address) = &self.admin {
            return AdminListen::parse(address).context("--admin needs an address");
        }
        let Some(file) = &self.config else { return Ok(config::admin::Admin::default().listen) };
        match Config::load(file) {
            Ok(loaded) => Ok(loaded.config.admin.listen),
            Err(complaints) => bail!("{}\n{}", file.display(), complaints.render(false)),
        }
    }
}

impl Status {
    /// Prints tables for people, or JSON.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let body = self.admin.call("GET", "/status", &[200])?;
        if self.json {
            println!("{}", body);
            return Ok(ExitCode::SUCCESS);
        }
        let status: status::Status =
            serde_json::from_str(&body).context("the proxy's answer is not a status")?;
        // A closed pipe (`status | head`) is not an error worth a message.
        drop(print(&status));
        Ok(ExitCode::SUCCESS)
    }
}

fn print(status: &status::Status) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let phase = format!("{:?}", status.phase).to_lowercase();
    writeln!(
        out,
        "portcullis {} (pid {}), {phase}, up {} s, {} workers, generation {} of {}\n",
        status.version,
        status.pid,
        status.uptime_seconds,
        status.workers,
        status.generation,
        status.config_file
    )?;
    let listeners = status.listeners.iter().map(|listener| {
        [&listener.actual, &listener.kind, &listener.virtual_service].map(Clone::clone)
    });
    table(&mut out, ["LISTENER", "KIND", "VIRTUAL SERVICE"], &listeners.collect::<Vec<_>>())?;
    let services = status.virtual_services.iter().map(|service| {
        [
            service.name.clone(),
            service.parent.clone().unwrap_or_default(),
            service.mode.clone(),
            service.tls_profile.clone(),
            service.pool.clone().unwrap_or_default(),
            service.active_connections.to_string(),
            service.certificates.join(", "),
            service.domains.join(", "),
        ]
    });
    let head =
        ["VIRTUAL SERVICE", "PARENT", "MODE", "PROFILE", "POOL", "OPEN", "CERTIFICATES", "DOMAINS"];
    table(&mut out, head, &services.collect::<Vec<_>>())?;
    pools(&mut out, status)?;
    tokens(&mut out, status)?;
    let certificates = status.certificates.iter().map(|certificate| {
        let days = (certificate.not_after - unix_now()) / 86_400;
        let disk = if certificate.served_differs { "differs" } else { "same" };
        [
            certificate.name.clone(),
            certificate.status.clone(),
            certificate.key_type.clone(),
            days.to_string(),
            disk.to_owned(),
            certificate.names.join(", "),
            certificate.problem.clone().unwrap_or_default(),
        ]
    });
    let head = ["CERTIFICATE", "STATUS", "KEY", "DAYS LEFT", "ON DISK", "NAMES", "PROBLEM"];
    table(&mut out, head, &certificates.collect::<Vec<_>>())
}

fn pools(out: &mut impl Write, status: &status::Status) -> std::io::Result<()> {
    let rows = status.pools.iter().flat_map(|pool| {
        pool.endpoints.iter().map(|endpoint| {
            [
                pool.name.clone(),
                endpoint.address.clone(),
                endpoint.weight.to_string(),
                endpoint.state.clone(),
                endpoint.in_flight.to_string(),
                pool.waiting.to_string(),
            ]
        })
    });
    let head = ["POOL", "ENDPOINT", "WEIGHT", "STATE", "IN FLIGHT", "WAITING"];
    table(out, head, &rows.collect::<Vec<_>>())
}

/// Nothing where there are none: few have any.
fn tokens(out: &mut impl Write, status: &status::Status) -> std::io::Result<()> {
    let rows = status.hsms.iter().flat_map(|group| {
        group.members.iter().map(|member| {
            [
                group.name.clone(),
                member.name.clone(),
                member.state.clone(),
                format!("{} s", member.seconds),
                member.problem.clone().unwrap_or_default(),
            ]
        })
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    table(out, ["HSM", "MEMBER", "STATE", "FOR", "PROBLEM"], &rows)
}

/// Longer than a reload of 10,000 sites takes.
const WITHIN: Duration = Duration::from_secs(60);
