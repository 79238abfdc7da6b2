//! The command line, and the sizes that follow from it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Compares Portcullis with nginx and HAProxy in one run on this machine.
#[derive(Debug, Parser)]
#[command(name = "portcullis-loadtest", version)]
pub struct Options {
    /// The Portcullis to measure [default: portcullis in the `dist` directory of the build]
    #[arg(long, value_name = "PATH")]
    pub portcullis: Option<PathBuf>,
    /// Another proxy, as a file in the shape of loadtest/contenders/nginx.toml; may be repeated
    #[arg(long, value_name = "FILE")]
    pub contender: Vec<PathBuf>,
    /// Leaves out a proxy by its name; may be repeated
    #[arg(long, value_name = "NAME")]
    pub without: Vec<String>,
    /// Runs only this scenario; may be repeated (see --list)
    #[arg(long, value_name = "SCENARIO")]
    pub only: Vec<String>,
    /// Lists the scenarios
    #[arg(long)]
    pub list: bool,
    /// Short rounds and small numbers: a smoke test, no figures to quote
    #[arg(long)]
    pub quick: bool,
    /// Rounds of the traffic scenarios [default: 7, quick: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// Seconds that are measured in a round [default: 3, quick: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60))]
    pub seconds: Option<u32>,
    /// Certificates of the scenario with many [default: 10000, quick: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub certificates: Option<u32>,
    /// Idle connections of the memory scenarios [default: 10000, quick: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=15_000))]
    pub connections: Option<u32>,
    /// Reloads under load [default: 100, quick: 6]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub reloads: Option<u32>,
    /// The CPU of the proxy
    #[arg(long, value_name = "CPU", default_value_t = 0)]
    pub proxy_cpu: usize,
    /// The CPU of the load generator and of the origin
    #[arg(long, value_name = "CPU", default_value_t = 1)]
    pub load_cpu: usize,
    /// Also writes the table to this file
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Also writes every value of every round to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also draws the CPU costs, relative to nginx, into this file (SVG)
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// Also appends the ratios to nginx to this page, as a row (see loadtest/HISTORY.md)
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Measures nothing, and shows what an earlier run has written with --json
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "list", "only", "quick"])]
    pub from: Option<PathBuf>,
    /// Keeps configurations, certificates and logs, and says where
    #[arg(long)]
    pub keep: bool,
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Rounds of traffic scenarios.
    pub rounds: u32,
    /// Rounds of the scenarios that start a proxy for each sample and take long.
    pub lifecycle_rounds: u32,
    /// What is measured in a round.
    pub window: Duration,
    /// Load before the measured part.
    pub warm_up: Duration,
    pub certificates: u32,
    pub connections: u32,
    /// Wait between the last answer on idle connections and the look at the memory.
    pub idle_wait: Duration,
    pub reloads: u32,
}

impl Options {
    /// Sizes from the defaults and what overrides them.
    pub fn sizes(&self) -> Sizes {
        let pick = |value: Option<u32>, full, quick| {
            value.unwrap_or(if self.quick { quick } else { full })
        };
        let rounds = pick(self.rounds, 7, 2);
        Sizes {
            rounds,
            lifecycle_rounds: rounds.min(if self.quick { 1 } else { 3 }),
            window: Duration::from_secs(pick(self.seconds, 3, 1).into()),
            warm_up: Duration::from_millis(if self.quick { 200 } else { 500 }),
            certificates: pick(self.certificates, 10_000, 1_000),
            connections: pick(self.connections, 10_000, 1_000),
            idle_wait: Duration::from_secs(if self.quick { 1 } else { 3 }),
            reloads: pick(self.reloads, 100, 6),
        }
    }
}
