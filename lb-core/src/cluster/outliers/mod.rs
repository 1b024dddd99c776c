//! What requests have reported, weighed with what all others did.

mod ceiling;

use ceiling::Ceiling;

use super::{Inputs, driver::Report};
use crate::{
    backend::{AdminState, Backend, IncarnationId},
    health::Input,
    time::Tick,
};

impl Inputs {
    /// Takes in what requests have reported.
    pub(super) fn take_in(&mut self, reports: Vec<Report>) {
        if reports.is_empty() {
            return;
        }
        let mut ceiling = self.ceiling();
        for Report { incarnation, input, at } in reports {
            self.feed_within(ceiling.as_mut(), (incarnation, input), at);
        }
    }

    /// Compares the backends, if an interval is over. O(n log n).
    pub(super) fn find_outliers(&mut self, now: Tick) {
        let Some(outlier) = self.policy.outlier else { return };
        if !self.watch.begins_interval(outlier.interval, now) {
            return;
        }
        let samples = self.watch.samples(|backend| self.is_enabled(backend));
        let mut ceiling = self.ceiling();
        for (incarnation, reason) in outlier.find(&samples) {
            self.feed_within(ceiling.as_mut(), (incarnation, Input::Outlier(reason)), now);
        }
        self.watch.end_interval(outlier.interval, now);
    }

    /// Feeds a machine what may have its backend ejected, unless it is in use and too
    /// many are out already.
    fn feed_within(
        &mut self,
        ceiling: Option<&mut Ceiling>,
        (incarnation, input): (IncarnationId, Input),
        now: Tick,
    ) {
        let Some(ceiling) = ceiling else {
            self.feed(incarnation, input, now);
            return;
        };
        let Some((backend, health)) = self.watch.member(incarnation) else { return };
        let is_good = matches!(input, Input::RequestSucceeded(_));
        if health.is_usable() && !is_good && !ceiling.has_room(backend.tier()) {
            self.watch.set_aside(incarnation);
            return;
        }
        let (tier, is_enabled) = (backend.tier(), self.is_enabled(backend));
        if let Some(transition) = self.feed(incarnation, input, now)
            && is_enabled
        {
            ceiling.note(tier, transition);
        }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        let enabled = self.watch.members().filter(|(backend, _)| self.is_enabled(backend));
        let outlier = self.policy.outlier?;
        Some(Ceiling::of(outlier, enabled.map(|(backend, health)| (backend.tier(), health))))
    }

    pub(super) fn is_enabled(&self, backend: &Backend) -> bool {
        self.admin_state(backend) == AdminState::Enabled
    }
}
