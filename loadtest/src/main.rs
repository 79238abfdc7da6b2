//! The load test: Portcullis beside nginx and HAProxy, in one run, with the same work for all.
//!
//! A *contender* is a proxy as data (`contenders/*.toml`). A *scenario* takes *samples*: one proxy,
//! one round. Proxies take turns within a round, so that a machine that changes its speed changes
//! it for all; the headline is CPU time per unit of work, and ratios are taken within a round.
//! The proxy has one CPU to itself; this program, which is load generator and origin, the other.

mod bench;
mod contender;
mod history;
mod load;
mod measure;
mod options;
mod origin;
mod picture;
mod placement;
mod process;
mod relay_origin;
mod report;
mod results;
mod running;
mod scenario;
mod setting;
mod site;
mod token;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use anyhow::Result;
use clap::Parser;
use tokio::signal::unix;
use tokio::signal::unix::SignalKind;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::options::Options;
use crate::report::Report;
use crate::results::Results;
use crate::scenario::Scenario;
use crate::setting::Participant;
use crate::setting::Setting;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("portcullis-loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every sample succeeded.
fn run(options: &Options) -> Result<bool> {
    if options.list {
        for scenario in scenario::all() {
            println!("{:16} {}", scenario.name, scenario.about);
        }
        return Ok(true);
    }
    let report = match &options.from {
        Some(path) => Report::read(path)?,
        None => measure(options)?,
    };
    write(options, &report)?;
    Ok(report.results.failures.is_empty())
}

fn measure(options: &Options) -> Result<Report> {
    let scenarios = chosen_scenarios(options)?;
    let contenders = chosen_contenders(options)?;
    let participants = participants(&contenders)?;
    placement::raise_open_files();
    placement::raise_priority();
    let bench = Bench::new(options)?;

    let mut results = Results::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let finished = runtime.block_on(async {
        let mut interrupted = unix::signal(SignalKind::interrupt())?;
        let mut ended = unix::signal(SignalKind::terminate())?;
        tokio::select! {
            () = run_all(&scenarios, &bench, &contenders, &mut results) => Ok(true),
            _ = interrupted.recv() => Ok::<_, anyhow::Error>(false),
            _ = ended.recv() => Ok(false),
        }
    })?;
    if !finished {
        results.failures.push("interrupted".to_owned());
    }
    let placement = format!("{}, load and origin on CPU {}", bench.proxy_cpu, bench.load_cpu);
    let setting = Setting::new(&bench.sizes, options.quick, placement, participants);
    Ok(Report { setting, results })
}

async fn run_all(
    scenarios: &[Scenario],
    bench: &Bench,
    contenders: &[Contender],
    results: &mut Results,
) {
    for scenario in scenarios {
        scenario.run(bench, contenders, results).await;
    }
}

fn chosen_scenarios(options: &Options) -> Result<Vec<Scenario>> {
    let all = scenario::all();
    for name in &options.only {
        let is_known = all.iter().any(|scenario| scenario.name == name);
        anyhow::ensure!(is_known, "there is no scenario {name}; see --list");
    }
    let is_chosen = |scenario: &Scenario| {
        options.only.is_empty() || options.only.iter().any(|name| name == scenario.name)
    };
    Ok(all.into_iter().filter(is_chosen).collect())
}

fn chosen_contenders(options: &Options) -> Result<Vec<Contender>> {
    let mut contenders = Contender::built_in()?;
    for path in &options.contender {
        contenders.push(Contender::load(path)?);
    }
    for contender in &mut contenders {
        if contender.name == "portcullis" {
            let path = options.portcullis.clone().map_or_else(built_portcullis, Ok)?;
            contender.program = std::path::absolute(path)?.display().to_string();
        }
    }
    for name in &options.without {
        let is_known = contenders.iter().any(|contender| contender.name == *name);
        anyhow::ensure!(is_known, "there is no contender {name}");
    }
    contenders.retain(|contender| !options.without.contains(&contender.name));
    anyhow::ensure!(!contenders.is_empty(), "no contender is left");
    Ok(contenders)
}

/// Beside the directory of this very program, in `dist`.
fn built_portcullis() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(|directory| directory.parent());
    Ok(target.context("no target directory")?.join("dist").join("portcullis"))
}

/// Who takes part, with versions; all that is missing is said at once.
fn participants(contenders: &[Contender]) -> Result<Vec<Participant>> {
    let mut found = Vec::new();
    let mut missing = String::new();
    for contender in contenders {
        match contender.version() {
            Ok(version) => found.push(Participant::new(contender, version)),
            Err(error) => missing.push_str(&format!("\n  {}: {error:#}", contender.title)),
        }
    }
    let packages: Vec<&str> = contenders
        .iter()
        .filter(|contender| contender.program_path().is_err())
        .filter_map(|contender| contender.package.as_deref())
        .collect();
    if !packages.is_empty() {
        missing.push_str(&format!("\ninstall with: apt-get install {}", packages.join(" ")));
    }
    anyhow::ensure!(
        missing.is_empty(),
        "not everything is here (build Portcullis with `cargo build --profile dist`, or leave \
         a proxy out with --without NAME):{missing}"
    );
    Ok(found)
}

fn write(options: &Options, report: &Report) -> Result<()> {
    let table = report.markdown();
    println!("{table}");
    if let Some(path) = &options.markdown {
        write_file(path, &table)?;
    }
    if let Some(path) = &options.json {
        write_file(path, &serde_json::to_string_pretty(report)?)?;
    }
    if let Some(path) = &options.picture {
        write_file(path, &picture::svg(report)?)?;
    }
    if let Some(path) = &options.history {
        history::append(path, report)?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
