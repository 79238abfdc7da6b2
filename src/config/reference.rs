//! The reference file: every key with its default and a sentence, made from the lists that the reader
//! itself uses. `conf/reference.toml` is this text; a test compares them.

use std::fmt::Write as _;

use crate::config::schema::Key;
use crate::config::schema::RULE;
use crate::config::schema::Sample;
use crate::config::schema::TABLES;
use crate::config::schema::TOP;
use crate::config::schema::TableKeys;

/// The text of `conf/reference.toml`.
pub fn text() -> String {
    let mut text = HEAD.to_owned();
    for key in TOP {
        describe(&mut text, key);
    }
    for table in TABLES {
        text.push('\n');
        comment(&mut text, table.about, "");
        let _ = writeln!(text, "{}", header(table));
        for key in table.keys.iter().copied().flatten() {
            describe(&mut text, key);
        }
    }
    text.push('\n');
    comment(&mut text, RULE.about, "");
    let _ = writeln!(text, "# {}", RULE.example);
    for key in RULE.keys.iter().copied().flatten() {
        explain(&mut text, key);
        let _ = writeln!(text, "# {} = {}", key.name, key.sample.text());
    }
    text
}

/// The same file with no more in it than must be there, and what the examples refer to.
pub fn needed_text() -> String {
    let mut text = String::new();
    for table in TABLES.iter().filter(|table| !table.example.is_empty()) {
        let _ = writeln!(text, "{}", header(table));
        for key in table.keys.iter().copied().flatten() {
            if matches!(key.sample, Sample::Needed(_)) || is_shown(key) {
                let _ = writeln!(text, "{} = {}", key.name, key.sample.text());
            }
        }
    }
    text
}

fn header(table: &TableKeys) -> String {
    if table.example.is_empty() {
        format!("[{}]", table.word)
    } else {
        format!("[{}.{}]", table.word, table.example)
    }
}

/// Keys without a default that stand uncommented all the same, so that the tables of the file hang
/// together.
fn is_shown(key: &Key) -> bool {
    matches!(key.name, "tls_profile" | "pool")
}

fn describe(text: &mut String, key: &Key) {
    explain(text, key);
    let sample = key.sample.text();
    if matches!(key.sample, Sample::Absent(_)) && !is_shown(key) {
        let _ = writeln!(text, "# {} = {sample}", key.name);
    } else {
        let _ = writeln!(text, "{} = {sample}", key.name);
    }
}

/// Its sentence, and those of the keys of the table that is its value.
fn explain(text: &mut String, key: &Key) {
    text.push('\n');
    comment(text, key.about, "");
    for within in key.within {
        comment(text, &format!("  {}: {}", within.name, sentence(within)), "    ");
        for deeper in within.within {
            comment(text, &format!("    {}: {}", deeper.name, sentence(deeper)), "      ");
        }
    }
}

fn sentence(key: &Key) -> String {
    match key.sample {
        Sample::Default(value) => format!("{} (default {value})", key.about.trim_end_matches('.')),
        Sample::Absent(_) | Sample::Needed(_) => key.about.to_owned(),
    }
}

/// A comment, broken between words. Lines after the first are indented.
fn comment(text: &mut String, sentence: &str, indent: &str) {
    let start = sentence.len() - sentence.trim_start().len();
    let mut line = format!("#{}", &sentence[..start]);
    for word in sentence.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = format!("#{indent}");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

const HEAD: &str = "\
# Every key of the configuration, with its default. A line that begins with `# key =` shows a key that
# has no value unless you give it one. Keys of tables in braces stand above them, one for each line.
#
# Durations are \"500ms\", \"10s\", \"5m\", \"12h\" or \"1d\"; sizes are 32768, \"32KiB\" or \"1MiB\". Relative paths
# start from the directory of the file that names them. ${NAME} in any text is replaced by the variable
# of the environment; $${ stands for a dollar sign and a brace.
";

const WIDTH: usize = 100;

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn parsed(name: &str, text: &str) -> Config {
        match Config::parse(name, text) {
            Ok(loaded) => {
                assert!(loaded.warnings.is_empty(), "{}", loaded.warnings.render(false));
                loaded.config
            }
            Err(complaints) => panic!("{}", complaints.render(false)),
        }
    }

    #[test]
    fn every_example_is_a_configuration_without_complaints() {
        let mut count = 0;
        for entry in fs::read_dir("conf").expect("tests run in the package") {
            let path = entry.expect("a readable directory").path();
            if path.extension().is_none_or(|end| end != "toml") {
                continue;
            }
            let loaded = Config::load(&path)
                .unwrap_or_else(|complaints| panic!("{}", complaints.render(false)));
            assert!(loaded.warnings.is_empty(), "{}", loaded.warnings.render(false));
            count += 1;
        }
        assert!(count >= 8, "{count} examples");
    }

    #[test]
    fn the_reference_file_names_every_key() {
        let path = Path::new("conf/reference.toml");
        if env::var_os("PORTCULLIS_BLESS").is_some() {
            fs::write(path, text()).expect("a writable directory");
        }
        let written = fs::read_to_string(path).expect("the reference file");
        assert!(written == text(), "PORTCULLIS_BLESS=1 writes conf/reference.toml anew");
    }

    #[test]
    fn the_reference_file_parses_to_the_defaults() {
        let reference = parsed("conf/reference.toml", &text());
        let needed = parsed("conf/reference.toml", &needed_text());
        assert_eq!(reference, needed);
    }

    /// What stands as a comment in the reference file is valid too.
    #[test]
    fn the_commented_keys_of_the_reference_file_can_be_used() {
        let lines: Vec<String> = text().lines().map(uncommented).collect();
        let config = parsed("conf/reference.toml", &lines.join("\n"));
        assert_eq!(config.workers, 2);
        assert!(config.tickets.secret.is_some());
        assert!(config.pools.values().all(|pool| pool.tls.is_some()));
        assert!(config.virtual_services.values().all(|service| service.log_sample < 1.0));
        let policy = config.virtual_services["shop"].policy.as_ref().unwrap();
        assert_eq!(policy.rules.len(), 1);
        assert!(policy.hsts.is_some() && !policy.error_pages.is_empty());
    }

    /// `# key = value` without the comment sign; sentences stay comments, and so do keys that others
    /// exclude.
    fn uncommented(line: &str) -> String {
        let Some(rest) = line.strip_prefix("# ") else { return line.to_owned() };
        let is_key = rest.split_once(" = ").is_some_and(|(key, _)| {
            !EXCLUDED.contains(&key)
                && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        });
        if is_key || rest == RULE.example { rest.to_owned() } else { line.to_owned() }
    }

    /// `pool` and `path_prefix` exclude them, or they need another value than the default of a third;
    /// `rules` stands below as tables.
    const EXCLUDED: &[&str] = &[
        "body",
        "content_type",
        "hash",
        "no_pool",
        "path",
        "redirect",
        "rewrite",
        "rules",
        "status",
    ];
}
