//! A picture that is drawn again each second.
//!
//! On a terminal it has a screen of its own, which is gone when it ends, so that what was
//! there before is there again. Elsewhere one picture follows the other.

use std::{
    io::{IsTerminal as _, stdout},
    time::Duration,
};

use super::failure::Failure;
use crate::cli::print;

const PAUSE: Duration = Duration::from_secs(1);

/// A screen of one's own, no line longer than it, no cursor.
const BEGIN: &str = "\x1b[?1049h\x1b[?7l\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?7h\x1b[?1049l";

/// Draws what `picture` makes, until a signal or a failure ends it.
pub(super) async fn watch(
    mut picture: impl AsyncFnMut() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let screen = Screen::open();
    loop {
        let text = picture().await?;
        print::result(&match &screen {
            Some(_) => drawn(&text, height()),
            None => text,
        })?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Over what was there: clearing it all first would flicker.
fn drawn(text: &str, height: usize) -> String {
    let lines: Vec<&str> = text.lines().take(height.max(1)).collect();
    format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n"))
}

fn height() -> usize {
    let rows = rustix::termios::tcgetwinsize(stdout()).map_or(0, |size| usize::from(size.ws_row));
    if rows == 0 { 24 } else { rows }
}

/// Gives the terminal back as it was, also when a signal ends it.
struct Screen;

impl Screen {
    fn open() -> Option<Self> {
        let is_there = stdout().is_terminal() && print::result(BEGIN).is_ok();
        // Not `then_some`: one that is made is dropped, and gives back what it never had.
        is_there.then(|| Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nothing left to do for a terminal that is gone.
        let _ = print::result(END);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_the_screen_is_left_out_and_old_lines_are_overwritten() {
        assert_eq!(drawn("a\nb\nc\n", 2), "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J");
    }
}
