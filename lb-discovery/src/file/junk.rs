//! What a file says that is no backend.

/// Why the content of a file is no backend, or no list of them, as the end of a
/// sentence. Nothing was taken from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Junk(pub(super) String);

impl Junk {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
