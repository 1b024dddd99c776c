//! Environment variables that stand in for a flag.
//!
//! Not clap's: an empty variable counts as unset here, since that is how compose
//! files and unit files leave one out, and a mistake is blamed on the variable
//! and not on a flag that nobody typed.

use std::env;

/// The value of a variable, unless it is unset or empty.
///
/// # Errors
///
/// A sentence that names the variable.
pub(super) fn variable<T>(
    name: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = value.to_str().ok_or_else(|| format!("`{name}` is not text in UTF-8"))?;
    read(text).map(Some).map_err(|reason| format!("`{name}={text}`: {reason}"))
}
