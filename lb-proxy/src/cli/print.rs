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

/// Whether to write colours to this stream: by what <https://no-color.org> and
/// <https://bixense.com/clicolors> say.
pub(super) fn colour(stream: &impl IsTerminal) -> bool {
    wants_colour(stream.is_terminal(), |name| std::env::var(name).ok())
}

fn wants_colour(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let value = |name| variable(name).filter(|value| !value.is_empty());
    if value("NO_COLOR").is_some() {
        return false;
    }
    if value("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    let is_off = value("CLICOLOR").is_some_and(|value| value == "0");
    let is_dumb = value("TERM").is_some_and(|value| value == "dumb");
    is_terminal && !is_off && !is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_unless_somebody_says_otherwise() {
        let wants = |is_terminal, set: &[(&str, &str)]| {
            wants_colour(is_terminal, |name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!([wants(true, &[]), wants(false, &[])], [true, false]);
        for off in [("NO_COLOR", "1"), ("CLICOLOR", "0"), ("TERM", "dumb")] {
            assert!(!wants(true, &[off]), "{off:?}");
        }
        assert!(wants(true, &[("NO_COLOR", ""), ("CLICOLOR", "1")]));
        assert!(wants(false, &[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")]));
        assert!(!wants(false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!wants(true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    }
}
