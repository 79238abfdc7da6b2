//! One crypto library, and a reason for every dependency.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What must not be in the product: a second crypto library, or bindings to a third.
const BANNED: [&str; 6] =
    ["ring", "openssl", "openssl-sys", "native-tls", "boring", "rustls-pemfile"];

#[test]
fn there_is_one_crypto_library() {
    let names = normal_dependencies();
    assert!(names.contains("aws-lc-rs"), "{names:?}");
    for banned in BANNED {
        assert!(!names.contains(banned), "{banned}: cargo tree --invert {banned} says why");
    }
}

#[test]
fn every_dependency_says_why_it_is_here() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let text = fs::read_to_string(manifest).expect("the manifest");
    let mut table = "";
    let mut above = "";
    let mut silent = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            table = line;
        } else if table.ends_with("dependencies]")
            && line.contains(" = ")
            && !above.starts_with("# ")
        {
            silent.push(line);
        }
        above = line;
    }
    assert!(silent.is_empty(), "a comment above each, please: {silent:#?}");
}

/// The names of all crates that end up in the program, as cargo resolves them without a network.
fn normal_dependencies() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--package", "portcullis", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}
