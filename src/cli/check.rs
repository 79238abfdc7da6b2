//! `portcullis check`: every complaint about a configuration, with file, line and caret.

use std::io::IsTerminal;
use std::process::ExitCode;

use crate::cli::ConfigFile;
use crate::cli::INVALID_CONFIGURATION;
use crate::config::Config;
use crate::hsm;
use crate::runtime::identity;
use crate::runtime::running::Tokens;
use crate::runtime::start;
use crate::runtime::start::StartError;

/// The verb.
#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Also load every certificate, key, CA and CRL, as a start would.
    #[arg(long)]
    deep: bool,
}

impl Check {
    /// Prints all complaints; 78 where one of them keeps the proxy from starting.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let color = std::io::stderr().is_terminal();
        let loaded = match Config::load(self.config.path()) {
            Ok(loaded) => loaded,
            Err(complaints) => {
                eprint!("{}", complaints.render(color));
                return Ok(ExitCode::from(INVALID_CONFIGURATION));
            }
        };
        eprint!("{}", loaded.warnings.render(color));
        if let Err(error) = identity::account(&loaded.config.process) {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(INVALID_CONFIGURATION));
        }
        let services = loaded.config.virtual_services.len();
        let certificates = loaded.config.certificates.len();
        if self.deep {
            match start::rehearse(loaded.config, Tokens::Check) {
                Ok(state) => {
                    for warning in state.warnings() {
                        eprintln!("warning: {warning}");
                    }
                    hsm::stop(&state.running.hsms.into_values().collect::<Vec<_>>());
                }
                Err(StartError::Faults(faults)) => {
                    for fault in &faults {
                        eprintln!("error: {fault}");
                    }
                    return Ok(ExitCode::from(INVALID_CONFIGURATION));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let depth = if self.deep { ", files included" } else { "" };
        println!(
            "{}: valid{depth}: {services} virtual services, {certificates} certificates",
            self.config.path().display()
        );
        Ok(ExitCode::SUCCESS)
    }
}
