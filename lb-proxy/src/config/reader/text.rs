//! A string of the file that still has to mean something.

use std::ops::Range;

use crate::config::{diagnostic::Diagnostic, diagnostics::Diagnostics};

/// A string of the file with its place, to be judged further.
#[derive(Debug, Clone)]
pub(crate) struct Text<'a> {
    path: String,
    text: &'a str,
    span: Range<usize>,
    out: &'a Diagnostics,
}

impl<'a> Text<'a> {
    pub(super) fn new(
        path: String,
        text: &'a str,
        span: Range<usize>,
        out: &'a Diagnostics,
    ) -> Self {
        Self { path, text, span, out }
    }

    /// The string itself.
    pub(crate) fn as_str(&self) -> &'a str {
        self.text
    }

    /// Whether variables are written in it.
    pub(crate) fn is_expanded(&self) -> bool {
        self.out.written(&self.span).contains("${")
    }

    /// Keeps it from being printed.
    pub(crate) fn hide(&self) {
        self.out.hide(self.span());
    }

    /// The full name of its key.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Where it stands, quotes included.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// An error that underlines this string.
    pub(crate) fn error(&self, message: impl Into<String>, label: impl Into<String>) -> Diagnostic {
        let (message, label) = (message.into(), label.into());
        let is_told = message.contains(self.text) || label.contains(self.text);
        let found = Diagnostic::error(message).at(self.span(), label).key(&self.path);
        match self.is_expanded() && !is_told {
            true => found.help(format!("it says `{}`", self.text)),
            false => found,
        }
    }

    /// Reports a finding.
    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.out.push(diagnostic);
    }
}
