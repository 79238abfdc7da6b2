//! One row of a page for each run that is recorded: what has become of the headline figures.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;

use crate::report::REFERENCE;
use crate::report::Report;
use crate::report::SUBJECT;
use crate::report::written;
use crate::results::Role;
use crate::results::Row;

/// Appends a row to a page that ends with its table; makes the page where there is none.
pub fn append(path: &Path, report: &Report) -> Result<()> {
    anyhow::ensure!(!report.setting.quick, "a smoke test is nothing to record");
    let mut page = match fs::exists(path) {
        Ok(true) => fs::read_to_string(path).with_context(|| failed("read", path))?,
        _ => head(),
    };
    page.push_str(&row(report));
    fs::write(path, page).with_context(|| failed("write", path))
}

fn failed(verb: &str, path: &Path) -> String {
    format!("cannot {verb} {}", path.display())
}

/// The head of the table, of a new page.
fn head() -> String {
    let mut text = String::from("| Date | Commit | Machine | Rounds |");
    let mut line = String::from("|---|---|---|---:|");
    for (_, title) in HEADLINES {
        let _ = write!(text, " {title} |");
        line.push_str("---:|");
    }
    format!("{text}\n{line}\n")
}

fn row(report: &Report) -> String {
    let setting = &report.setting;
    let mut text = format!(
        "| {} | {} | {} | {} |",
        setting.date, setting.commit, setting.machine, setting.rounds
    );
    for (scenario, _) in HEADLINES {
        let cost = |row: &&Row| row.scenario == scenario && row.role == Role::Cost;
        let ratio = report.results.rows.iter().find(cost);
        let ratio = ratio.and_then(|row| row.ratio(SUBJECT, &[REFERENCE]));
        let _ = write!(text, " {} |", ratio.map_or("-".to_owned(), written));
    }
    text.push('\n');
    text
}

/// Scenarios, and what their columns are called. Of each, it is the first cost.
const HEADLINES: [(&str, &str); 15] = [
    ("http1", "HTTP/1.1, 1 KiB"),
    ("http1_16k", "16 KiB"),
    ("http2", "HTTP/2, 1 KiB"),
    ("http2_16k", "16 KiB"),
    ("rate", "2,000 requests/s"),
    ("p256", "TLS 1.3, P-256"),
    ("rsa", "RSA-2048"),
    ("tls12_p256", "TLS 1.2, P-256"),
    ("resumed", "Resumed"),
    ("new", "New connection"),
    ("download", "Download"),
    ("upload", "Upload"),
    ("passthrough_down", "Passthrough"),
    ("idle", "Idle connection, memory"),
    ("idle_http2", "Idle HTTP/2 connection, memory"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Measure;
    use crate::results::Results;
    use crate::results::Unit;
    use crate::setting::Setting;

    #[test]
    fn the_page_of_the_repository_has_the_columns_that_are_appended() {
        assert!(include_str!("../HISTORY.md").contains(&head()));
    }

    #[test]
    fn a_row_has_ratios_and_what_was_not_measured_has_none() {
        let mut results = Results::default();
        for (contender, value) in [(SUBJECT, 3.0), (REFERENCE, 4.0)] {
            let sample = [Measure::cost("HTTP/2", Unit::Microseconds, value)];
            results.record("http2", contender, 0, &sample);
        }
        let row = row(&Report { setting: Setting::example(), results });
        assert_eq!(row.matches(" - |").count(), HEADLINES.len() - 1);
        assert!(row.starts_with("| 2026-01-02 | abc | here | 3 | - | - | 0.75 |"), "{row}");
    }
}
