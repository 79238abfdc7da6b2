//! One file of configuration as it was read, and places in it: what a complaint points at.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// The text of one file, with what is needed to say "line 12, column 5".
pub struct Source {
    path: PathBuf,
    text: String,
    /// Byte offset of the first character of each line.
    lines: Vec<usize>,
    /// Byte ranges that hold a secret and must not be shown. Only the thread that reads the
    /// configuration takes this lock; it is here because complaints share the source.
    hidden: Mutex<Vec<Range<usize>>>,
}

impl Source {
    /// Takes the text of a file.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let text = text.into();
        let mut lines = vec![0];
        lines.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { path: path.into(), text, lines, hidden: Mutex::default() }
    }

    /// The path as the operator, or the `include` that led here, names it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// From now on these bytes are shown as asterisks.
    pub fn hide(&self, range: Range<usize>) {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).push(range);
    }

    /// The line of a byte offset, counted from 0.
    pub fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// The text of some lines (counted from 0, the last included) as it may be shown, and the offset
    /// of its first byte. Secrets are replaced by as many asterisks as they have bytes.
    pub fn shown(&self, first: usize, last: usize) -> (usize, String) {
        let start = self.lines.get(first).copied().unwrap_or(self.text.len());
        let end = self.end_of_line(last);
        let mut shown = self.text[start..end].to_owned();
        for hidden in self.hidden.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let from = hidden.start.clamp(start, end) - start;
            let to = hidden.end.clamp(start, end) - start;
            shown.replace_range(from..to, &"*".repeat(to - from));
        }
        (start, shown)
    }

    /// The offset just behind the last character of a line (counted from 0), its line feed left out.
    pub fn end_of_line(&self, line: usize) -> usize {
        let next = self.lines.get(line + 1).map_or(self.text.len(), |next| next - 1);
        if self.text[..next].ends_with('\r') { next - 1 } else { next }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.path).finish()
    }
}

/// A range of a file.
#[derive(Clone, Debug)]
pub struct Place {
    source: Arc<Source>,
    start: usize,
    end: usize,
}

impl Place {
    /// A byte range of a source. What lies beyond the text, or cuts a character, is clipped.
    pub fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        let text = source.text();
        let floor = |mut offset: usize| {
            offset = offset.min(text.len());
            while !text.is_char_boundary(offset) {
                offset -= 1;
            }
            offset
        };
        let start = floor(span.start);
        Self { source: Arc::clone(source), start, end: floor(span.end).max(start) }
    }

    /// The beginning of a file: for what is missing from it, or wrong with it as a whole.
    pub fn whole(source: &Arc<Source>) -> Self {
        Self::new(source, 0..0)
    }

    /// The file.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The byte range.
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.source.line_of(self.start) + 1
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> usize {
        let line = self.source.lines[self.source.line_of(self.start)];
        self.source.text[line..self.start].trim_start_matches('\u{feff}').chars().count() + 1
    }

    /// Whether two places are in one file.
    pub fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
    }

    /// Keeps this place out of every rendering.
    pub fn hide(&self) {
        self.source.hide(self.span());
    }
}

/// `file:line:column`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.path.display(), self.line(), self.column())
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// What was meant.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = Arc::new(Source::new("a.toml", "x = 1\nü = \"é\"\n"));
        let place = Place::new(&source, 12..14);
        assert_eq!(place.to_string(), "a.toml:2:6");
    }

    #[test]
    fn spans_beyond_the_text_or_inside_a_character_are_clipped() {
        let source = Arc::new(Source::new("a.toml", "é"));
        assert_eq!(Place::new(&source, 1..900).span(), 0..2);
        assert_eq!(Place::new(&source, 900..901).to_string(), "a.toml:1:2");
    }

    #[test]
    fn hidden_bytes_are_shown_as_asterisks() {
        let source = Source::new("a.toml", "a = 1\npin = \"1234\"\nb = 2");
        source.hide(13..17);
        assert_eq!(source.shown(1, 1), (6, "pin = \"****\"".to_owned()));
    }
}
