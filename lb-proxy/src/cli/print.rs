//! Writing to stdout and stderr. A closed pipe is no reason to panic: whoever was
//! reading has what it wanted.

use std::io::{IsTerminal, Write as _, stderr, stdout};

use lb_proxy::config::Diagnostics;

/// Writes a result.
pub(super) fn result(text: &str) {
    let _ = stdout().write_all(text.as_bytes());
    let _ = stdout().flush();
}

/// Writes what is not a result.
pub(super) fn diagnostic(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

/// Writes one error, with the chain of its causes.
pub(super) fn error(error: &anyhow::Error) {
    diagnostic(&format!("error: {}\n", chain(error)));
}

/// An error and its causes, as far as the error has not named them itself.
pub(super) fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| {
        match text.is_empty() {
            true => cause,
            false if text.contains(&cause) => text,
            false => format!("{text}: {cause}"),
        }
    })
}

/// Writes all findings about a file, and how many they are.
pub(super) fn diagnostics(found: &Diagnostics) {
    if !found.is_empty() {
        let text = found.render(colour(&stderr()));
        diagnostic(&format!("{text}{}\n", found.summary()));
    }
}

/// Whether to write colours to this stream.
pub(super) fn colour(stream: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !is_set("NO_COLOR") && !dumb
}
