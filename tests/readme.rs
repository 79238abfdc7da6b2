//! The README tells the truth: its configuration is valid, its files exist, its figures are there.

use std::fs;

use portcullis::config::Config;

#[test]
fn every_configuration_in_the_readme_is_valid() {
    let (shown, written) = (blocks("toml"), here_documents());
    assert!(
        !shown.is_empty() && !written.is_empty(),
        "the README shows a configuration and writes one"
    );
    for block in shown.into_iter().chain(written) {
        if let Err(complaints) = Config::parse("README.md", &block) {
            panic!("{}", complaints.render(false));
        }
    }
}

#[test]
fn the_first_configuration_has_about_twenty_lines() {
    let lines = blocks("toml")[0].lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 22, "{lines} lines");
}

#[test]
fn every_file_that_the_readme_links_to_exists() {
    let readme = readme();
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let mut count = 0;
    for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
        assert!(fs::exists(link).unwrap(), "{link} does not exist");
        count += 1;
    }
    assert!(count > 3, "{count} links");
}

#[test]
fn the_two_commands_are_there() {
    let readme = readme();
    for command in ["cargo run --release -- demo", "tests/run"] {
        assert!(readme.contains(command), "{command}");
    }
}

fn readme() -> String {
    fs::read_to_string("README.md").expect("tests run in the package")
}

/// The files that commands write: `cat > FILE <<'END'`.
fn here_documents() -> Vec<String> {
    let commands = blocks("sh").concat();
    let starts = commands.split("<<'END'\n").skip(1);
    starts.filter_map(|rest| rest.split("END\n").next()).map(str::to_owned).collect()
}

/// The fenced blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let readme = readme();
    let fence = format!("```{language}\n");
    let starts = readme.split(&fence).skip(1);
    starts.filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}
