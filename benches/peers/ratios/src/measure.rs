//! Rounds in which all contenders take their turn.

use std::time::Duration;

use lb_benches::on_threads;

use crate::{
    allocations,
    contender::{Contender, Loop},
};

/// How long one turn should take.
const TURN: Duration = Duration::from_millis(40);
/// Picks over which allocations and empty answers are counted.
const COUNTED: u64 = 100_000;

/// What was found about one contender.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) name: String,
    /// Nanoseconds per pick and thread, one entry per round.
    pub(crate) nanos: Vec<f64>,
    /// Allocations per pick.
    pub(crate) allocations: f64,
    /// Share of picks that found no backend.
    pub(crate) without: f64,
}

/// Measures them all.
pub(crate) fn in_turn(contenders: Vec<Contender>, threads: usize, rounds: usize) -> Vec<Measured> {
    let mut running: Vec<_> =
        contenders.into_iter().map(|one| Running::new(one, threads)).collect();
    for _ in 0..rounds {
        for one in &mut running {
            one.turn(threads);
        }
    }
    running.into_iter().map(|one| one.measured).collect()
}

struct Running {
    contender: Contender,
    picks: u64,
    measured: Measured,
}

impl Running {
    /// Counts, warms up, and finds out how many picks make a turn.
    fn new(contender: Contender, threads: usize) -> Self {
        let mut work: Loop = (contender.prepare)(0);
        work(COUNTED);
        let mut without = 0;
        let allocations = allocations::during(|| without = work(COUNTED));
        let measured = Measured {
            name: contender.name.clone(),
            nanos: Vec::new(),
            allocations: allocations as f64 / COUNTED as f64,
            without: without as f64 / COUNTED as f64,
        };
        let mut running = Self { contender, picks: COUNTED, measured };
        let took = running.time(threads);
        let turns = TURN.as_secs_f64() / took.as_secs_f64();
        running.picks = (COUNTED as f64 * turns) as u64 + 1;
        running
    }

    fn turn(&mut self, threads: usize) {
        let took = self.time(threads);
        self.measured.nanos.push(took.as_secs_f64() * 1e9 / self.picks as f64);
    }

    fn time(&self, threads: usize) -> Duration {
        on_threads(threads, self.picks, |thread| {
            let mut work = (self.contender.prepare)(thread);
            // Caches and cursors of this thread's own.
            work(1000);
            work
        })
    }
}
