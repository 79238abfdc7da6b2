//! What is wrong with a configuration, where, and what to do about it.

use std::error::Error;
use std::fmt;
use std::fmt::Write as _;

use crate::config::source::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// The configuration is used, and something in it is probably not meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Complaint {
    severity: Severity,
    message: String,
    place: Place,
    label: String,
    others: Vec<(Place, String)>,
    notes: Vec<String>,
    help: Vec<String>,
}

impl Complaint {
    /// Something that makes the configuration unusable. The message is a short sentence without a
    /// full stop; names of the operator stand in backticks.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            place,
            label: String::new(),
            others: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Something that is probably not meant.
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// A few words beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Another place that has to do with it.
    #[must_use]
    pub fn see(mut self, place: Place, label: impl Into<String>) -> Self {
        self.others.push((place, label.into()));
        self
    }

    /// Why it is so.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// What to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// What to do, if anything is known.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help.extend(help);
        self
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The words beside the caret; may be empty.
    pub fn caret_label(&self) -> &str {
        &self.label
    }

    /// Other places, with their words.
    pub fn others(&self) -> &[(Place, String)] {
        &self.others
    }

    /// Why it is so.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What to do.
    pub fn helps(&self) -> &[String] {
        &self.help
    }

    /// `file:line:column: message (help)`: for logs and the admin API. Never holds a line break, nor
    /// any other control character.
    pub fn one_line(&self) -> String {
        let mut line = format!("{}: {}", self.place, self.message);
        for (place, label) in &self.others {
            let _ = write!(line, "; {label}: {place}");
        }
        if let Some(help) = self.help.first() {
            let _ = write!(line, " ({help})");
        }
        without_control_characters(&line)
    }
}

/// All that is wrong, in the order of the files and of the lines in them.
#[derive(Clone, Debug, Default)]
pub struct Complaints {
    list: Vec<Complaint>,
}

impl Complaints {
    /// Adds one.
    pub fn push(&mut self, complaint: Complaint) {
        self.list.push(complaint);
    }

    /// Adds many.
    pub fn extend(&mut self, others: Self) {
        self.list.extend(others.list);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Complaint> {
        self.list.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many of them make the configuration unusable.
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|complaint| complaint.severity == Severity::Error).count()
    }

    /// How many of them are only probably not meant.
    pub fn warnings(&self) -> usize {
        self.list.len() - self.errors()
    }

    /// Puts them in the order in which an operator works through files.
    pub fn sort(&mut self, file_order: impl Fn(&Place) -> usize) {
        self.list.sort_by_key(|complaint| {
            (file_order(&complaint.place), complaint.place.span().start, complaint.severity)
        });
    }
}

/// One line each, for as many as anyone reads in a log.
impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, complaint) in self.list.iter().take(MAX_SHOWN).enumerate() {
            let break_before = if index == 0 { "" } else { "\n" };
            write!(f, "{break_before}{}", complaint.one_line())?;
        }
        match self.list.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more"),
        }
    }
}

impl Error for Complaints {}

impl From<Complaint> for Complaints {
    fn from(complaint: Complaint) -> Self {
        Self { list: vec![complaint] }
    }
}

/// Text of the operator may hold anything; a log or a terminal must not be steered by it.
pub fn without_control_characters(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_direction_mark(character) {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean
}

/// A screen or two: who has more than this to mend starts at the top anyway.
pub const MAX_SHOWN: usize = 100;

/// Marks that turn the reading direction round and so can hide text (Unicode UAX 9).
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::source::Source;

    #[test]
    fn one_line_form_holds_no_line_break() {
        let source = Arc::new(Source::new("a.toml", "x = 1\n"));
        let complaint = Complaint::error(Place::new(&source, 0..1), "unknown key `a\nb\u{1b}[31m`")
            .help("remove it");
        assert_eq!(complaint.one_line(), "a.toml:1:1: unknown key `a\\nb\\u{1b}[31m` (remove it)");
    }

    #[test]
    fn complaints_are_counted_by_severity() {
        let source = Arc::new(Source::new("a.toml", ""));
        let mut complaints =
            Complaints::from(Complaint::warning(Place::whole(&source), "not used"));
        complaints.push(Complaint::error(Place::whole(&source), "nothing to serve"));
        assert_eq!((complaints.errors(), complaints.warnings()), (1, 1));
    }
}
