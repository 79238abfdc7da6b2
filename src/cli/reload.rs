//! `portcullis reload`: have the running proxy read everything again, and say how it went.

use std::process::ExitCode;

use anyhow::Context;

use crate::cli::status::Admin;
use crate::runtime::report::ReloadOutcome;
use crate::runtime::report::ReloadReport;

/// The verb.
#[derive(Debug, clap::Args)]
pub struct Reload {
    #[command(flatten)]
    admin: Admin,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Reload {
    /// 0 where the configuration on disk is now in force; 1 where it was refused.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let body = self.admin.call("POST", "/reload", &[200, 422])?;
        let report: ReloadReport =
            serde_json::from_str(&body).context("the proxy's answer is not a reload report")?;
        if self.json {
            println!("{}", body);
        } else {
            print(&report);
        }
        Ok(match report.outcome {
            ReloadOutcome::Applied | ReloadOutcome::Unchanged => ExitCode::SUCCESS,
            ReloadOutcome::Refused => ExitCode::FAILURE,
        })
    }
}

fn print(report: &ReloadReport) {
    for complaint in &report.complaints {
        eprintln!("{}", complaint.rendered.trim_end());
    }
    match report.outcome {
        ReloadOutcome::Refused => {
            eprintln!("refused: nothing changed; the old configuration serves")
        }
        ReloadOutcome::Applied => println!("applied: {}", report.changes),
        ReloadOutcome::Unchanged => println!("nothing changed"),
    }
}
