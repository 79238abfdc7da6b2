//! The process as Prometheus' own client libraries show it, from `/proc/self` at the scrape.

use std::fs;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rustix::process::Resource;

use crate::telemetry::catalog::Family;
use crate::telemetry::recorder::Families;
use crate::telemetry::recorder::Recorder;

/// Adds version, number of workers, start time, CPU, memory and open files of this process.
pub fn collect(recorder: &Recorder, workers: usize) {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    recorder.collector(move |families| {
        families.add(Family::BuildInfo, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        families.add(Family::Workers, &[], workers as f64);
        families.add(Family::ProcessStartTime, &[], started);
        add_usage(families);
    });
}

/// A value that the system does not give is left out.
fn add_usage(families: &mut Families) {
    if let Some(usage) =
        fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Usage::parse)
    {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        families.add(Family::ProcessCpu, &[], usage.ticks as f64 / ticks);
        families.add(Family::ProcessVirtual, &[], usage.virtual_bytes as f64);
        let resident = usage.resident_pages as f64 * rustix::param::page_size() as f64;
        families.add(Family::ProcessResident, &[], resident);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory itself.
        families.add(Family::ProcessOpenFds, &[], entries.count().saturating_sub(1) as f64);
    }
    if let Some(limit) = rustix::process::getrlimit(Resource::Nofile).current {
        families.add(Family::ProcessMaxFds, &[], limit as f64);
    }
}

/// Fields 14, 15, 23 and 24 of `/proc/self/stat` (proc(5)).
#[derive(Debug, Eq, PartialEq)]
struct Usage {
    ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Usage {
    /// The second field is the program's name in parentheses and may hold anything.
    fn parse(stat: &str) -> Option<Self> {
        let after_name = stat.rsplit_once(") ")?.1;
        let field = |number: usize| after_name.split(' ').nth(number - 3)?.trim().parse().ok();
        Some(Self {
            ticks: field(14)? + field(15)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::recorder::tests::recorder;

    #[test]
    fn the_program_name_may_hold_parentheses_and_spaces() {
        let fields: Vec<String> = (3..=52).map(|number| number.to_string()).collect();
        let stat = format!("1 (a) b (c)) {}\n", fields.join(" "));
        let usage = Usage { ticks: 29, virtual_bytes: 23, resident_pages: 24 };
        assert_eq!(Usage::parse(&stat), Some(usage));
        assert_eq!(Usage::parse("1 (a"), None);
    }

    #[test]
    fn this_process_has_memory_files_and_a_start_time() {
        let recorder = recorder();
        collect(&recorder, 2);
        let text = recorder.render(&crate::telemetry::exposition::Filter::default());
        for name in [
            "portcullis_build_info{version=\"",
            "portcullis_workers 2",
            "process_start_time_seconds 1",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_cpu_seconds_total ",
        ] {
            assert!(text.contains(name), "{name} in\n{text}");
        }
    }
}
