//! Facts of the whole application log: real files, a full disk, a reader who takes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::*;
use crate::per_worker;
use crate::telemetry::recorder::tests::recorder;

fn file(path: &Path) -> LogTarget {
    LogTarget::File(path.into())
}

fn numbers(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let number = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64().unwrap()
    };
    text.lines().map(number).collect()
}

fn dropped(recorder: &Recorder, reason: &str) -> u64 {
    let labels = [("log", "application"), ("reason", reason)];
    recorder.value(Family::LogLinesDropped, &labels).unwrap() as u64
}

#[test]
fn lines_of_each_service_reach_its_own_file_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let log = AppLog::start(1, &recorder()).unwrap();
    let paths = ["a.log", "b.log"].map(|name| directory.path().join(name));
    let sinks = paths.each_ref().map(|path| log.sink(&file(path), 1.0).unwrap());
    for n in 0..3000 {
        sinks[n as usize % 2].write(|line| {
            line.u64("n", n);
        });
    }
    log.finish();
    assert_eq!(numbers(&paths[0]), (0..3000).step_by(2).collect::<Vec<_>>());
    assert_eq!(numbers(&paths[1]), (1..3000).step_by(2).collect::<Vec<_>>());
}

#[test]
fn a_tick_hands_over_what_is_buffered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    let log = AppLog::start(0, &recorder()).unwrap();
    log.sink(&file(&path), 1.0).unwrap().write(|line| {
        line.u64("n", 7);
    });
    assert!(!path.exists(), "a file is opened when its first line is written");
    log.tick();
    let deadline = Instant::now() + Duration::from_secs(5);
    while numbers(&path).is_empty() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
}

#[test]
fn rotation_under_load_loses_no_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    let recorder = recorder();
    let log = AppLog::start(2, &recorder).unwrap();
    thread::scope(|scope| {
        for worker in 0..2 {
            let (log, target) = (&log, file(&path));
            scope.spawn(move || {
                per_worker::become_worker(worker as usize);
                let sink = log.sink(&target, 1.0).unwrap();
                for n in 0..20_000 {
                    sink.write(|line| {
                        line.u64("n", worker * 20_000 + n);
                    });
                }
            });
        }
        for rotation in 0..20 {
            let _ = fs::rename(&path, directory.path().join(format!("a.log.{rotation}")));
            log.reopen();
            thread::yield_now();
        }
    });
    log.finish();
    let files = fs::read_dir(directory.path()).unwrap();
    let all: Vec<u64> = files.flat_map(|entry| numbers(&entry.unwrap().path())).collect();
    let lost = dropped(&recorder, "queue_full");
    assert_eq!(all.len() as u64 + lost, 40_000);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!(dropped(&recorder, "write_failed"), 0);
}

#[test]
fn a_reader_who_takes_nothing_stops_neither_writers_nor_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    // Both ends are open, so that the writer thread can open it; nobody reads.
    let _both = File::options().read(true).write(true).open(&fifo).unwrap();
    let recorder = recorder();
    let log = AppLog::start(0, &recorder).unwrap();
    let sink = log.sink(&file(&fifo), 1.0).unwrap();
    let begin = Instant::now();
    for _ in 0..20_000 {
        sink.write(|line| {
            line.str("text", &"x".repeat(600));
        });
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(dropped(&recorder, "queue_full") > 1000);
    log.finish();
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
}

#[test]
fn a_full_disk_is_counted() {
    let recorder = recorder();
    let log = AppLog::start(0, &recorder).unwrap();
    let sink = log.sink(&file(Path::new("/dev/full")), 1.0).unwrap();
    for n in 0..10 {
        sink.write(|line| {
            line.u64("n", n);
        });
    }
    log.finish();
    assert_eq!(dropped(&recorder, "write_failed"), 10);
}

#[test]
fn a_target_that_cannot_be_written_is_an_error_when_the_sink_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let log = AppLog::start(0, &recorder()).unwrap();
    let reason = |path: &Path| log.sink(&file(path), 1.0).unwrap_err().reason();
    assert_eq!(reason(directory.path()), "log_is_directory");
    assert_eq!(reason(&directory.path().join("none/a.log")), "log_no_directory");
    assert!(!directory.path().join("none").exists());
}

#[test]
fn a_file_that_rotation_moves_away_meanwhile_can_still_be_a_target() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    let log = AppLog::start(0, &recorder()).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                File::create(&path).unwrap();
                fs::remove_file(&path).unwrap();
            }
        });
        let made = (0..20_000).map(|_| log.sink(&file(&path), 1.0)).find(Result::is_err);
        done.store(true, Ordering::Relaxed);
        assert!(made.is_none(), "{made:?}");
    });
}

#[test]
fn more_files_than_may_be_open_are_all_written() {
    let directory = tempfile::tempdir().unwrap();
    let log = AppLog::start(0, &recorder()).unwrap();
    let paths: Vec<_> = (0..300).map(|n| directory.path().join(n.to_string())).collect();
    let sinks: Vec<_> = paths.iter().map(|path| log.sink(&file(path), 1.0).unwrap()).collect();
    for n in 0..3 {
        for sink in &sinks {
            sink.write(|line| {
                line.u64("n", n);
            });
        }
    }
    log.finish();
    assert!(paths.iter().all(|path| numbers(path) == [0, 1, 2]));
}

#[test]
fn a_line_that_panics_leaves_no_half_of_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    let log = AppLog::start(0, &recorder()).unwrap();
    let sink = log.sink(&file(&path), 1.0).unwrap();
    let panicking = std::panic::AssertUnwindSafe(|| sink.write(|_| panic!("in the middle")));
    assert!(std::panic::catch_unwind(panicking).is_err());
    sink.write(|line| {
        line.u64("n", 1);
    });
    log.finish();
    assert_eq!(numbers(&path), [1]);
}
