//! Where, when and how results came to be.

use std::process::Command;

use serde::Deserialize;
use serde::Serialize;
use time::OffsetDateTime;

use crate::contender::Contender;
use crate::options::Sizes;

/// What a reader needs to know of a run.
#[derive(Debug, Deserialize, Serialize)]
pub struct Setting {
    /// The day on which it ended, in UTC.
    pub date: String,
    /// What the working directory had checked out; "dirty" with changes.
    pub commit: String,
    pub machine: String,
    pub kernel: String,
    pub placement: String,
    pub contenders: Vec<Participant>,
    pub rounds: u32,
    /// Rounds of scenarios that start a proxy for each sample.
    pub lifecycle_rounds: u32,
    pub seconds: f64,
    pub certificates: u32,
    pub connections: u32,
    pub reloads: u32,
    pub quick: bool,
}

/// A proxy that took part.
#[derive(Debug, Deserialize, Serialize)]
pub struct Participant {
    pub name: String,
    /// For the table.
    pub title: String,
    pub version: String,
}

impl Participant {
    pub fn new(contender: &Contender, version: String) -> Self {
        Self { name: contender.name.clone(), title: contender.title.clone(), version }
    }
}

impl Setting {
    pub fn new(
        sizes: &Sizes,
        quick: bool,
        placement: String,
        contenders: Vec<Participant>,
    ) -> Self {
        Self {
            date: OffsetDateTime::now_utc().date().to_string(),
            commit: commit(),
            machine: machine(),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            placement,
            contenders,
            rounds: sizes.rounds,
            lifecycle_rounds: sizes.lifecycle_rounds,
            seconds: sizes.window.as_secs_f64(),
            certificates: sizes.certificates,
            connections: sizes.connections,
            reloads: sizes.reloads,
            quick,
        }
    }
}

/// Outside of a repository there is none.
fn commit() -> String {
    let output =
        Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*"]).output();
    output.ok().filter(|output| output.status.success()).map_or("unknown".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown CPU", |(_, model)| model.trim());
    let count = text.lines().filter(|line| line.starts_with("processor")).count();
    format!("{count} CPUs, {model}")
}

fn first_line(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
impl Setting {
    /// For tests of what is made of it.
    pub fn example() -> Self {
        let participant = |name: &str| Participant {
            name: name.to_owned(),
            title: name.to_uppercase(),
            version: "1".to_owned(),
        };
        Self {
            date: "2026-01-02".to_owned(),
            commit: "abc".to_owned(),
            machine: "here".to_owned(),
            kernel: "6".to_owned(),
            placement: "0".to_owned(),
            contenders: ["portcullis", "nginx", "haproxy"].map(participant).into(),
            rounds: 3,
            lifecycle_rounds: 3,
            seconds: 1.0,
            certificates: 1,
            connections: 1,
            reloads: 1,
            quick: false,
        }
    }
}
