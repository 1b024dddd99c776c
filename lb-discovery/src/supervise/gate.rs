//! Which reports come into force, and when.
//!
//! Two things are held up. A set that removes more than half of the backends, and at
//! least two, is more often a mistake than the truth: an unmounted folder, an agent
//! that has just been restarted and knows only itself. It has to be true for a
//! while. And a source that flaps must not rebuild the cluster all the time: beyond
//! its tokens only the latest report counts.
//!
//! That a source falls silent confirms what it said last, because it says when that
//! is no longer true. While it cannot be read, its silence confirms nothing.
//!
//! Pure: the time is an argument.

use std::{collections::BTreeSet, time::Duration};

use lb_core::{Membership, Tick};

use super::bucket::Bucket;
use crate::source::Report;

#[derive(Debug)]
pub(super) struct Gate {
    in_force: Option<Report>,
    waiting: Option<Waiting>,
    bucket: Bucket,
    /// How long a set that removes many must be true; `None`: it need not.
    confirm: Option<Duration>,
}

/// A report that is to come into force.
#[derive(Debug)]
struct Waiting {
    report: Report,
    doubt: Doubt,
}

/// Whether to believe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    No,
    /// It and all reports since have removed many.
    Since(Tick),
    /// The source has failed since, so that time does not count.
    Interrupted,
}

impl Gate {
    pub(super) fn new(confirm: Option<Duration>, bucket: Bucket) -> Self {
        Self { in_force: None, waiting: None, bucket, confirm }
    }

    /// What holds.
    pub(super) fn in_force(&self) -> Option<&Report> {
        self.in_force.as_ref()
    }

    /// A set that is not believed yet.
    pub(super) fn doubted(&self) -> Option<&Membership> {
        let waiting = self.waiting.as_ref().filter(|waiting| waiting.doubt != Doubt::No)?;
        Some(&waiting.report.set)
    }

    /// Puts a set into force that held before this gate was made.
    pub(super) fn resume(&mut self, set: Membership) {
        self.in_force = Some(set.into());
    }

    /// The source said something.
    pub(super) fn offer(&mut self, report: Report, now: Tick) {
        let since = match self.waiting.take().map(|waiting| waiting.doubt) {
            Some(Doubt::Since(since)) => since,
            _ => now,
        };
        let Some(in_force) = &self.in_force else {
            self.waiting = Some(Waiting { report, doubt: Doubt::No });
            return;
        };
        if *in_force == report {
            return;
        }
        let is_doubted = self.confirm.is_some() && removes_many(&in_force.set, &report.set);
        let doubt = if is_doubted { Doubt::Since(since) } else { Doubt::No };
        self.waiting = Some(Waiting { report, doubt });
    }

    /// The source could not be read.
    pub(super) fn interrupt(&mut self) {
        if let Some(Waiting { doubt: doubt @ Doubt::Since(_), .. }) = &mut self.waiting {
            *doubt = Doubt::Interrupted;
        }
    }

    /// When the waiting report may come into force, if nothing else is said.
    pub(super) fn opens_at(&self) -> Option<Tick> {
        let confirmed = match self.waiting.as_ref()?.doubt {
            Doubt::No => Tick::ZERO,
            Doubt::Since(since) => since + self.confirm.unwrap_or_default(),
            Doubt::Interrupted => return None,
        };
        Some(confirmed.max(self.bucket.ready_at()))
    }

    /// Lets the waiting report through if its time has come, and says whether it
    /// did.
    pub(super) fn pass(&mut self, now: Tick) -> bool {
        if self.opens_at().is_none_or(|at| at > now) {
            return false;
        }
        let Some(waiting) = self.waiting.take() else { return false };
        self.bucket.take(now);
        self.in_force = Some(waiting.report);
        true
    }
}

/// Whether more than half of the backends, and at least two, are gone. By name: a
/// new address of a backend removes nobody.
fn removes_many(old: &Membership, new: &Membership) -> bool {
    let names: BTreeSet<_> = new.iter().map(|backend| backend.name()).collect();
    let gone = old.iter().filter(|backend| !names.contains(backend.name())).count();
    gone >= 2 && gone * 2 > old.len()
}

#[cfg(test)]
mod tests {
    use lb_core::Backend;
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;
    use crate::source::Warning;

    fn set(names: std::ops::Range<u32>) -> Membership {
        Membership::new(names.map(|n| Backend::new(format!("b{n}")))).unwrap()
    }

    fn at(ms: u64) -> Tick {
        Tick::from_millis(ms)
    }

    fn gate() -> Gate {
        let bucket = Bucket::new(Duration::from_millis(500), 4);
        Gate::new(Some(Duration::from_secs(1)), bucket)
    }

    fn holding(names: std::ops::Range<u32>) -> Gate {
        let mut gate = gate();
        gate.offer(set(names).into(), at(0));
        assert!(gate.pass(at(0)), "the first set is not doubted");
        gate
    }

    fn len(gate: &Gate) -> usize {
        gate.in_force().unwrap().set.len()
    }

    #[test]
    fn half_of_the_backends_may_go_at_once_and_more_only_after_a_while() {
        let mut gate = holding(0..10);
        gate.offer(set(0..5).into(), at(10));
        assert!(gate.pass(at(10)));
        gate.offer(set(0..2).into(), at(20));
        assert_eq!(gate.doubted(), Some(&set(0..2)));
        assert!(!gate.pass(at(1_019)));
        assert_eq!((gate.opens_at(), len(&gate)), (Some(at(1_020)), 5));
        assert!(gate.pass(at(1_020)));
        assert_eq!((gate.doubted(), len(&gate)), (None, 2));
    }

    #[test]
    fn the_only_backend_may_go_at_once_and_two_may_not() {
        let mut one = holding(0..1);
        one.offer(set(0..0).into(), at(10));
        assert!(one.pass(at(10)));
        let mut two = holding(0..2);
        two.offer(set(0..0).into(), at(10));
        assert!(!two.pass(at(10)) && two.pass(at(1_010)));
    }

    #[test]
    fn a_set_that_comes_back_was_never_gone() {
        let mut gate = holding(0..10);
        gate.offer(set(0..0).into(), at(10));
        gate.offer(set(0..10).into(), at(900));
        assert_eq!((gate.opens_at(), gate.doubted(), len(&gate)), (None, None, 10));
    }

    #[test]
    fn a_removal_that_grows_is_doubted_from_its_beginning() {
        let mut gate = holding(0..10);
        for (left, ms) in [(4, 10), (2, 400), (0, 800)] {
            gate.offer(set(0..left).into(), at(ms));
        }
        assert!(gate.pass(at(1_010)));
        assert_eq!(len(&gate), 0);
    }

    #[test]
    fn the_silence_of_a_failed_source_confirms_nothing() {
        let mut gate = holding(0..10);
        gate.offer(set(0..0).into(), at(10));
        gate.interrupt();
        assert!(!gate.pass(at(1_000_000)));
        gate.offer(set(0..0).into(), at(2_000_000));
        assert_eq!(gate.opens_at(), Some(at(2_001_000)), "what it says then is doubted anew");
    }

    #[test]
    fn a_new_address_removes_nobody() {
        let mut gate = gate();
        let moved = |port| {
            let backends =
                (0..4).map(|n| Backend::new(format!("h:{port}{n}")).named(n.to_string()));
            Membership::new(backends).unwrap()
        };
        gate.offer(moved(1).into(), at(0));
        assert!(gate.pass(at(0)));
        gate.offer(moved(2).into(), at(0));
        assert!(gate.pass(at(0)));
    }

    #[test]
    fn of_many_reports_the_latest_wins() {
        let mut gate = holding(0..1);
        let mut passed = 0;
        for n in 2..1_000 {
            gate.offer(set(0..n).into(), at(u64::from(n)));
            passed += u32::from(gate.pass(at(u64::from(n))));
        }
        // Three tokens are left of the burst, and two come back in the second.
        assert_eq!(passed, 4);
        assert!(gate.pass(gate.opens_at().unwrap()));
        assert_eq!(len(&gate), 999);
    }

    #[test]
    fn a_change_of_warnings_alone_comes_into_force_too() {
        let mut gate = holding(0..2);
        let warnings = vec![Warning::general("junk")];
        gate.offer(Report { set: set(0..2), warnings }, at(10));
        assert!(gate.pass(at(10)));
        assert_eq!(gate.in_force().unwrap().warnings.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1b),
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_latest_report_comes_into_force_and_errors_never_shrink_a_set(
            events in proptest::collection::vec((proptest::option::of(0..20_u32), 0..700_u64), 1..60)
        ) {
            let (mut gate, mut now, mut last) = (gate(), 0, None);
            for (event, pause) in events {
                now += pause;
                match event {
                    Some(n) => {
                        gate.offer(set(0..n).into(), at(now));
                        last = Some(n);
                    }
                    None => {
                        let before = gate.in_force().cloned();
                        gate.interrupt();
                        prop_assert_eq!(gate.in_force(), before.as_ref());
                    }
                }
                gate.pass(at(now));
            }
            if let Some(n) = last {
                gate.offer(set(0..n).into(), at(now));
                gate.pass(at(now + 600_000));
                prop_assert_eq!(&gate.in_force().unwrap().set, &set(0..n));
            }
        }
    }
}
