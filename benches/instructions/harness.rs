//! Counts instructions: runs this program again under valgrind, and reads what callgrind has counted.
//!
//! Callgrind starts a new part each time [`end_of_part`] returns. Each bench has three: one to warm
//! up, one with N operations, one with 2N. Their difference, divided by N, is free of what surrounds
//! the operations.

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;

/// Where benches are handed in.
pub(crate) struct Bench {
    filter: String,
}

impl Bench {
    /// Counts one operation. What it returns is used, so that nothing of it is left out.
    pub(crate) fn measure<T>(&mut self, name: &str, mut operation: impl FnMut() -> T) {
        if !name.contains(&self.filter) {
            return;
        }
        // The other process pairs the lines with the parts.
        println!("{name}");
        for operations in [WARM_UP, N, 2 * N] {
            for _ in 0..operations {
                black_box(operation());
            }
            end_of_part();
        }
    }

    /// As [`measure`](Self::measure), for an operation that consumes what `make` gives; what that
    /// costs is taken off.
    pub(crate) fn measure_with<I, T>(
        &mut self,
        name: &str,
        make: impl Fn() -> I,
        mut operation: impl FnMut(I) -> T,
    ) {
        self.measure_beyond(name, || black_box(make()), || operation(black_box(make())));
    }

    /// Counts what `whole` takes beyond `rest`, which is a part of it.
    pub(crate) fn measure_beyond<R, T>(
        &mut self,
        name: &str,
        rest: impl FnMut() -> R,
        whole: impl FnMut() -> T,
    ) {
        self.measure(&format!("{name}{WITHOUT}"), rest);
        self.measure(name, whole);
    }
}

/// Runs the benches: counted, in a process of their own, and prints the table.
pub(crate) fn main(all: impl FnOnce(&mut Bench)) -> ExitCode {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let first = arguments.next().unwrap_or_default();
    if first == COUNTED {
        all(&mut Bench { filter: arguments.next().unwrap_or_default() });
        return ExitCode::SUCCESS;
    }
    match count(&first) {
        Ok(counts) if counts.is_empty() => {
            eprintln!("no bench has `{first}` in its name");
            ExitCode::FAILURE
        }
        Ok(counts) => {
            print(&counts);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cargo bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A bench and its instructions per operation.
type Count = (String, f64);

fn count(filter: &str) -> io::Result<Vec<Count>> {
    let directory = tempfile::tempdir()?;
    let parts = directory.path().join("part");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--separate-threads=yes"])
        .arg("--dump-after=*end_of_part*")
        .arg(format!("--callgrind-out-file={}", parts.display()))
        .arg(std::env::current_exe()?)
        .args([COUNTED, filter])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(
                error.kind(),
                "valgrind counts the instructions, and is not installed (apt-get install valgrind)",
            ),
            _ => error,
        })?;
    if !output.status.success() {
        return Err(io::Error::other(format!("valgrind ended with {}", output.status)));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    let counts = names.lines().enumerate().map(|(place, name)| {
        let part = |number: usize| instructions(&parts, 3 * place + number);
        Ok((name.to_owned(), (part(3)? - part(2)?) / N as f64))
    });
    Ok(without_rest(counts.collect::<io::Result<_>>()?))
}

/// The total of a part, counted from 1.
fn instructions(parts: &Path, number: usize) -> io::Result<f64> {
    let path = format!("{}.{number}-{MAIN_THREAD}", parts.display());
    let text = fs::read_to_string(&path)?;
    let total = text.lines().find_map(|line| line.strip_prefix("summary:")?.trim().parse().ok());
    total.ok_or_else(|| io::Error::other(format!("{path} has no summary")))
}

/// Takes off what [`Bench::measure_beyond`] has measured by itself.
fn without_rest(counts: Vec<Count>) -> Vec<Count> {
    let mut kept = Vec::with_capacity(counts.len());
    let mut rest = 0.0;
    for (name, count) in counts {
        if name.ends_with(WITHOUT) {
            rest = count;
        } else {
            kept.push((name, count - std::mem::take(&mut rest)));
        }
    }
    kept
}

fn print(counts: &[Count]) {
    let width = counts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    println!("{:width$}  instructions", "");
    for (name, count) in counts {
        println!("{name:width$}  {count:12.0}");
    }
}

/// Never inlined: callgrind knows it by its name.
#[inline(never)]
fn end_of_part() {
    black_box(());
}

/// The first argument of the process that is counted.
const COUNTED: &str = "--counted";

/// What the writer of the log does beside it depends on when it is woken.
const MAIN_THREAD: &str = "01";

/// Ends the name of a part that is taken off the next one.
const WITHOUT: &str = " (rest)";

/// Fills what is filled once: counters, buffers, tables of a parser.
const WARM_UP: usize = 50;

/// Enough that a buffer which is handed over now and then is in the mean.
const N: usize = 500;
