//! The storeys of the library: a module imports from strictly lower storeys only.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// From the ground up. Modules of one storey do not see each other.
const STOREYS: &[&[&str]] = &[
    &["names", "live", "per_worker", "spares", "proxy_protocol"],
    &["config", "message"],
    &["http2", "key", "telemetry"],
    &["hsm"],
    &["certificate"],
    &["tls"],
    &["upstream", "acme"],
    &["service"],
    &["relay"],
    &["http"],
    &["runtime"],
    &["admin"],
    &["cli", "main"],
];

#[test]
fn every_module_imports_from_lower_storeys_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut complaints = Vec::new();
    for path in rust_files(&root.join("src")) {
        let shown = path.strip_prefix(root).expect("below the root").display().to_string();
        let text = fs::read_to_string(&path).expect("a source file");
        complaints.extend(complaints_about(&shown, &text));
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_module_that_looks_up_is_complained_about() {
    let complaints = complaints_about("src/tls/mod.rs", "use crate::http::Request;\n");
    assert_eq!(complaints, ["src/tls/mod.rs:1: 'tls' may not use 'http'"]);
}

#[test]
fn a_module_that_looks_sideways_is_complained_about() {
    let complaints = complaints_about("src/key/file.rs", "\nfn f() { crate::telemetry::init() }\n");
    assert_eq!(complaints, ["src/key/file.rs:2: 'key' may not use 'telemetry'"]);
}

#[test]
fn a_group_that_hides_modules_is_complained_about() {
    let complaints = complaints_about("src/tls/mod.rs", "use crate::{http, names};\n");
    let expected = "src/tls/mod.rs:1: one `use crate::module::..` for each item, no group";
    assert_eq!(complaints, [expected]);
}

#[test]
fn looking_down_and_at_oneself_is_fine() {
    let text =
        "use crate::config::pool::Pool;\nuse crate::tls::hello::ClientHello;\n//! crate::http\n";
    assert!(complaints_about("src/tls/mod.rs", text).is_empty());
}

/// What is wrong with the imports of one file.
fn complaints_about(path: &str, text: &str) -> Vec<String> {
    let module = module_of(path);
    if module == "lib" {
        return Vec::new();
    }
    let Some(own) = storey(&module) else {
        return vec![format!("{path}:1: '{module}' has no storey: add it to tests/layers.rs")];
    };
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{path}:{}", index + 1);
        let code = line.split("//").next().unwrap_or_default();
        for (_, used) in
            code.match_indices("crate::").map(|(at, word)| code.split_at(at + word.len()))
        {
            if used.starts_with('{') {
                complaints
                    .push(format!("{place}: one `use crate::module::..` for each item, no group"));
                continue;
            }
            let used: String =
                used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if storey(&used).is_some_and(|storey| storey >= own) && used != module {
                complaints.push(format!("{place}: '{module}' may not use '{used}'"));
            }
        }
        if module != "main" && code.contains("portcullis::") {
            complaints.push(format!("{place}: the library calls itself `crate`"));
        }
    }
    complaints
}

/// `src/tls/mod.rs` and `src/tls/hello.rs` are in `tls`, `src/live.rs` is `live`.
fn module_of(path: &str) -> String {
    let below = path.strip_prefix("src/").expect("a file below src");
    let first = below.split('/').next().expect("a file name");
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

fn storey(module: &str) -> Option<usize> {
    STOREYS.iter().position(|modules| modules.contains(&module))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
