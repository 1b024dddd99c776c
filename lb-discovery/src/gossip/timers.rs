//! The timers of foca: one heap, in the order in which they are due. Those that are due
//! together go in the order that foca wants.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use foca::Timer;
use lb_core::Tick;

use super::identity::Identity;

#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<Due>>,
    count: u64,
}

#[derive(PartialEq, Eq)]
struct Due {
    at: Tick,
    timer: Timer<Identity>,
    /// The first of equals goes first.
    count: u64,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer<Identity>, at: Tick) {
        self.count += 1;
        self.heap.push(Reverse(Due { at, timer, count: self.count }));
    }

    /// One that is due.
    pub(super) fn take(&mut self, now: Tick) -> Option<Timer<Identity>> {
        let is_due = self.next_at().is_some_and(|at| at <= now);
        if is_due { self.heap.pop().map(|Reverse(due)| due.timer) } else { None }
    }

    pub(super) fn next_at(&self) -> Option<Tick> {
        self.heap.peek().map(|Reverse(due)| due.at)
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_timer = || self.timer.cmp(&other.timer);
        self.at.cmp(&other.at).then_with(by_timer).then(self.count.cmp(&other.count))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_go_in_the_order_of_their_times_and_of_foca() {
        let mut timers = Timers::default();
        let at = Tick::from_millis;
        let probed_id = Identity::whoever(([10, 0, 0, 1], 1).into());
        timers.set(Timer::PeriodicGossip(1), at(5));
        timers.set(Timer::ProbeRandomMember(1), at(3));
        timers.set(Timer::SendIndirectProbe { probed_id, token: 1 }, at(3));
        timers.set(Timer::ProbeRandomMember(2), at(3));
        assert_eq!(timers.take(at(2)), None);
        assert_eq!(timers.next_at(), Some(at(3)));
        let taken: Vec<_> = std::iter::from_fn(|| timers.take(at(5))).collect();
        assert!(matches!(
            taken[..],
            [
                Timer::SendIndirectProbe { .. },
                Timer::ProbeRandomMember(1),
                Timer::ProbeRandomMember(2),
                Timer::PeriodicGossip(1)
            ]
        ));
    }
}
