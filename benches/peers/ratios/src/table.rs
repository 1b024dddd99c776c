//! Markdown.

use std::fmt;

use crate::measure::Measured;

/// A peer and what of ours it is divided by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    peer: &'static str,
    ours: &'static str,
}

impl Pair {
    pub(crate) const fn new(peer: &'static str, ours: &'static str) -> Self {
        Self { peer, ours }
    }
}

/// One table of times and one of ratios, a column per size.
pub(crate) struct Table<'a> {
    sizes: &'a [(usize, Vec<Measured>)],
    pairs: &'static [Pair],
}

impl<'a> Table<'a> {
    pub(crate) fn new(sizes: &'a [(usize, Vec<Measured>)], pairs: &'static [Pair]) -> Self {
        Self { sizes, pairs }
    }

    /// The row of `name`: what was measured at each size.
    fn row(&self, name: &str) -> Vec<&'a Measured> {
        let of_size =
            |(_, all): &'a (usize, Vec<Measured>)| all.iter().find(|one| one.name == name);
        self.sizes.iter().filter_map(of_size).collect()
    }

    fn heading(&self, f: &mut fmt::Formatter<'_>, first: &str, last: &[&str]) -> fmt::Result {
        write!(f, "| {first} |")?;
        for (size, _) in self.sizes {
            write!(f, " {size} backends |")?;
        }
        for column in last {
            write!(f, " {column} |")?;
        }
        writeln!(f, "\n|---|{}", "---:|".repeat(self.sizes.len() + last.len()))
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, first) = &self.sizes[0];
        self.heading(f, "", &["allocations", "found nobody"])?;
        for one in first {
            write!(f, "| {} |", one.name)?;
            let row = self.row(&one.name);
            for measured in &row {
                write!(f, " {:.1} |", median(measured.nanos.iter().copied()))?;
            }
            let most =
                |field: fn(&Measured) -> f64| row.iter().copied().map(field).fold(0.0, f64::max);
            writeln!(
                f,
                " {} | {} |",
                allocations(most(|one| one.allocations)),
                share(most(|one| one.without))
            )?;
        }
        writeln!(f)?;
        self.heading(f, "how many times faster", &[])?;
        for pair in self.pairs {
            let (peers, ours) = (self.row(pair.peer), self.row(pair.ours));
            if peers.is_empty() || ours.is_empty() {
                continue;
            }
            write!(f, "| {} ÷ {} |", pair.peer, pair.ours)?;
            for (peer, own) in peers.iter().zip(ours) {
                let rounds = peer.nanos.iter().zip(&own.nanos);
                write!(f, " {:.1} |", median(rounds.map(|(peer, own)| peer / own)))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn allocations(number: f64) -> String {
    if number == 0.0 { "0".to_owned() } else { format!("{number:.2}") }
}

fn share(number: f64) -> String {
    if number == 0.0 { "never".to_owned() } else { format!("{:.2} %", number * 100.0) }
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}
