//! The one trait all sources have in common.
//!
//! The hard decision is *sets, not differences*. A source that reports joins and
//! leaves must never lose one, and whoever listens must replay them in order; a
//! source that reports sets may lose any but the last, and repairs itself by the
//! next. What changed is computed where it is needed, by
//! [`Diff`](lb_core::membership::Diff).
//!
//! A set comes with what a person should know about it: why it changed, and which
//! entries could not be used. Those are no errors: an error says that there is no
//! answer at all.

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc};

use lb_core::Membership;

/// What [`Source::next`] returns: boxed, so that sources can be chosen at run
/// time.
pub type NextSet<'a> = Pin<Box<dyn Future<Output = Result<Report, SourceError>> + Send + 'a>>;

/// Reports which backends exist.
///
/// `tests/conformance` holds every source to this contract.
pub trait Source: fmt::Debug + Send {
    /// What to call it where a person reads why something changed, such as
    /// `file lb.toml`.
    fn name(&self) -> &str;

    /// Waits until the report differs from the one returned last, and returns it
    /// whole. The first call returns the first set, and the first set after an
    /// error is returned even if it is the one from before, so that the end of a
    /// failure is seen. An empty set is an answer: nobody is there. Silence says
    /// that the last answer goes on to be true.
    ///
    /// Cancel-safe: a call that is dropped loses nothing; the next one returns
    /// what it would have returned.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the source can't be read. That says nothing about the
    /// backends: the set returned last goes on to hold.
    fn next(&mut self) -> NextSet<'_>;

    /// Tells a source, before its first call of [`next`](Self::next), what another
    /// one that read the same said last. For a source that keeps an entry with junk
    /// as it was: it cannot know what the entry was.
    fn resume(&mut self, _set: &Membership) {}

    /// What it was told and did not believe, counted by reason. `None`: it believes
    /// whom it asks.
    #[cfg(feature = "announce")]
    fn refusals(&self) -> Option<Arc<crate::announce::Refusals>> {
        None
    }
}

/// What a source says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// All backends there are.
    pub set: Membership,
    /// What could not be used, by entry. Stays in every report until it is put
    /// right.
    pub warnings: Vec<Warning>,
}

impl From<Membership> for Report {
    fn from(set: Membership) -> Self {
        Self { set, warnings: Vec::new() }
    }
}

/// Something a person should know about one entry of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which entry: the name of a file, of a backend, or a word; `None`: all of
    /// them.
    pub entry: Option<Arc<str>>,
    /// What about it.
    pub text: Arc<str>,
}

impl Warning {
    /// A warning about this entry.
    #[must_use]
    pub fn about(entry: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { entry: Some(entry.into()), text: text.into() }
    }

    /// A warning about the whole source.
    #[must_use]
    pub fn general(text: impl Into<Arc<str>>) -> Self {
        Self { entry: None, text: text.into() }
    }

    /// At most this many of a list, the last of which then counts the others: a
    /// folder full of junk must not fill a log.
    pub(crate) fn at_most(mut warnings: Vec<Self>) -> Vec<Self> {
        const SHOWN: usize = 100;
        if let Some(more) = warnings.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            warnings.truncate(SHOWN);
            warnings.push(Self::general(format!("{more} more warnings are not shown")));
        }
        warnings
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(entry) => write!(f, "{entry}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// A source could not be read; the last set goes on to hold.
#[derive(Debug)]
pub struct SourceError {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SourceError {
    /// An error in words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// Adds what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The error and what caused it, in one line.
    #[must_use]
    pub fn explained(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_explained_down_to_its_last_cause() {
        let inner = SourceError::new("refused").because("port 80");
        let error = SourceError::new("agent is away").because(inner);
        assert_eq!(error.explained(), "agent is away: refused: port 80");
        assert_eq!(error.to_string(), "agent is away");
    }

    #[test]
    fn many_warnings_are_counted_rather_than_shown() {
        let warnings = vec![Warning::about("a", "junk"); 150];
        let shown = Warning::at_most(warnings);
        assert_eq!(shown.len(), 101);
        assert_eq!(shown[100].to_string(), "50 more warnings are not shown");
        assert_eq!(Warning::at_most(shown[..100].to_vec()).len(), 100);
    }
}
