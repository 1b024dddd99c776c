//! Writing to stdout and stderr. A closed pipe is no reason to panic: whoever was
//! reading has what it wanted.

use std::io::{self, IsTerminal, Write as _, stderr, stdout};

use anyhow::Context as _;
use lb_proxy::config::Diagnostics;

use super::queue;

/// Writes a result.
///
/// # Errors
///
/// When it is lost for another reason than that nobody reads it.
pub(super) fn result(text: &str) -> anyhow::Result<()> {
    let mut stdout = stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to the standard output")
        }
        _ => Ok(()),
    }
}

/// Writes what is not a result.
pub(super) fn diagnostic(text: &str) {
    queue::write(text.as_bytes());
}

/// Writes one error, with the chain of its causes.
pub(super) fn error(error: &anyhow::Error) {
    diagnostic(&format!("error: {error:#}\n"));
}

/// Writes all findings about a file, how many they are, and what follows from
/// errors among them.
pub(super) fn diagnostics(found: &Diagnostics, consequence: &str) {
    if found.is_empty() {
        return;
    }
    let consequence = match found.has_errors() {
        true => format!("; {consequence}"),
        false => String::new(),
    };
    let text = found.render(colour(&stderr()));
    diagnostic(&format!("{text}{}{consequence}\n", found.summary()));
}

/// Whether to write colours to this stream.
pub(super) fn colour(stream: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !is_set("NO_COLOR") && !dumb
}
