//! `portcullis hsm self-sign`: a certificate that nobody vouches for, signed in the token.

use std::process::ExitCode;

use crate::certificate::request;
use crate::cli::hsm;
use crate::cli::hsm::KeyArguments;
use crate::cli::output::Output;
use crate::cli::subject::SubjectArguments;

/// The verb.
#[derive(Debug, clap::Args)]
pub struct SelfSign {
    #[command(flatten)]
    key: KeyArguments,
    #[command(flatten)]
    subject: SubjectArguments,
    /// For how many days it is valid.
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    #[command(flatten)]
    output: Output,
}

impl SelfSign {
    /// Prints the certificate as PEM.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let subject = self.subject.subject()?;
        self.output.check()?;
        hsm::with_config(&self.key.config, |config| {
            let group = hsm::group(&config, &self.key.hsm)?;
            let (member, key) = hsm::find_key(group, &self.key.selector())?;
            self.output.write(&request::self_signed(&subject, &key, self.days)?)?;
            eprintln!("signed by {} with its {} key", member.name, key.public().algorithm);
            Ok(ExitCode::SUCCESS)
        })
    }
}
