//! Complaints as an operator reads them: file, line, caret, what is wrong and what to do.

use std::ops::Range;

use annotate_snippets::Annotation;
use annotate_snippets::AnnotationKind;
use annotate_snippets::Group;
use annotate_snippets::Level;
use annotate_snippets::Origin;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;

use crate::config::complaint::Complaint;
use crate::config::complaint::Complaints;
use crate::config::complaint::MAX_SHOWN;
use crate::config::complaint::Severity;
use crate::config::complaint::without_control_characters;
use crate::config::source::Place;

impl Complaints {
    /// All complaints with their lines, in the manner of rustc, and a line that counts them.
    /// `color`: with the escape sequences of a terminal.
    pub fn render(&self, color: bool) -> String {
        let mut rendered = String::new();
        for complaint in self.iter().take(MAX_SHOWN) {
            rendered.push_str(&complaint.render(color));
            rendered.push_str("\n\n");
        }
        if self.len() > MAX_SHOWN {
            rendered.push_str(&format!("... and {} more\n\n", self.len() - MAX_SHOWN));
        }
        rendered
    }

    /// `2 errors, 1 warning`, or `no complaints`.
    pub fn summary(&self) -> String {
        let count = |number: usize, word: &str| match number {
            0 => None,
            1 => Some(format!("1 {word}")),
            _ => Some(format!("{number} {word}s")),
        };
        let parts = [count(self.errors(), "error"), count(self.warnings(), "warning")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "no complaints".to_owned() } else { parts.join(", ") }
    }
}

impl Complaint {
    /// One complaint with its lines, without a line break at the end.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = without_control_characters(self.message());
        let mut group = Group::with_title(level.primary_title(title));
        let mut views = vec![View::new(self.place(), AnnotationKind::Primary, self.caret_label())];
        for (place, label) in self.others() {
            views.push(View::new(place, AnnotationKind::Context, label));
        }
        for views in joined(views) {
            group = match snippet(&views) {
                Some(snippet) => group.element(snippet),
                None => group.element(origin(views[0].place)),
            };
        }
        let notes = self.notes().iter().map(|note| Level::NOTE.message(indented(note)));
        let helps = self.helps().iter().map(|help| Level::HELP.message(indented(help)));
        group = group.elements(notes).elements(helps);
        renderer.render(&[group])
    }
}

/// One place and what stands beside its caret.
struct View<'a> {
    place: &'a Place,
    kind: AnnotationKind,
    label: &'a str,
    /// Counted from 0.
    line: usize,
}

impl<'a> View<'a> {
    fn new(place: &'a Place, kind: AnnotationKind, label: &'a str) -> Self {
        Self { place, kind, label, line: place.line() - 1 }
    }

    /// The span cut to its first line, relative to where the shown text starts, and never empty
    /// inside a line: a caret needs something to stand under.
    fn span(&self, start: usize) -> Range<usize> {
        let span = self.place.span();
        let end = span.end.min(self.place.source().end_of_line(self.line)).max(span.start);
        span.start - start..end - start
    }
}

/// Views of one file that are near each other share a piece of it.
fn joined(views: Vec<View<'_>>) -> Vec<Vec<View<'_>>> {
    let mut pieces: Vec<Vec<View<'_>>> = Vec::new();
    for view in views {
        let near = pieces.iter_mut().find(|piece| {
            piece.iter().any(|other| {
                other.place.is_beside(view.place) && other.line.abs_diff(view.line) <= NEAR
            })
        });
        match near {
            Some(piece) => piece.push(view),
            None => pieces.push(vec![view]),
        }
    }
    pieces
}

/// Only the lines that matter go to the renderer, which would otherwise count through the whole file
/// for each complaint. None: there is no line to show.
fn snippet<'a>(views: &[View<'a>]) -> Option<Snippet<'a, Annotation<'a>>> {
    let first = views.iter().map(|view| view.line).min()?;
    let last = views.iter().map(|view| view.line).max()?;
    let source = views[0].place.source();
    let (start, text) = source.shown(first, last);
    if text.trim().is_empty() {
        return None;
    }
    let annotations = views.iter().map(|view| {
        let label = (!view.label.is_empty()).then(|| without_control_characters(view.label));
        view.kind.span(view.span(start)).label(label)
    });
    let annotations: Vec<Annotation<'a>> = annotations.collect();
    let path = source.path().display().to_string();
    Some(Snippet::source(text).path(path).line_start(first + 1).annotations(annotations))
}

/// A place in a file that has no line to show.
fn origin(place: &Place) -> Origin<'static> {
    let path = without_control_characters(&place.source().path().display().to_string());
    if place.source().text().is_empty() {
        return Origin::path(path);
    }
    Origin::path(path).line(place.line()).char_column(place.column())
}

/// Help may have several lines, each of which the operator wrote or may copy.
fn indented(text: &str) -> String {
    text.split('\n').map(without_control_characters).collect::<Vec<_>>().join("\n")
}

/// Lines between two places that are still shown as one piece.
const NEAR: usize = 30;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::source::Source;

    #[test]
    fn a_complaint_shows_file_line_caret_and_help() {
        let source = Arc::new(Source::new("a.toml", "[x]\nparent = \"egde\"\n"));
        let complaint = Complaint::error(Place::new(&source, 13..19), "no such parent")
            .label("unknown")
            .help("did you mean `edge`?");
        assert_eq!(
            complaint.render(false),
            "error: no such parent\n --> a.toml:2:10\n  |\n2 | parent = \"egde\"\n  |          \
             ^^^^^^ unknown\n  |\n  = help: did you mean `edge`?"
        );
    }

    #[test]
    fn an_empty_file_is_named_without_a_line() {
        let source = Arc::new(Source::new("a.toml", ""));
        let complaint = Complaint::error(Place::whole(&source), "nothing to serve");
        assert_eq!(complaint.render(false), "error: nothing to serve\n--> a.toml");
    }

    #[test]
    fn many_complaints_are_cut_with_a_count() {
        let source = Arc::new(Source::new("a.toml", "x = 1"));
        let mut complaints = Complaints::default();
        for _ in 0..MAX_SHOWN + 5 {
            complaints.push(Complaint::error(Place::whole(&source), "again"));
        }
        assert!(complaints.render(false).ends_with("... and 5 more\n\n"));
        assert_eq!(complaints.summary(), "105 errors");
    }
}
