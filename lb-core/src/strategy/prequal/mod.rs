//! By what a few backends, asked just now, say of themselves.

mod hot;
mod pool;

pub use pool::{ProbePool, Probed};

use self::pool::Entry;
use super::{BuildCx, Choice, PickCx, Picker, Reason, Strategy, draws::Draws};
use crate::cluster::{Slot, View};

/// Prequal (Wydrowski, Kleinberg, Rumble, Archer: *Load is not what you should balance*,
/// NSDI 2024): the fastest of those that are not hot.
///
/// The worker asks a few random backends with each request how much they have in flight
/// and how long that takes, and keeps the answers of the last second, at most sixteen
/// ([`ProbePool`], handed in by [`PickCx::probed`]). A backend is *hot* if it has more
/// in flight than 84 % of the last answers said. Of those that are not, the one with the
/// lowest latency is taken; if all are hot, the one with the least in flight.
///
/// Without a pool, or while it has fewer than two results that can be used, the least
/// loaded of four draws is taken, as by [`LeastConn`](super::LeastConn) under load.
///
/// # Where it is not the paper's
///
/// * Weights count: loads are compared per weight. Latencies are not, as a backend that
///   is as fast as others has to have them alike.
/// * A backend has one result in a pool and not several, and a result is never the last
///   but one to be taken out. With fewer backends than places, the paper's pool would be
///   full of the same few, and its formula for reuse has no meaning: results are used
///   until they are old.
/// * Recent failures count as load ([`View::pressure`]): who fails fast is hot, and not
///   the fastest. A probe that fails makes the backend unknown.
/// * Nobody is probed while there are no requests.
/// * Everything is in whole numbers.
///
/// O(16) per pick.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prequal;

/// How many are drawn when too little is known.
const DRAWS: u32 = 4;

#[derive(Debug)]
struct HotCold(Draws);

impl Strategy for Prequal {
    fn name(&self) -> &'static str {
        "prequal"
    }

    fn build(&mut self, view: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        Box::new(HotCold(Draws::new(view)))
    }
}

impl Picker for HotCold {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        if let Some(slot) = cx.probes().and_then(|pool| best(pool, view, cx)) {
            return Some(Choice::new(slot, Reason::Probed));
        }
        let slot = self.0.least_of(DRAWS, view, cx)?;
        Some(Choice::new(slot, Reason::LeastLoaded))
    }
}

/// The best of the pool, by the hot/cold rule.
fn best(pool: &ProbePool, view: View<'_>, cx: &PickCx<'_>) -> Option<Slot> {
    let hot_above = pool.hot_above();
    let is_there = |entry: &&Entry| {
        let slot = entry.slot;
        // The snapshot may be another than that of the probe.
        slot.index() < view.len()
            && view.incarnation(slot) == entry.incarnation
            && view.is_candidate(slot, cx)
            && !view.is_full(slot)
    };
    let cost = |entry: &&Entry| {
        let failures = view.failure_pressure(entry.slot, cx.now());
        let load = entry.load.saturating_add(failures.saturating_mul(entry.request) >> 8);
        let is_hot = load > hot_above;
        (is_hot, if is_hot { load } else { 0 }, entry.latency, load)
    };
    let candidates = pool.usable(cx.now()).filter(is_there);
    candidates.min_by_key(cost).map(|entry| entry.slot)
}
