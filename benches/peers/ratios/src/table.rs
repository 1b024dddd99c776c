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

    /// Whether it is of the one called so.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        [self.peer, self.ours].contains(&name)
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
        write!(f, "\n{}", Ratios::new(self.sizes, self.pairs))
    }
}

/// A row per pair: how many times faster ours is, at each size, and both times at the
/// largest.
pub(crate) struct Ratios<'a>(Table<'a>);

impl<'a> Ratios<'a> {
    pub(crate) fn new(sizes: &'a [(usize, Vec<Measured>)], pairs: &'static [Pair]) -> Self {
        Self(Table::new(sizes, pairs))
    }
}

impl fmt::Display for Ratios<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.0;
        table.heading(f, "how many times faster", &["ns, of the last size"])?;
        for pair in table.pairs {
            let (peers, ours) = (table.row(pair.peer), table.row(pair.ours));
            // Not every strategy and peer takes part in every table.
            let (Some(peer), Some(own)) = (peers.last(), ours.last()) else { continue };
            write!(f, "| {} ÷ {} |", pair.peer, pair.ours)?;
            let nanos = |one: &Measured| median(one.nanos.iter().copied());
            let last = format!("{:.1} ÷ {:.1}", nanos(peer), nanos(own));
            for (peer, own) in peers.iter().zip(&ours) {
                let rounds = peer.nanos.iter().zip(&own.nanos);
                write!(f, " {:.1} |", median(rounds.map(|(peer, own)| peer / own)))?;
            }
            writeln!(f, " {last} |")?;
        }
        Ok(())
    }
}

/// What two threads get done together, of what one does alone: 2 is perfect.
pub(crate) struct Threads<'a> {
    one: &'a [(usize, Vec<Measured>)],
    two: Table<'a>,
}

impl<'a> Threads<'a> {
    pub(crate) fn new(
        one: &'a [(usize, Vec<Measured>)],
        two: &'a [(usize, Vec<Measured>)],
    ) -> Self {
        Self { one, two: Table::new(two, &[]) }
    }
}

impl fmt::Display for Threads<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.two.heading(f, "two threads ÷ one", &[])?;
        let (_, first) = &self.one[0];
        let alone = Table::new(self.one, &[]);
        for contender in first {
            write!(f, "| {} |", contender.name)?;
            for (one, two) in alone.row(&contender.name).iter().zip(self.two.row(&contender.name)) {
                let median = |of: &Measured| median(of.nanos.iter().copied());
                let (one, two) = (median(one), median(two));
                write!(f, " {:.2} ({one:.1} → {two:.1} ns) |", 2.0 * one / two)?;
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
