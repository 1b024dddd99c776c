//! From bytes to text, and from text to values: JSON and TOML become one thing.

use serde_json::Value;

use super::junk::Junk;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// `.json`
    Json,
    /// `.toml`
    Toml,
    /// Any other name: the content tells.
    Unknown,
}

impl Syntax {
    /// What the extension of a file name promises, and the name without it. Only
    /// extensions that are known here are taken off: `web.example.org` has none.
    #[must_use]
    pub fn of_file_name(name: &str) -> (Self, &str) {
        match name.rsplit_once('.') {
            Some((stem, "json")) => (Self::Json, stem),
            Some((stem, "toml")) => (Self::Toml, stem),
            Some((stem, "txt" | "node")) => (Self::Unknown, stem),
            _ => (Self::Unknown, name),
        }
    }
}

/// The text of a file. Nothing but blanks is refused: it is a file that somebody
/// has created and not yet written.
pub(super) fn text(content: &[u8]) -> Result<&str, Junk> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let text = str::from_utf8(content).map_err(|_| Junk::new("it is not UTF-8"))?;
    if text.trim().is_empty() { Err(Junk::new("it is empty")) } else { Ok(text) }
}

pub(super) fn json(text: &str) -> Result<Value, Junk> {
    serde_json::from_str(text).map_err(|error| Junk(format!("not JSON: {error}")))
}

pub(super) fn toml(text: &str) -> Result<Value, Junk> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        Junk(format!("not TOML: line {line}: {message}"))
    })
}
