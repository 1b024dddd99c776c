//! One finding about a configuration file.

use std::ops::Range;

/// How much a [`Diagnostic`] weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Suspicious; the file is used all the same.
    Warning,
    /// The file is not used.
    Error,
}

impl Severity {
    /// The word printed and used in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A sentence, the place it is about, and what to do.
///
/// Built in one expression: `Diagnostic::error("…").at(span, "…").help("…")`.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    key: Option<String>,
    place: Option<(Range<usize>, String)>,
    related: Vec<(Range<usize>, String)>,
    helps: Vec<String>,
    about_absence: bool,
}

impl Diagnostic {
    /// Something that keeps the file from being used.
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    /// Something that is probably not what was meant.
    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }

    /// Something worth knowing.
    pub(crate) fn note(message: impl Into<String>) -> Self {
        Self::new(Severity::Note, message.into())
    }

    fn new(severity: Severity, message: String) -> Self {
        Self {
            severity,
            message,
            key: None,
            place: None,
            related: Vec::new(),
            helps: Vec::new(),
            about_absence: false,
        }
    }

    /// The text to underline and what to write beside the underline.
    pub(crate) fn at(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.place = Some((span, label.into()));
        self
    }

    /// A second place that explains the first.
    pub(crate) fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// The full name of the key, for machines.
    pub(crate) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// What to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(help.into());
        self
    }

    /// Marks a finding of the kind "X is missing". After a syntax error these
    /// are not trusted: the missing thing may stand in what could not be read.
    pub(crate) fn absence(mut self) -> Self {
        self.about_absence = true;
        self
    }

    /// Whether both say the same about the same place.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.place.is_some() && self.place == other.place && self.message == other.message
    }

    /// The same finding as one that keeps the file from being used, if it is a warning.
    pub(crate) fn made_strict(mut self) -> Self {
        if self.severity == Severity::Warning {
            self.severity = Severity::Error;
        }
        self
    }

    /// How much it weighs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The key it is about, for example `cluster.web.backends[1]`.
    #[must_use]
    pub fn key_path(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The bytes it is about, for [`Diagnostics::position`](super::Diagnostics::position), and the text beside the underline.
    #[must_use]
    pub fn place(&self) -> Option<(Range<usize>, &str)> {
        self.place.as_ref().map(|(span, label)| (span.clone(), label.as_str()))
    }

    /// Other places that explain the first.
    pub fn related_places(&self) -> impl Iterator<Item = (Range<usize>, &str)> {
        self.related.iter().map(|(span, label)| (span.clone(), label.as_str()))
    }

    /// What to do about it.
    #[must_use]
    pub fn helps(&self) -> &[String] {
        &self.helps
    }

    pub(crate) fn is_about_absence(&self) -> bool {
        self.about_absence
    }
}
