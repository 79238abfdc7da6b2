//! What operators see for typical mistakes: `diagnostics/NAME.toml` is a configuration, `NAME.txt` what
//! is printed for it. With `PORTCULLIS_BLESS=1` the texts are written anew, to be read and committed.

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use portcullis::config::Config;

#[test]
fn typical_mistakes_are_explained() {
    let bless = env::var_os("PORTCULLIS_BLESS").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    for case in &cases {
        let expected = case.with_extension("txt");
        let printed = printed(case);
        if bless {
            fs::write(&expected, &printed).expect("a writable directory");
        } else if fs::read_to_string(&expected).unwrap_or_default() != printed {
            wrong.push(format!("{}:\n{printed}", expected.display()));
        }
    }
    assert!(cases.len() >= 110, "{} cases", cases.len());
    assert!(wrong.is_empty(), "PORTCULLIS_BLESS=1 writes what is new:\n{}", wrong.join("\n"));
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/diagnostics").expect("tests run in the package");
    let paths = entries.map(|entry| entry.expect("a readable directory").path());
    let mut cases: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    cases.sort();
    cases
}

fn printed(case: &Path) -> String {
    let name = case.to_str().expect("names of cases are ASCII");
    let text = fs::read_to_string(case).expect("a readable case");
    let environment = |name: &str| (name == "ZONE").then(|| "a".to_owned());
    let complaints = match Config::parse_with(name, &text, &environment) {
        Ok(loaded) => loaded.warnings,
        Err(complaints) => complaints,
    };
    format!("{}{}\n", complaints.render(false), complaints.summary())
}
