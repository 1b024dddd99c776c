//! The one trait all sources have in common.
//!
//! The hard decision is *sets, not differences*. A source that reports joins and
//! leaves must never lose one, and whoever listens must replay them in order; a
//! source that reports sets may lose any but the last, and repairs itself by the
//! next. What changed is computed where it is needed, by
//! [`Diff`](lb_core::membership::Diff).

use std::{error::Error, fmt, future::Future, pin::Pin};

use lb_core::Membership;

/// What [`Source::next`] returns: boxed, so that sources can be chosen at run
/// time.
pub type NextSet<'a> = Pin<Box<dyn Future<Output = Result<Membership, SourceError>> + Send + 'a>>;

/// Reports which backends exist.
pub trait Source: fmt::Debug + Send {
    /// What to call it where a person reads why something changed, such as
    /// `file lb.toml`.
    fn name(&self) -> &str;

    /// Waits until the set differs from the one returned last, and returns it
    /// whole. The first call returns the first set. An empty set is an answer:
    /// nobody is there.
    ///
    /// Cancel-safe: a call that is dropped loses nothing; the next one returns
    /// what it would have returned.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the source can't be read. That says nothing about the
    /// backends: the set returned last goes on to hold.
    fn next(&mut self) -> NextSet<'_>;
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
