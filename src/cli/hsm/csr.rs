//! `portcullis hsm csr`: a request for a CA, signed in the token.

use std::process::ExitCode;

use crate::certificate::request;
use crate::cli::hsm;
use crate::cli::hsm::KeyArguments;
use crate::cli::output::Output;
use crate::cli::subject::SubjectArguments;

/// The verb.
#[derive(Debug, clap::Args)]
pub struct Csr {
    #[command(flatten)]
    key: KeyArguments,
    #[command(flatten)]
    subject: SubjectArguments,
    #[command(flatten)]
    output: Output,
}

impl Csr {
    /// Prints the request as PEM.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let subject = self.subject.subject()?;
        self.output.check()?;
        hsm::with_config(&self.key.config, |config| {
            let group = hsm::group(&config, &self.key.hsm)?;
            let (member, key) = hsm::find_key(group, &self.key.selector())?;
            self.output.write(&request::request(&subject, &key)?)?;
            eprintln!("signed by {} with its {} key", member.name, key.public().algorithm);
            Ok(ExitCode::SUCCESS)
        })
    }
}
