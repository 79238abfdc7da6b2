//! The operator's words: one file for each verb.
//!
//! Must not know sockets or rustls: it reads arguments, calls the library and says what happened.

pub mod check;
pub mod demo;
pub mod demo_origin;
pub mod explain;
pub mod hsm;
pub mod output;
pub mod reload;
pub mod run;
pub mod serve;
pub mod status;
pub mod subject;
pub mod table;
pub mod throw_away;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;

use crate::hsm::leave;
use crate::runtime::hardening;

/// A TLS front door: one listener, many sites.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve what a configuration file says, until told to stop.
    ///
    /// SIGHUP reloads, SIGUSR1 re-opens log files, SIGTERM drains; a second SIGTERM cuts.
    Run(run::Run),
    /// Read a configuration file and print every complaint, each with file, line and caret.
    Check(check::Check),
    /// Have the running proxy read its configuration and certificates again.
    Reload(reload::Reload),
    /// Show what the running proxy serves.
    Status(status::Status),
    /// Say which service, certificate, version, suite and group a client would get, and why.
    Explain(explain::Explain),
    /// Keys in PKCS#11 tokens: list, generate, csr, self-sign, delete, probe.
    Hsm(Box<hsm::Hsm>),
    /// Two sites, both key types, metrics: everything made up on the spot, nothing to prepare.
    Demo(demo::Demo),
    /// Put TLS with a self-signed certificate in front of one address.
    Serve(serve::Serve),
    /// Print the completion script of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// The configuration file, where a verb needs one.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = DEFAULT_CONFIG)]
    positional: PathBuf,
    /// The configuration file, for those who like to name it.
    #[arg(long = "config", value_name = "FILE", conflicts_with = "positional")]
    named: Option<PathBuf>,
}

impl ConfigFile {
    /// The path, however it was given.
    pub fn path(&self) -> &std::path::Path {
        self.named.as_deref().unwrap_or(&self.positional)
    }
}

/// Runs the verb of the command line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Before any verb reads a key.
    if let Err(error) = hardening::protect() {
        eprintln!("portcullis: {error}");
    }
    let done = match arguments.verb {
        Verb::Run(verb) => verb.run(),
        Verb::Check(verb) => verb.run(),
        Verb::Reload(verb) => verb.run(),
        Verb::Status(verb) => verb.run(),
        Verb::Explain(verb) => verb.run(),
        Verb::Hsm(verb) => verb.run(),
        Verb::Demo(verb) => verb.run(),
        Verb::Serve(verb) => verb.run(),
        Verb::Completions { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "portcullis", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    leave(done.unwrap_or_else(|error| {
        eprintln!("portcullis: {error:#}");
        ExitCode::FAILURE
    }))
}

/// EX_CONFIG of sysexits.h: systemd names it, and `RestartPreventExitStatus=78` ends a restart loop.
pub const INVALID_CONFIGURATION: u8 = 78;

const DEFAULT_CONFIG: &str = "/etc/portcullis/portcullis.toml";
