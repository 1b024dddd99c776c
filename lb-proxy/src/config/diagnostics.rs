//! All findings about a file and those it includes, and how they are printed.
//!
//! Readers report through a shared reference (`&Diagnostics`) and go on, so that
//! one run shows every mistake of a file. That is why the list sits in a
//! `RefCell`: a table and the values taken from it all hold the same reference.
//!
//! Printing is rustc's format, made by annotate-snippets. Whether to colour is
//! the caller's decision; nothing here looks at a terminal.

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    ops::Range,
    path::{Path, PathBuf},
};

use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
    renderer::DecorStyle,
};

use super::{
    diagnostic::{Diagnostic, Severity},
    files::File,
};

/// Nobody reads more at a time, and one slip can be repeated in every line.
const MOST_PRINTED: usize = 50;

/// The findings about a file, with the names and texts of all files that were read
/// for it.
#[derive(Debug)]
pub struct Diagnostics {
    /// At least one: the file that everything began with.
    files: Vec<File>,
    found: RefCell<Vec<Diagnostic>>,
    /// Places that are printed as asterisks.
    secrets: RefCell<Vec<Range<usize>>>,
}

/// A place that a person finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position<'d> {
    /// The name of the file.
    pub file: &'d str,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Diagnostics {
    /// Nothing found yet in these files.
    pub(super) fn new(files: Vec<File>) -> Self {
        Self { files, found: RefCell::default(), secrets: RefCell::default() }
    }

    /// Adds a finding. The same finding at the same place is there once: what
    /// holds for all clusters is read for each.
    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        let mut found = self.found.borrow_mut();
        if !found.iter().any(|other| other.is_same_as(&diagnostic)) {
            found.push(diagnostic);
        }
    }

    /// Keeps a place from being printed.
    pub(super) fn hide(&self, span: Range<usize>) {
        self.secrets.borrow_mut().push(span);
    }

    /// The text of a file, as it may be printed.
    fn printable(&self, file: &File) -> String {
        let mut text = file.text.clone();
        for secret in self.secrets.borrow().iter() {
            if self.file_of(secret.start).base == file.base {
                let span = clamp(secret.clone(), file);
                text.replace_range(span.clone(), &"*".repeat(span.len()));
            }
        }
        text
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
        &self.files[0].name
    }

    /// The names of all files that were read, the first one first.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    /// What the files say, as it may be printed: without the secrets in them.
    #[must_use]
    pub fn printable_texts(&self) -> Vec<(String, String)> {
        self.files.iter().map(|file| (file.name.clone(), self.printable(file))).collect()
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

    /// Makes every warning an error.
    pub fn make_strict(&self) {
        let mut found = self.found.borrow_mut();
        *found = found.drain(..).map(Diagnostic::made_strict).collect();
    }

    /// How many findings weigh `severity`.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.found.borrow().iter().filter(|found| found.severity() == severity).count()
    }

    /// Where a byte of a [`Diagnostic::place`] stands.
    #[must_use]
    pub fn position(&self, byte: usize) -> Position<'_> {
        let file = self.file_of(byte);
        let mut end = byte.saturating_sub(file.base).min(file.text.len());
        while !file.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &file.text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            file: &file.name,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// A path as it is meant where it stands: relative to the file that names it.
    pub(super) fn beside(&self, span: &Range<usize>, path: &str) -> PathBuf {
        let folder = Path::new(self.position(span.start).file).parent();
        folder.unwrap_or_else(|| Path::new("")).join(path)
    }

    /// What stands in a file.
    pub(super) fn written(&self, span: &Range<usize>) -> &str {
        let file = self.file_of(span.start);
        file.text.get(clamp(span.clone(), file)).unwrap_or_default()
    }

    /// Whether something within a span keeps the file from being used.
    pub(super) fn has_errors_within(&self, span: &Range<usize>) -> bool {
        let found = self.found.borrow();
        let mut errors = found.iter().filter(|found| found.severity() == Severity::Error);
        errors.any(|error| {
            error
                .place()
                .is_some_and(|(place, _)| span.start <= place.start && place.end <= span.end)
        })
    }

    fn file_of(&self, byte: usize) -> &File {
        let behind = self.files.partition_point(|file| file.base <= byte);
        &self.files[behind.saturating_sub(1)]
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
        format!("{}: {}", self.name(), counted.join(", "))
    }

    /// Every finding as text, an empty line between two.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        let found = self.found.borrow();
        let texts: Vec<String> = self.files.iter().map(|file| self.printable(file)).collect();
        for diagnostic in found.iter().take(MOST_PRINTED) {
            let group = self.group(diagnostic, &texts);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}\n", renderer.render(&[group]));
        }
        if found.len() > MOST_PRINTED {
            let _ = writeln!(text, "and {} more\n", found.len() - MOST_PRINTED);
        }
        text
    }

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic, texts: &'a [String]) -> Group<'a> {
        let level = match diagnostic.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let title = level.primary_title(normalize_untrusted_str(diagnostic.message()));
        let mut group = Group::with_title(title);
        let Some((span, label)) = diagnostic.place() else {
            group = group.element(Origin::path(self.name()));
            return Self::with_helps(group, diagnostic);
        };
        let own = self.file_of(span.start);
        let mut others: Vec<&File> = diagnostic
            .related_places()
            .map(|(span, _)| self.file_of(span.start))
            .filter(|file| file.base != own.base)
            .collect();
        others.dedup_by_key(|file| file.base);
        let primary =
            AnnotationKind::Primary.span(clamp(span, own)).label(normalize_untrusted_str(label));
        group = group.element(self.snippet(own, diagnostic, texts).annotation(primary));
        for other in others {
            group = group.element(self.snippet(other, diagnostic, texts));
        }
        Self::with_helps(group, diagnostic)
    }

    /// A file with the places in it that explain a finding.
    fn snippet<'a>(
        &'a self,
        file: &'a File,
        diagnostic: &'a Diagnostic,
        texts: &'a [String],
    ) -> Snippet<'a, Annotation<'a>> {
        let related = diagnostic
            .related_places()
            .filter(|(span, _)| self.file_of(span.start).base == file.base);
        let text = self.files.iter().zip(texts).find(|(own, _)| own.base == file.base);
        let text = text.map_or("", |(_, text)| text.as_str());
        Snippet::source(text).path(file.name.as_str()).annotations(related.map(|(span, label)| {
            AnnotationKind::Context.span(clamp(span, file)).label(normalize_untrusted_str(label))
        }))
    }

    fn with_helps<'a>(group: Group<'a>, diagnostic: &'a Diagnostic) -> Group<'a> {
        group.elements(
            diagnostic
                .helps()
                .iter()
                .map(|help| Level::HELP.message(normalize_untrusted_str(help))),
        )
    }
}

/// A span of the text of all files as one of this file.
fn clamp(span: Range<usize>, file: &File) -> Range<usize> {
    let end = span.end.saturating_sub(file.base).min(file.text.len());
    span.start.saturating_sub(file.base).min(end)..end
}
