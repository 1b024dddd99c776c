//! Ours.

use lb_benches::Subject;
use lb_core::strategy::StrategyKind;

use crate::contender::Contender;

/// The bare pick, every backend busy with one to three requests.
pub(crate) fn pick(strategy: StrategyKind, size: usize) -> Contender {
    pick_of(strategy, Subject::tapped(strategy, size))
}

/// Picked, counted in, counted out; otherwise idle.
pub(crate) fn lease(strategy: StrategyKind, size: usize) -> Contender {
    lease_of(strategy, Subject::new(strategy, size))
}

pub(crate) fn pick_mostly_down(strategy: StrategyKind, size: usize) -> Contender {
    pick_of(strategy, Subject::tapped(strategy, size).mostly_down())
}

pub(crate) fn lease_mostly_down(strategy: StrategyKind, size: usize) -> Contender {
    lease_of(strategy, Subject::new(strategy, size).mostly_down())
}

fn pick_of(strategy: StrategyKind, subject: Subject) -> Contender {
    let leases = subject.under_load();
    Contender::new(format!("lb {strategy} pick"), move |thread| {
        // Held for as long as anybody picks.
        let _ = &leases;
        Box::new(subject.picks(thread))
    })
}

fn lease_of(strategy: StrategyKind, subject: Subject) -> Contender {
    Contender::new(format!("lb {strategy} lease"), move |thread| Box::new(subject.leases(thread)))
}
