//! `portcullis hsm probe`: whether every key of the configuration signs at every member, and how fast.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::certificate::token_leaf::TokenLeaf;
use crate::cli::ConfigFile;
use crate::cli::hsm;
use crate::cli::table::table;
use crate::config;
use crate::config::Config;
use crate::config::certificate::KeySource;
use crate::hsm::Trouble;
use crate::hsm::ask;
use crate::hsm::key::TokenKey;
use crate::hsm::probing;
use crate::hsm::probing::Rate;
use crate::names::HsmName;

/// The verb.
#[derive(Debug, clap::Args)]
pub struct Probe {
    #[command(flatten)]
    config: ConfigFile,
    /// This group alone: the NAME of [hsm.NAME].
    #[arg(long, value_name = "NAME")]
    hsm: Option<HsmName>,
    /// How long each key signs at each member, one after the other, with the sessions of the configuration.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A key at a member, or what kept it from being there; the JSON has the same words.
#[derive(Debug, Default, Serialize)]
struct Row {
    hsm: String,
    member: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    r#type: Option<String>,
    sessions: usize,
    signatures_per_second: Option<f64>,
    p50_seconds: Option<f64>,
    p99_seconds: Option<f64>,
    problem: Option<String>,
}

/// A key that somebody has configured.
struct Wanted {
    certificate: String,
    key: Arc<TokenKey>,
}

impl Probe {
    /// 0 where every key signs at every member that should have it.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        hsm::with_config(&self.config, |config| {
            let groups = match &self.hsm {
                Some(name) => vec![hsm::group(&config, name)?],
                None => config.hsms.values().collect(),
            };
            let rows: Vec<Row> = groups.iter().flat_map(|hsm| self.group(&config, hsm)).collect();
            if self.json {
                println!("{}", serde_json::to_string_pretty(&rows)?);
            } else {
                let rows: Vec<_> = rows.iter().map(Row::cells).collect();
                // A closed pipe (`probe | head`) is not an error worth a message.
                drop(table(&mut std::io::stdout().lock(), HEAD, &rows));
            }
            let is_well = rows.iter().all(|row| row.problem.is_none());
            Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
    }

    fn group(&self, config: &Config, hsm: &Arc<config::hsm::Hsm>) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut wanted = Vec::new();
        for certificate in config.certificates.values() {
            let KeySource::Token { hsm: group, key } = &certificate.key else { continue };
            if *group != hsm.name {
                continue;
            }
            let name = certificate.name.to_string();
            match TokenLeaf::read(&certificate.chain) {
                Ok(leaf) => {
                    let public = leaf.public();
                    let members = &hsm.members;
                    let key =
                        TokenKey::new((**key).clone(), public.algorithm, public.bits, members);
                    wanted.push(Wanted { certificate: name, key: Arc::new(key) });
                }
                Err(error) => rows.push(Row {
                    certificate: Some(name),
                    key: Some(key.to_string()),
                    problem: Some(error.to_string()),
                    ..Row::of(hsm)
                }),
            }
        }
        for index in 0..hsm.members.len() {
            rows.extend(self.member(hsm, index, &wanted));
        }
        rows
    }

    fn member(&self, hsm: &Arc<config::hsm::Hsm>, index: usize, wanted: &[Wanted]) -> Vec<Row> {
        let member = &hsm.members[index];
        let row = || Row { member: Some(member.name.clone()), ..Row::of(hsm) };
        let shared = Arc::clone(hsm);
        let open = move || probing::open(&shared, &shared.members[index]);
        let mut sessions = match ask::one(ask::WITHIN, open) {
            Ok(sessions) => sessions,
            Err(trouble) => return vec![Row { problem: Some(trouble.to_string()), ..row() }],
        };
        let wanted = wanted.iter().filter(|wanted| wanted.key.may_be_in(member));
        let mut rows = Vec::new();
        for Wanted { certificate, key } in wanted {
            if std::io::stderr().is_terminal() {
                eprintln!("{}: {certificate}, {} s ..", member.name, self.seconds);
            }
            let rate;
            (sessions, rate) = match sessions.is_empty() {
                // All of them hang.
                true => (sessions, Err(Trouble::Hangs)),
                false => probing::measure(sessions, key, Duration::from_secs(self.seconds)),
            };
            rows.push(Row {
                certificate: Some(certificate.clone()),
                key: Some(key.selector.to_string()),
                r#type: Some(key.algorithm.to_string()),
                ..row().with(rate)
            });
        }
        // It has shown that one can log in.
        if rows.is_empty() { vec![row()] } else { rows }
    }
}

impl Row {
    fn of(hsm: &config::hsm::Hsm) -> Self {
        Self { hsm: hsm.name.to_string(), sessions: hsm.sessions, ..Self::default() }
    }

    fn with(self, rate: Result<Rate, Trouble>) -> Self {
        match rate {
            Ok(rate) => Self {
                signatures_per_second: Some(rate.per_second),
                p50_seconds: Some(rate.p50.as_secs_f64()),
                p99_seconds: Some(rate.p99.as_secs_f64()),
                ..self
            },
            Err(trouble) => Self { problem: Some(trouble.to_string()), ..self },
        }
    }

    fn cells(&self) -> [String; 9] {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let millis = |seconds: Option<f64>| {
            seconds.map(|seconds| format!("{:.2} ms", seconds * 1000.0)).unwrap_or_default()
        };
        let rate = self.signatures_per_second.map(|rate| format!("{rate:.0}"));
        [
            self.hsm.clone(),
            text(&self.member),
            text(&self.certificate),
            text(&self.r#type),
            self.sessions.to_string(),
            text(&rate),
            millis(self.p50_seconds),
            millis(self.p99_seconds),
            text(&self.problem),
        ]
    }
}

const HEAD: [&str; 9] =
    ["HSM", "MEMBER", "CERTIFICATE", "TYPE", "SESSIONS", "SIGNATURES/S", "P50", "P99", "PROBLEM"];
