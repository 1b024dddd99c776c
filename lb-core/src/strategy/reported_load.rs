//! By what backends report of their own load.

use std::time::Duration;

use super::{BuildCx, Choice, Needs, PickCx, Picker, Reason, Strategy, draws::Draws};
use crate::{
    backend::LoadReport,
    cluster::{Slot, View},
    sample,
    time::Tick,
};

/// The one of several draws that says it is least loaded.
///
/// A balancer sees only what it sends itself. Where there are many of them, or backends
/// have other things to do, only a backend knows how loaded it is; its last report
/// ([`Lease::reports`](crate::Lease::reports)) is the load that is compared here. Two
/// draws are too few: with half of the backends slow and something else running on a
/// tenth, two diverge even with exact loads, and five and sixteen do not. Draws are by
/// weight.
///
/// A report is old when it is read. What went to the backend since counts with what a
/// request usually makes of a load, so that not all workers send everything to whoever
/// reported nothing last: one where loads are requests in flight (then what has ended
/// since counts as well); else the loads of those drawn, divided by the requests in
/// flight that they report or that they had from here.
///
/// * Who has not reported, or not for `stale_after`, is taken for a usual one: of the
///   mean load of those drawn who have.
/// * Failures of a moment ago count as requests ([`View::pressure`]), and who has some is
///   not believed to have less to do than usual: who fails at once is idle.
/// * Requests in flight are compared per weight; what is a part of a whole, such as the
///   use of processors, is one of a strong backend as of a weak one, and is not.
/// * Where nobody reports, the smallest pressure ÷ weight wins, as with
///   [`P2c`](super::P2c); also where loads are equal.
///
/// C3 (Suresh et al., NSDI 2015) ranks servers by what they say in their answers as
/// well, and limits rates by it; Envoy's `client_side_weighted_round_robin` makes weights
/// of the same reports, which are renewed once a second.
///
/// O(draws) per pick.
#[derive(Clone, Copy, Debug)]
pub struct ReportedLoad {
    draws: usize,
    stale_after: Duration,
}

/// How many are drawn at most.
const MOST: usize = 8;

impl ReportedLoad {
    /// So many are drawn unless said.
    pub const DRAWS: u8 = 5;

    /// Compares `draws` backends, 2 to 8; reports older than `stale_after` mean nothing.
    #[must_use]
    pub fn new(draws: u8, stale_after: Duration) -> Self {
        Self { draws: usize::from(draws).clamp(2, MOST), stale_after }
    }
}

impl Default for ReportedLoad {
    /// Five draws, and ten seconds.
    fn default() -> Self {
        Self::new(Self::DRAWS, Duration::from_secs(10))
    }
}

#[derive(Debug)]
struct BestReport {
    draws: Draws,
    count: usize,
    stale_after: Duration,
}

impl Strategy for ReportedLoad {
    fn name(&self) -> &'static str {
        "reported-load"
    }

    fn needs(&self) -> Needs {
        Needs::reports()
    }

    fn build(&mut self, view: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        let Self { draws: count, stale_after } = *self;
        Box::new(BestReport { draws: Draws::new(view), count, stale_after })
    }
}

impl Picker for BestReport {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let mut drawn = [None; MOST];
        let mut count = 0;
        let mut add = |slot| {
            let is_new = drawn[..count].iter().flatten().all(|it: &Drawn| it.slot != slot);
            if count < self.count && is_new && !view.was_tried(slot, cx) {
                drawn[count] = Some(self.look(slot, view, cx.now()));
                count += 1;
            }
            count == self.count
        };
        let slots = self.draws.slots();
        let first = self.draws.draw(cx.entropy())?;
        add(first);
        if slots.len() <= self.count {
            slots.iter().for_each(|slot| {
                add(*slot);
            });
        } else {
            // Where one weight outweighs all others, draws repeat themselves.
            let mut entropy = cx.entropy();
            for _ in 0..self.count * 3 {
                entropy = sample::mix(entropy);
                if self.draws.draw(entropy).is_some_and(&mut add) {
                    break;
                }
            }
        }
        let usual = Usual::of(drawn.iter().flatten());
        let best = drawn.iter().flatten().min_by(|one, other| usual.compare(one, other));
        let slot = match best {
            Some(best) => best.slot,
            None => self.draws.draw_untried(view, cx)?,
        };
        Some(Choice::new(slot, Reason::LeastLoaded))
    }
}

impl BestReport {
    fn look(&self, slot: Slot, view: View<'_>, now: Tick) -> Drawn {
        let fresh = view.reported(slot, now).filter(|reported| reported.age < self.stale_after);
        let report = fresh.map(|reported| Report {
            load: reported.load.min(LARGEST),
            ours: reported.ours.into(),
            in_flight: reported.in_flight.map(u64::from),
        });
        Drawn {
            slot,
            weight: view.weight(slot).into(),
            pressure: view.pressure(slot, now),
            has_failed: view.failure_pressure(slot, now) > 0,
            report,
        }
    }
}

/// No load is larger, so that no sum of some is too large.
const LARGEST: u64 = 1 << 48;
/// One request in flight, as pressure.
const PRESSURE: u64 = 256;

/// A backend that was drawn.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    slot: Slot,
    weight: u64,
    /// In 1/256 of a request.
    pressure: u64,
    has_failed: bool,
    report: Option<Report>,
}

#[derive(Clone, Copy, Debug)]
struct Report {
    load: u64,
    /// How many requests of ours were there then.
    ours: u64,
    /// How many were, as the backend says.
    in_flight: Option<u64>,
}

/// What the reports of those drawn have in common.
#[derive(Debug)]
struct Usual {
    reports: u64,
    load: u64,
    ours: u64,
    /// The weight of those that have reported.
    weight: u64,
    /// What a request adds to a load.
    request: u64,
    /// Loads are requests in flight.
    is_count: bool,
}

impl Usual {
    fn of<'a>(drawn: impl Iterator<Item = &'a Drawn>) -> Self {
        let mut usual =
            Self { reports: 0, load: 0, ours: 0, weight: 0, request: 0, is_count: true };
        let mut requests = 0;
        for (weight, report) in drawn.filter_map(|drawn| Some((drawn.weight, drawn.report?))) {
            usual.reports += 1;
            usual.load += report.load;
            usual.ours += report.ours;
            usual.weight += weight;
            usual.is_count &= report.in_flight.is_some_and(|count| report.load == count << 16);
            requests += report.in_flight.unwrap_or(report.ours).max(1);
        }
        usual.request = if usual.is_count { LoadReport::ONE } else { usual.load / requests.max(1) };
        usual
    }

    fn compare(&self, one: &Drawn, other: &Drawn) -> std::cmp::Ordering {
        let by_weight = |one: u128, of_one: u64, other: u128, of_other: u64| {
            (one * u128::from(of_other)).cmp(&(other * u128::from(of_one)))
        };
        let pressures =
            || by_weight(one.pressure.into(), one.weight, other.pressure.into(), other.weight);
        if self.reports == 0 {
            return pressures();
        }
        let loads = (self.load_of(one), self.load_of(other));
        let loads = match self.is_count {
            true => by_weight(loads.0, one.weight, loads.1, other.weight),
            false => loads.0.cmp(&loads.1),
        };
        loads.then_with(pressures)
    }

    /// The load that it has by now, in 1/256 of the unit of loads.
    fn load_of(&self, drawn: &Drawn) -> u128 {
        let weight = u128::from(drawn.weight);
        let (load, ours) = (u128::from(self.load), u128::from(self.ours));
        let usual_load = match self.is_count {
            true => load * weight / u128::from(self.weight.max(1)),
            false => load / u128::from(self.reports.max(1)),
        };
        let one = u128::from(PRESSURE);
        let (load, ours) = match drawn.report {
            Some(Report { load, ours, .. }) => {
                let load = u128::from(load);
                let load = if drawn.has_failed { load.max(usual_load) } else { load };
                (load, u128::from(ours) * one)
            }
            None => (usual_load, ours * weight * one / u128::from(self.weight.max(1))),
        };
        let (pressure, request) = (u128::from(drawn.pressure), u128::from(self.request));
        if self.is_count {
            (load * one + request * pressure).saturating_sub(request * ours)
        } else {
            // A part of a whole is an average over some time, which does not fall when a
            // request ends. The one that has brought the report is about to.
            load * one + request * pressure.saturating_sub(ours.saturating_sub(one))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    fn drawn(weight: u64, in_flight: u64, report: Option<Report>) -> Drawn {
        let (slot, has_failed) = (Slot::new(0), false);
        Drawn { slot, weight, pressure: in_flight * PRESSURE, has_failed, report }
    }

    /// So many requests in flight, and so many of ours among them.
    fn count(count: u64, ours: u64) -> Option<Report> {
        Some(Report { load: count << 16, ours, in_flight: Some(count) })
    }

    fn share(percent: u64, ours: u64) -> Option<Report> {
        Some(Report { load: (percent << 16) / 100, ours, in_flight: None })
    }

    fn compare(one: Drawn, other: Drawn) -> Ordering {
        Usual::of([one, other].iter()).compare(&one, &other)
    }

    #[test]
    fn what_came_and_went_since_counts() {
        assert_eq!(compare(drawn(1, 3, count(10, 3)), drawn(1, 1, count(11, 1))), Ordering::Less);
        assert_eq!(
            compare(drawn(1, 5, count(10, 3)), drawn(1, 1, count(11, 1))),
            Ordering::Greater
        );
        assert_eq!(
            compare(drawn(1, 3, count(10, 3)), drawn(1, 0, count(11, 2))),
            Ordering::Greater
        );
        // 40 % for four requests is 10 % for each; so 50 % is more than 30 % and one.
        assert_eq!(compare(drawn(1, 5, share(30, 4)), drawn(1, 4, share(50, 4))), Ordering::Less);
        assert_eq!(
            compare(drawn(1, 7, share(30, 4)), drawn(1, 4, share(50, 4))),
            Ordering::Greater
        );
    }

    #[test]
    fn requests_are_compared_per_weight_and_parts_are_not() {
        assert_eq!(compare(drawn(3, 0, count(8, 0)), drawn(1, 0, count(3, 0))), Ordering::Less);
        assert_eq!(compare(drawn(3, 0, count(9, 0)), drawn(1, 0, count(3, 0))), Ordering::Equal);
        assert_eq!(compare(drawn(3, 0, share(8, 0)), drawn(1, 0, share(3, 0))), Ordering::Greater);
    }

    #[test]
    fn who_has_not_reported_is_a_usual_one() {
        let usual = Usual::of([drawn(1, 2, count(10, 2)), drawn(1, 4, count(20, 4))].iter());
        let unknown = usual.load_of(&drawn(1, 3, None));
        assert_eq!(unknown, 15 * 65_536 * 256);
        assert_eq!(usual.load_of(&drawn(1, 5, None)), 17 * 65_536 * 256);
        assert_eq!(usual.load_of(&drawn(2, 6, None)), 2 * unknown);
    }

    #[test]
    fn who_has_failed_is_not_believed_to_have_less_than_is_usual() {
        // A half is usual, and half of that for each of their requests.
        let failed = |count| Drawn { has_failed: true, ..drawn(1, count, share(0, 1)) };
        assert_eq!(compare(failed(1), drawn(1, 1, share(100, 1))), Ordering::Less);
        assert_eq!(compare(failed(3), drawn(1, 1, share(100, 1))), Ordering::Greater);
        let idle = |count| drawn(1, count, share(0, 1));
        assert_eq!(compare(idle(2), drawn(1, 1, share(100, 1))), Ordering::Less);
    }

    #[test]
    fn no_load_is_too_large_to_be_compared() {
        let most = Some(Report { load: LARGEST, ours: 1 << 31, in_flight: Some(u32::MAX.into()) });
        let one = Drawn { pressure: 1 << 42, ..drawn(655_350, 0, most) };
        assert_eq!(compare(one, Drawn { pressure: 0, ..one }), Ordering::Greater);
    }

    #[test]
    fn without_reports_pressure_decides() {
        assert_eq!(compare(drawn(1, 1, None), drawn(1, 2, None)), Ordering::Less);
        assert_eq!(compare(drawn(1, 1, share(0, 1)), drawn(1, 2, share(0, 2))), Ordering::Less);
    }
}
