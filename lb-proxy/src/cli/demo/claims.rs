//! What was claimed, and what was seen.

use std::{collections::BTreeMap, fmt::Write as _};

/// Who answered how often.
pub(super) type Shares = BTreeMap<String, usize>;

/// One thing a balancer is for.
#[derive(Debug)]
struct Claim {
    claim: &'static str,
    seen: String,
    holds: bool,
}

/// All of them, in the order in which they were looked at.
#[derive(Debug, Default)]
pub(super) struct Claims(Vec<Claim>);

impl Claims {
    /// Notes what was seen, and whether it is what was claimed.
    pub(super) fn note(&mut self, claim: &'static str, holds: bool, seen: impl Into<String>) {
        self.0.push(Claim { claim, seen: seen.into(), holds });
    }

    pub(super) fn all_hold(&self) -> bool {
        self.0.iter().all(|claim| claim.holds)
    }

    /// For a terminal.
    pub(super) fn table(&self) -> String {
        let width = self.0.iter().map(|claim| claim.claim.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Claim { claim, seen, holds } in &self.0 {
            let verdict = if *holds { "ok   " } else { "WRONG" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{verdict}  {claim:width$}  {seen}");
        }
        text
    }

    /// For a file. `file` is the configuration it was about.
    pub(super) fn report(&self, file: &str) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let mut text = format!("# lb {version}: what the demo has proved\n\n");
        text += "| claim | seen | |\n|---|---|---|\n";
        for Claim { claim, seen, holds } in &self.0 {
            let verdict = if *holds { "ok" } else { "**wrong**" };
            let _ = writeln!(text, "| {claim} | {seen} | {verdict} |");
        }
        text + "\nThe configuration:\n\n```toml\n" + file + "```\n"
    }
}

/// `d1 50, d2 50`
pub(super) fn listed(shares: &Shares) -> String {
    let shares: Vec<String> =
        shares.iter().map(|(name, count)| format!("{name} {count}")).collect();
    shares.join(", ")
}

/// Pearson's chi-square of these shares against equal ones of `members` backends:
/// below 10.8, with two of them, chance explains the difference in 999 of 1,000
/// cases.
pub(super) fn chi_square(shares: &Shares, members: usize) -> f64 {
    let total: usize = shares.values().sum();
    let expected = total as f64 / members as f64;
    let of_those_seen: f64 =
        shares.values().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
    of_those_seen + (members - shares.len()) as f64 * expected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(counts: &[(&str, usize)]) -> Shares {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn one_wrong_claim_is_enough() {
        let mut claims = Claims::default();
        claims.note("a", true, "1");
        assert!(claims.all_hold());
        claims.note("longer", false, "2");
        assert!(!claims.all_hold());
        assert_eq!(claims.table(), "ok     a       1\nWRONG  longer  2\n");
        assert!(claims.report("x = 1\n").contains("| longer | 2 | **wrong** |"));
    }

    #[test]
    fn chi_square_grows_with_the_difference() {
        let fits = |counts: &[(&str, usize)]| chi_square(&shares(counts), 2) < 10.8;
        assert!(fits(&[("a", 50), ("b", 50)]));
        assert!(fits(&[("a", 55), ("b", 45)]));
        assert!(!fits(&[("a", 80), ("b", 20)]));
        assert!(!fits(&[("a", 100)]), "who was never seen counts too");
    }
}
