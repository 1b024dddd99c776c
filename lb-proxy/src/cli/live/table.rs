//! Tables: columns that are aligned, and nothing between them but blanks, so that `awk`
//! has a word for each cell that is one. What does not fit a terminal is left out, the
//! least important column first; into a pipe everything is written.

use std::{
    env,
    io::{IsTerminal as _, stdout},
};

use crate::cli::print;

/// One column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    is_number: bool,
    /// Those with the highest go first; with 0 never.
    dropped: u8,
    /// It has states, which a colour makes easier to find.
    is_state: bool,
}

impl Column {
    pub(super) const fn text(title: &'static str) -> Self {
        Self { title, is_number: false, dropped: 0, is_state: false }
    }

    pub(super) const fn number(title: &'static str) -> Self {
        Self { title, is_number: true, dropped: 0, is_state: false }
    }

    /// States of backends.
    pub(super) const fn state(title: &'static str) -> Self {
        Self { is_state: true, ..Self::text(title) }
    }

    /// It may be left out: the higher, the sooner.
    pub(super) const fn dropped(self, dropped: u8) -> Self {
        Self { dropped, ..self }
    }
}

/// Rows under columns, each with lines of its own below it.
#[derive(Debug)]
pub(super) struct Table<'c> {
    columns: &'c [Column],
    rows: Vec<(Vec<String>, Vec<String>)>,
}

impl<'c> Table<'c> {
    pub(super) fn new(columns: &'c [Column]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>, below: Vec<String>) {
        self.rows.push((cells, below));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As wide as the standard output is.
    pub(super) fn render(&self) -> String {
        self.render_within(width(), print::colour(&stdout()))
    }

    fn render_within(&self, limit: Option<usize>, is_coloured: bool) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|one| self.width_of(one)).collect();
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        while limit.is_some_and(|limit| total(&shown, &widths) > limit) {
            let least = shown.iter().copied().max_by_key(|one| self.columns[*one].dropped);
            match least.filter(|one| self.columns[*one].dropped > 0) {
                Some(least) => shown.retain(|one| *one != least),
                None => break,
            }
        }
        let titles: Vec<&str> = self.columns.iter().map(|column| column.title).collect();
        let mut text = self.line(&titles, &shown, &widths, false);
        for (cells, below) in &self.rows {
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            text += &self.line(&cells, &shown, &widths, is_coloured);
            text.extend(below.iter().map(|line| format!("  {line}\n")));
        }
        text
    }

    fn width_of(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|(cells, _)| cells.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(self.columns[column].title.chars().count())
    }

    fn line(&self, cells: &[&str], shown: &[usize], widths: &[usize], is_coloured: bool) -> String {
        let cell = |one: &usize| {
            let (width, text) = (widths[*one], cells.get(*one).copied().unwrap_or_default());
            let column = &self.columns[*one];
            let colour = colour_of(text).filter(|_| column.is_state && is_coloured);
            match (column.is_number, colour) {
                (true, _) => format!("{text:>width$}"),
                (false, None) => format!("{text:width$}"),
                (false, Some(colour)) => {
                    let rest = width.saturating_sub(text.chars().count());
                    format!("\x1b[{colour}m{text}\x1b[0m{:rest$}", "")
                }
            }
        };
        let line = shown.iter().map(cell).collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    }
}

/// What a state looks like; its word is there as well.
fn colour_of(state: &str) -> Option<u8> {
    let (red, green, yellow) = (31, 32, 33);
    match state {
        "up" => Some(green),
        "down" | "ejected" => Some(red),
        "draining" | "drained" | "disabled" | "starting" | "joining" | "half-open" | "leaving" => {
            Some(yellow)
        }
        _ => None,
    }
}

fn total(shown: &[usize], widths: &[usize]) -> usize {
    shown.iter().map(|one| widths[*one] + 2).sum::<usize>().saturating_sub(2)
}

/// Columns of the terminal; `None` where it is none.
fn width() -> Option<usize> {
    if let Some(said) = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()) {
        return Some(said);
    }
    let stdout = stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::text("target"),
        Column::number("weight").dropped(1),
        Column::text("address").dropped(2),
    ];

    fn table() -> Table<'static> {
        let mut table = Table::new(&COLUMNS);
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        table.row(row(["web/s1", "3", "10.0.0.1:80"]), vec![]);
        table.row(row(["web/s22", "12", ""]), vec!["why: so".to_owned()]);
        table
    }

    #[test]
    fn cells_are_aligned_and_no_line_ends_in_blanks() {
        let text = "target   weight  address\n\
                    web/s1        3  10.0.0.1:80\n\
                    web/s22      12\n\x20 why: so\n";
        assert_eq!(table().render_within(None, false), text);
        assert_eq!(table().render_within(Some(28), false), text);
    }

    #[test]
    fn what_does_not_fit_goes_by_importance_and_the_rest_stays() {
        let columns =
            |width| table().render_within(Some(width), false).lines().next().map(str::to_owned);
        assert_eq!(columns(27).as_deref(), Some("target   weight"));
        assert_eq!(columns(14).as_deref(), Some("target"));
        assert_eq!(columns(1).as_deref(), Some("target"));
    }

    #[test]
    fn a_state_is_a_word_with_a_colour_and_stays_in_its_column() {
        const STATES: [Column; 2] = [Column::state("state"), Column::number("weight")];
        let mut table = Table::new(&STATES);
        for state in ["up", "draining", "down", "unknown"] {
            table.row(vec![state.to_owned(), "1".to_owned()], vec![]);
        }
        let text = "state     weight\n\
                    \x1b[32mup\x1b[0m             1\n\
                    \x1b[33mdraining\x1b[0m       1\n\
                    \x1b[31mdown\x1b[0m           1\n\
                    unknown        1\n";
        assert_eq!(table.render_within(None, true), text);
        let plain = table.render_within(None, false);
        assert_eq!(plain.lines().nth(1), Some("up             1"));
    }
}
