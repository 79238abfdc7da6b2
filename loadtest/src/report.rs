//! The results as a Markdown table and as JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::results::Results;
use crate::results::Role;
use crate::results::Row;
use crate::results::Unit;
use crate::setting::Participant;
use crate::setting::Setting;

/// Setting and results, as they go to JSON.
#[derive(Deserialize, Serialize)]
pub struct Report {
    pub setting: Setting,
    pub results: Results,
}

impl Report {
    /// The report of an earlier run.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    /// A table with one row for each value; in brackets the ratio to nginx in the same rounds.
    pub fn markdown(&self) -> String {
        let contenders = &self.setting.contenders;
        let rows: Vec<&Row> =
            self.results.rows.iter().filter(|row| row.role != Role::Detail).collect();
        let has_subject = contenders.iter().any(|contender| contender.name == SUBJECT);
        let rivals: Vec<&str> = RIVALS
            .into_iter()
            .filter(|rival| contenders.iter().any(|c| c.name == *rival))
            .collect();
        let with_best = has_subject && rivals.len() > 1;

        let mut text = String::from("| |");
        let mut line = String::from("|---|");
        for contender in contenders {
            let _ = write!(text, " {} |", contender.title);
            line.push_str("---:|");
        }
        if with_best {
            text.push_str(" to the better of nginx and HAProxy |");
            line.push_str("---:|");
        }
        let _ = writeln!(text, "\n{line}");
        for row in rows {
            let _ = write!(text, "| {}{} |", row.title, row.unit.suffix());
            for contender in contenders {
                let _ = write!(text, " {} |", cell(row, contender));
            }
            if with_best {
                let _ = write!(text, " {} |", ratio(row, SUBJECT, &rivals));
            }
            text.push('\n');
        }
        text.push_str(&self.legend());
        text
    }

    fn legend(&self) -> String {
        let setting = &self.setting;
        let versions: Vec<String> =
            setting.contenders.iter().map(|contender| contender.version.clone()).collect();
        let mut text = format!(
            "\nMedians of {} rounds of {} s (memory, certificates and tokens: {}; reloads: one), proxies in \
             turn; in brackets the median of the ratios to nginx within a round, lower is better. CPU \
             time is user and system of all processes of a proxy. One worker on CPU {}; logs and \
             metrics on for all. {} certificates, {} idle connections, {} reloads.\n\n\
             {}; Linux {}; {}, {}. {}.\n",
            setting.rounds,
            setting.seconds,
            setting.lifecycle_rounds,
            setting.placement,
            setting.certificates,
            setting.connections,
            setting.reloads,
            setting.machine,
            setting.kernel,
            setting.date,
            setting.commit,
            versions.join("; "),
        );
        if setting.quick {
            text.push_str("\nA smoke test with short rounds: no figures to quote.\n");
        }
        for failure in &self.results.failures {
            let first = failure.lines().next().unwrap_or_default();
            let _ = writeln!(text, "\nFailed: {first}");
        }
        text
    }
}

impl Unit {
    /// The number alone.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::Count => format!("{value:.0}"),
            Self::SecondsPerGb | Self::Seconds => format!("{value:.2}"),
            Self::Milliseconds if value < 1.0 => format!("{value:.3}"),
            Self::Milliseconds if value < 10.0 => format!("{value:.2}"),
            _ if value >= 100.0 => format!("{value:.0}"),
            _ => format!("{value:.1}"),
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::Kib => ", KiB",
            Self::Mib => ", MiB",
            Self::Milliseconds => ", ms",
            Self::Microseconds => ", µs CPU",
            Self::PerCent => ", %",
            Self::PerSecond => ", 1/s",
            Self::Seconds => ", s",
            Self::SecondsPerGb => ", s CPU per GB",
        }
    }
}

fn cell(row: &Row, contender: &Participant) -> String {
    let Some(median) = row.median(&contender.name) else { return "-".to_owned() };
    let value = row.unit.format(median);
    if row.role != Role::Cost || contender.name == REFERENCE {
        return value;
    }
    match row.ratio(&contender.name, &[REFERENCE]) {
        Some(ratio) => format!("{value} ({})", written(ratio)),
        None => value,
    }
}

fn ratio(row: &Row, contender: &str, others: &[&str]) -> String {
    match row.ratio(contender, others) {
        Some(ratio) if row.role == Role::Cost => written(ratio),
        _ => String::new(),
    }
}

/// With two digits at least that are not zeros in front, as far as anybody looks.
pub fn written(ratio: f64) -> String {
    let decimals = (1.0 - ratio.log10().floor()).clamp(2.0, 5.0) as usize;
    format!("{ratio:.decimals$}")
}

/// Whose figures these are.
pub const SUBJECT: &str = "portcullis";
/// To whom ratios are given.
pub const REFERENCE: &str = "nginx";
const RIVALS: [&str; 2] = ["nginx", "haproxy"];

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn a_small_ratio_is_not_written_as_nothing() {
        let ratios = [0.0, 0.000_32, 0.071, 0.45, 1.2, 12.0].map(written);
        assert_eq!(ratios, ["0.00000", "0.00032", "0.071", "0.45", "1.20", "12.00"]);
    }
}
