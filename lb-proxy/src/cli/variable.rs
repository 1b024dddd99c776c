//! Environment variables that stand in for a flag.
//!
//! Not clap's: an empty variable counts as unset here, since that is how compose
//! files and unit files leave one out, and a mistake is blamed on the variable
//! and not on a flag that nobody typed.

use std::env;

use lb_proxy::config::did_you_mean;

use super::print;

/// Those that are read.
const KNOWN: [&str; 14] = [
    "LB_ADMIN",
    "LB_ADMIN_TOKEN",
    "LB_ANNOUNCE_KEY",
    "LB_CONFIG",
    "LB_KEY",
    "LB_LISTEN",
    "LB_LOG",
    "LB_STATE",
    "LB_STICKY",
    "LB_STRATEGY",
    "LB_TO",
    "LB_TOKEN",
    "LB_TOKEN_FILE",
    "LB_WORKERS",
];

/// Warns of variables that are nearly ours. What is not near is somebody else's, or
/// named by the file.
pub(super) fn warn_unknown() {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("LB_")).collect();
    names.sort();
    for name in names.iter().filter(|name| !KNOWN.contains(&name.as_str())) {
        // That both begin with `LB_` is no likeness.
        let own = |name: &str| name.trim_start_matches("LB_").to_lowercase();
        let known = KNOWN.map(own);
        if let Some(near) = did_you_mean(&own(name), known.iter().map(String::as_str)) {
            let near = near.to_uppercase();
            print::diagnostic(&format!(
                "warning: `{name}` means nothing here; did you mean `LB_{near}`?\n"
            ));
        }
    }
}

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
