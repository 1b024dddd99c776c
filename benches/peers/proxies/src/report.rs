//! The table: medians over the rounds, ratios pair by pair.

use std::{fmt, fs, time::Duration};

use crate::{
    cli::{Mode, Options},
    cpu::CpuTime,
};

/// The peer all ratios refer to.
const REFERENCE: &str = "haproxy";

/// What one round of one proxy gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    user: f64,
    system: f64,
    total: f64,
    per_second: f64,
    /// Share of the round the proxy was on its core; well below 1 means that the driver was the bottleneck.
    busy: f64,
    /// Share of the round that other processes had that core: above a few per cent the machine was not quiet.
    others: f64,
}

impl Round {
    pub(crate) fn new(cpu: CpuTime, core: Duration, wall: Duration, requests: u64) -> Self {
        let per_request = |time: Duration| time.as_secs_f64() * 1e6 / requests as f64;
        Self {
            user: per_request(cpu.user()),
            system: per_request(cpu.system()),
            total: per_request(cpu.total()),
            per_second: requests as f64 / wall.as_secs_f64(),
            busy: cpu.total().as_secs_f64() / wall.as_secs_f64(),
            others: core.saturating_sub(cpu.total()).as_secs_f64() / wall.as_secs_f64(),
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:6.2} µs ({:.2} user, {:.2} system)  {:.0} req/s  core {:.0} % busy, others {:.0} %",
            self.total,
            self.user,
            self.system,
            self.per_second,
            self.busy * 100.0,
            self.others * 100.0
        )
    }
}

/// Collects rounds and prints them as Markdown.
#[derive(Debug)]
pub(crate) struct Report {
    heading: String,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    label: String,
    version: String,
    rounds: Vec<Round>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        let request = match options.post {
            Some(bytes) => format!("POST with {bytes} bytes"),
            None => "GET".to_owned(),
        };
        let connections = match options.mode {
            Mode::KeepAlive => format!("{} keep-alive connections", options.connections),
            Mode::NewConnections => {
                format!("a new connection per request, {} at a time", options.connections)
            }
        };
        let headers = if options.forwarded { ", peers add forwarded headers" } else { "" };
        let heading = format!(
            "{request}, {} bytes back, {connections}; {} rounds of {} requests{headers}; {}",
            options.body,
            options.rounds,
            options.requests,
            machine()
        );
        Self { heading, columns: Vec::new() }
    }

    pub(crate) fn column(&mut self, label: &str, version: &str) {
        self.columns.push(Column {
            label: label.to_owned(),
            version: version.to_owned(),
            rounds: Vec::new(),
        });
    }

    pub(crate) fn add(&mut self, label: &str, round: Round) {
        if let Some(column) = self.columns.iter_mut().find(|column| column.label == label) {
            column.rounds.push(round);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.heading)?;
        writeln!(
            f,
            "| CPU µs per request, median | user | system | total | req/s | core busy | others on it | ratio to HAProxy (of each round) |"
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|---:|")?;
        let reference = self.columns.iter().find(|column| column.label == REFERENCE);
        for column in &self.columns {
            let of = |field: fn(&Round) -> f64| median(column.rounds.iter().map(field));
            writeln!(
                f,
                "| {} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} % | {:.0} % | {} |",
                column.label,
                of(|round| round.user),
                of(|round| round.system),
                of(|round| round.total),
                of(|round| round.per_second),
                of(|round| round.busy * 100.0),
                of(|round| round.others * 100.0),
                reference.map_or_else(|| "–".to_owned(), |reference| column.ratio_to(reference)),
            )?;
        }
        writeln!(f)?;
        for column in &self.columns {
            writeln!(f, "{}: {}", column.label, column.version)?;
        }
        Ok(())
    }
}

impl Column {
    fn ratio_to(&self, reference: &Self) -> String {
        let pairs = self.rounds.iter().zip(&reference.rounds);
        let ratios: Vec<f64> = pairs.map(|(own, other)| own.total / other.total).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        format!("{:.3} ({least:.3}–{most:.3})", median(ratios))
    }
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

/// Processor and kernel, for whoever compares two tables.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_of_an_even_number_lies_between_the_middle_two() {
        assert!((median([4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
    }
}
