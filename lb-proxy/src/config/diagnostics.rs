//! All findings about one file, and how they are printed.
//!
//! Readers report through a shared reference (`&Diagnostics`) and go on, so that
//! one run shows every mistake of a file. That is why the list sits in a
//! `RefCell`: a table and the values taken from it all hold the same reference.
//!
//! Printing is rustc's format, made by annotate-snippets. Whether to colour is
//! the caller's decision; nothing here looks at a terminal.

use std::{cell::RefCell, fmt::Write as _, ops::Range};

use annotate_snippets::{
    AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
    renderer::DecorStyle,
};

use super::diagnostic::{Diagnostic, Severity};

/// Nobody reads more at a time, and one slip can be repeated in every line.
const MOST_PRINTED: usize = 50;

/// The findings about one file, with the file's name and text.
#[derive(Debug)]
pub struct Diagnostics {
    name: String,
    text: String,
    found: RefCell<Vec<Diagnostic>>,
}

impl Diagnostics {
    /// Nothing found yet in the file `name`, whose content is `text`.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), found: RefCell::default() }
    }

    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    /// Keeps only the findings of which this is so.
    pub(crate) fn retain(&self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.found.borrow_mut().retain(keep);
    }

    /// Puts the findings into the order of the file.
    pub(super) fn sort(&self) {
        self.found.borrow_mut().sort_by_key(|diagnostic| {
            diagnostic.place().map_or(usize::MAX, |(span, _)| span.start)
        });
    }

    /// The file's name as it is printed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A copy of the findings, in the order of the file.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Diagnostic> {
        self.found.borrow().clone()
    }

    /// Whether nothing was found at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// Whether the file cannot be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many findings weigh `severity`.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.found.borrow().iter().filter(|found| found.severity() == severity).count()
    }

    /// Line and column of a byte of the file, both from 1; the column counts characters.
    #[must_use]
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let mut end = byte.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The last line of a run: `lb.toml: 2 errors, 1 warning; nothing was changed`.
    #[must_use]
    pub fn summary(&self) -> String {
        let counted: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
            .into_iter()
            .filter_map(|severity| match self.count(severity) {
                0 => None,
                1 => Some(format!("1 {}", severity.word())),
                many => Some(format!("{many} {}s", severity.word())),
            })
            .collect();
        format!("{}: {}", self.name, counted.join(", "))
    }

    /// Every finding as text, an empty line between two.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        let found = self.found.borrow();
        for diagnostic in found.iter().take(MOST_PRINTED) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}\n", renderer.render(&[self.group(diagnostic)]));
        }
        if found.len() > MOST_PRINTED {
            let _ = writeln!(text, "and {} more\n", found.len() - MOST_PRINTED);
        }
        text
    }

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let level = match diagnostic.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let title = level.primary_title(normalize_untrusted_str(diagnostic.message()));
        let mut group = Group::with_title(title);
        if let Some((span, label)) = diagnostic.place() {
            let snippet = Snippet::source(self.text.as_str())
                .path(self.name.as_str())
                .annotation(
                    AnnotationKind::Primary
                        .span(self.clamp(span))
                        .label(normalize_untrusted_str(label)),
                )
                .annotations(diagnostic.related_places().map(|(span, label)| {
                    AnnotationKind::Context
                        .span(self.clamp(span))
                        .label(normalize_untrusted_str(label))
                }));
            group = group.element(snippet);
        } else {
            group = group.element(Origin::path(self.name.as_str()));
        }
        group.elements(
            diagnostic
                .helps()
                .iter()
                .map(|help| Level::HELP.message(normalize_untrusted_str(help))),
        )
    }

    fn clamp(&self, span: Range<usize>) -> Range<usize> {
        let end = span.end.min(self.text.len());
        span.start.min(end)..end
    }
}
