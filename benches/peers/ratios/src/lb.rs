//! Ours.

use lb_benches::Subject;
use lb_core::strategy::{Maglev, RoundRobin, Strategy, StrategyKind, Tickets};

use crate::contender::Contender;

/// The bare pick, every backend busy with one to three requests.
pub(crate) fn pick(strategy: StrategyKind, size: usize) -> Contender {
    pick_of(strategy.name(), Subject::tapped(strategy, size))
}

/// Picked, counted in, counted out; otherwise idle.
pub(crate) fn lease(strategy: StrategyKind, size: usize) -> Contender {
    lease_of(strategy.name(), Subject::new(strategy, size))
}

/// Round robin with turns that a worker takes 64 at a time.
pub(crate) fn in_blocks(size: usize) -> Vec<Contender> {
    let strategy = || Box::new(RoundRobin::default().tickets(Tickets::Blocks));
    let name = "round-robin in blocks";
    vec![
        pick_of(name, Subject::tapping(strategy(), size)),
        lease_of(name, Subject::of(strategy(), size)),
    ]
}

/// Maglev without a bound on loads: what peers without one do.
pub(crate) fn unbounded(size: usize) -> Vec<Contender> {
    let (strategy, name) = unbounded_maglev();
    vec![
        pick_of(name, Subject::tapping(strategy(), size)),
        lease_of(name, Subject::of(strategy(), size)),
    ]
}

/// The same with nine of ten backends down.
pub(crate) fn unbounded_mostly_down(size: usize) -> Vec<Contender> {
    let (strategy, name) = unbounded_maglev();
    vec![pick_of(name, Subject::tapping(strategy(), size).mostly_down())]
}

fn unbounded_maglev() -> (fn() -> Box<dyn Strategy>, &'static str) {
    (|| Box::new(Maglev::default().bounded(None)), "maglev without bound")
}

pub(crate) fn pick_mostly_down(strategy: StrategyKind, size: usize) -> Contender {
    pick_of(strategy.name(), Subject::tapped(strategy, size).mostly_down())
}

pub(crate) fn lease_mostly_down(strategy: StrategyKind, size: usize) -> Contender {
    lease_of(strategy.name(), Subject::new(strategy, size).mostly_down())
}

fn pick_of(strategy: &str, subject: Subject) -> Contender {
    let leases = subject.under_load();
    Contender::new(format!("lb {strategy} pick"), move |thread| {
        // Held for as long as anybody picks.
        let _ = &leases;
        Box::new(subject.picks(thread))
    })
}

fn lease_of(strategy: &str, subject: Subject) -> Contender {
    Contender::new(format!("lb {strategy} lease"), move |thread| Box::new(subject.leases(thread)))
}
