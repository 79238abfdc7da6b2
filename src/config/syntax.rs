//! Complaints about what is not TOML at all.

use std::sync::Arc;

use crate::config::complaint::Complaint;
use crate::config::read::names_a_secret;
use crate::config::source::Place;
use crate::config::source::Source;

/// Puts an error of the TOML parser into words.
pub fn complaint(source: &Arc<Source>, error: &toml::de::Error) -> Complaint {
    let span = error.span().unwrap_or(0..0);
    let place = Place::new(source, span);
    let line = place.line() - 1;
    let (start, text) = source.shown(line, line);
    let key = text.split('=').next().unwrap_or_default();
    let is_secret = names_a_secret(key) || text.contains("passphrase");
    if is_secret {
        // What was meant to be a string here may be the secret itself, so none of it is shown.
        source.hide(start..start + text.len());
    }
    let message = error.message();
    if message == "duplicate key" {
        return duplicate(source, place);
    }
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let (what, help) = words(what);
    let complaint = Complaint::error(place, format!("this is not TOML: {what}"));
    let is_helpful = !matches!(expected, "" | "nothing" | "literal string");
    let complaint =
        if is_helpful { complaint.label(format!("expected {expected}")) } else { complaint };
    complaint.help(if is_secret { SECRET_HELP } else { help })
}

/// The words of the parser put more plainly where that is possible, and what to do.
fn words(what: &str) -> (&str, &'static str) {
    match what {
        "string values must be quoted" => ("text must stand in quotes", "write `key = \"value\"`"),
        "invalid boolean" => (what, "write `true` or `false` in lower case"),
        "key with no value" => (what, "write `key = value`; text values stand in quotes"),
        "unclosed table" => ("the header is not closed", "write it in brackets: [pool.shop]"),
        "unclosed inline table" => ("the table is not closed", "close it with `}`"),
        "unclosed array" => ("the list is not closed", "close it with `]`"),
        "missing comma between array elements" => (
            "the list is not closed, or a comma is missing",
            "put `,` between entries and `]` at the end",
        ),
        "invalid basic string" | "invalid literal string" => {
            ("the string is not closed", "close it with a quote on the same line")
        }
        "unexpected key or value" => (
            "there is more than one value",
            "write one `key = value` on each line, and lists in brackets",
        ),
        "extra assignment between key-value pairs" => {
            ("a comma is missing", "put `,` between the entries of `{ .. }`")
        }
        "invalid float" | "invalid integer" | "unexpected leading zero" => (
            "this is not a number",
            "write addresses, durations and versions in quotes: \"127.0.0.1\", \"10s\", \"1.2\"",
        ),
        "missing escaped value" => {
            ("unknown escape", "write a backslash twice, or put the text in single quotes")
        }
        _ => (what, "the rest of this file was not read; https://toml.io/ describes the format"),
    }
}

/// A key or a header that stands twice in one file. The parser knows the second place alone.
fn duplicate(source: &Arc<Source>, place: Place) -> Complaint {
    let line = place.line() - 1;
    let (start, text) = source.shown(line, line);
    let is_header = text.trim_start().starts_with('[');
    let name = source.text().get(place.span()).unwrap_or_default();
    let (what, wanted) = if is_header {
        let header = text.split('#').next().unwrap_or(&text).trim();
        (format!("{header} stands here twice"), header)
    } else {
        (format!("`{name}` stands in this table twice"), name)
    };
    let first = earlier_line(&source.text()[..start], wanted, is_header);
    let complaint = Complaint::error(place, what).label("again");
    let complaint = match first {
        Some(at) => complaint.see(Place::new(source, at..at + wanted.len()), "first here"),
        None => complaint,
    };
    complaint.help(if is_header {
        "remove one of them, or give it another name"
    } else {
        "remove one of them"
    })
}

/// The offset of the last line that begins with this header, or with this key in the same table.
fn earlier_line(text: &str, wanted: &str, is_header: bool) -> Option<usize> {
    let mut start = text.len();
    for line in text.split_inclusive('\n').rev() {
        start -= line.len();
        let trimmed = line.trim_start();
        let rest = trimmed.strip_prefix(wanted).map(str::trim_start);
        if rest.is_some_and(|rest| is_header || rest.starts_with('=')) {
            return Some(start + line.len() - trimmed.len());
        }
        if !is_header && trimmed.starts_with('[') {
            return None;
        }
    }
    None
}

const SECRET_HELP: &str = "say where the secret is, not what it is: `{ file = \"secrets/shop\" }`";
