//! Every source file says what it owns, fits on a few screens, and leaves nothing for later.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Files aim at 250 lines.
const MOST_LINES: usize = 400;

#[test]
fn every_source_file_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut complaints = Vec::new();
    for directory in ["src", "tests", "loadtest", "benches", "examples"] {
        for path in rust_files(&root.join(directory)) {
            let shown = path.strip_prefix(root).expect("below the root").display().to_string();
            let text = fs::read_to_string(&path).expect("a source file");
            complaints.extend(complaints_about(&shown, &text));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn what_is_untidy_is_complained_about() {
    let long = format!("//! x\n{}", "x();\n".repeat(MOST_LINES));
    assert_eq!(complaints_about("long.rs", &long), ["long.rs:401: 401 lines, at most 400"]);
    let silent = complaints_about("silent.rs", "use std::fs;\n");
    assert_eq!(silent, ["silent.rs:1: opens with `//!` and what it owns"]);
    let later = format!("//! x\n// {}: later\n", LATER[0]);
    assert_eq!(complaints_about("later.rs", &later), ["later.rs:2: done now, or an issue"]);
    assert!(complaints_about("fine.rs", "//! Owns nothing.\n").is_empty());
}

fn complaints_about(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//! ") {
        complaints.push(format!("{path}:1: opens with `//!` and what it owns"));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        complaints.push(format!("{path}:{lines}: {lines} lines, at most {MOST_LINES}"));
    }
    for (index, line) in text.lines().enumerate() {
        if LATER.iter().any(|word| line.contains(word)) {
            complaints.push(format!("{path}:{}: done now, or an issue", index + 1));
        }
    }
    complaints
}

/// Put together here, so that this file passes its own test.
const LATER: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(directory) else { return files };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
