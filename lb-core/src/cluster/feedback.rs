//! What requests tell about backends by how they went: written by leases, read by
//! strategies.
//!
//! Only what somebody [needs] is written, so the needs of the
//! strategy are kept with the backends of its snapshot and with the leases picked from
//! it.
//!
//! # Failures are not fast
//!
//! A backend that refuses everything at once has the best times of all. So a request
//! that failed counts as one that took no less than requests there, or anywhere, take,
//! and as one that moved as many bytes: a short answer that says it failed must not make
//! it a backend of small requests, whose failures then cost it next to nothing. One that broke off after a good head counts twice:
//! its time to the first byte was taken in when that came, and must not stand alone.
//!
//! A client that leaves before the answer begins has not seen how long that takes, but
//! that it takes longer: its time counts where it is more than was known. Otherwise a
//! backend that hangs, before clients with less patience than its time limit, would for
//! ever be one of which nothing is known.
//!
//! [needs]: Needs

use std::{sync::Arc, time::Duration};

use super::{outcome::Outcome, slots::Slot, view::View};
use crate::{
    backend::{
        LoadReport, Reported,
        load::Load,
        meters::{Means, nanos},
    },
    strategy::{Measure, Needs},
    time::Tick,
};

/// What is to be written, and what is usual in the cluster.
#[derive(Clone, Debug)]
pub(super) struct Feedback {
    pub(super) needs: Needs,
    pub(super) means: Arc<Means>,
}

impl Feedback {
    /// The first byte of an answer is here, after this time. `failed`: the answer is
    /// that it failed.
    pub(super) fn first_byte(&self, load: &Load, elapsed: Duration, failed: bool, now: Tick) {
        let (meters, means) = (load.meters(), &self.means);
        if self.needs.latency
            && let Some(sample) = fair(elapsed, failed, meters.first_byte(), means.first_byte())
        {
            means.seed_first_byte(sample);
            meters.observe_first_byte(sample, now);
        }
        if let Some(decay) = self.needs.peak
            && let Some(sample) =
                fair(elapsed, failed, meters.peak(now, decay, means.peak()), means.peak())
        {
            means.seed_peak(sample);
            meters.observe_peak(sample, now, decay);
        }
    }

    /// The backend is done with a request after this time and so many bytes; `answered`:
    /// the first byte was told. To be called only where anything is [metered](Needs::is_metered).
    #[inline(never)]
    pub(super) fn end(
        &self,
        load: &Load,
        elapsed: Duration,
        answered: bool,
        bytes: u64,
        outcome: Outcome,
        now: Tick,
    ) {
        let failed = outcome.is_held_against();
        if self.needs.traffic {
            self.transferred(load, bytes, outcome);
        }
        if !failed && !matches!(outcome, Outcome::Status(_)) {
            if !answered {
                self.unanswered(load, elapsed, now);
            }
            return;
        }
        let (meters, means) = (load.meters(), &self.means);
        if !answered {
            self.first_byte(load, elapsed, failed, now);
        } else if failed {
            self.first_byte(load, Duration::ZERO, failed, now);
        }
        if self.needs.response_time
            && let Some(sample) = fair(elapsed, failed, meters.last_byte(), means.last_byte())
        {
            means.seed_last_byte(sample);
            meters.observe_last_byte(sample, now);
        }
    }

    /// The client went away after this time, with no answer.
    fn unanswered(&self, load: &Load, elapsed: Duration, now: Tick) {
        let (meters, means, sample) = (load.meters(), &self.means, nanos(elapsed));
        let is_news = |had: u64, mean: u64| mean > 0 && sample > had.max(mean);
        if self.needs.latency && is_news(meters.first_byte(), means.first_byte()) {
            meters.observe_first_byte(sample, now);
        }
        if let Some(decay) = self.needs.peak
            && is_news(meters.peak(now, decay, means.peak()), means.peak())
        {
            meters.observe_peak(sample, now, decay);
        }
    }

    fn transferred(&self, load: &Load, bytes: u64, outcome: Outcome) {
        let (meters, means) = (load.meters(), &self.means);
        if outcome.is_held_against() {
            meters.charge(bytes.max(meters.size()).max(means.size()));
        } else if let Outcome::Status(_) = outcome {
            means.seed_size(bytes);
            meters.transfer(bytes);
        } else {
            meters.charge(bytes);
        }
    }

    pub(super) fn reports(&self, load: &Load, report: LoadReport, now: Tick) {
        if self.needs.reports {
            load.report().replace(report, load.busy(), now);
        }
    }
}

/// The sample that a request is: the time it took, and if it failed, no less than
/// what it `had` there and the `mean` of all. `None` if it failed where nothing else is
/// known.
fn fair(elapsed: Duration, failed: bool, had: u64, mean: u64) -> Option<u64> {
    let sample = nanos(elapsed);
    if !failed {
        Some(sample)
    } else if had.max(mean) == 0 {
        None
    } else {
        Some(sample.max(had).max(mean))
    }
}

fn unknown(load: &Load, mean: u64, now: Tick) -> u64 {
    if load.pressure(now) == 0 { 0 } else { mean.max(1) }
}

fn known(nanos: u64) -> Option<Duration> {
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

/// What requests told.
impl View<'_> {
    /// Moving average of its time to the first byte; `None` before the first. Kept up
    /// for strategies that [need](Needs::latency) it.
    #[must_use]
    pub fn latency(self, slot: Slot) -> Option<Duration> {
        known(self.load(slot).meters().first_byte())
    }

    /// Moving average of its time to the last byte; `None` before the first. Kept up
    /// for strategies that [need](Needs::response_time) it.
    #[must_use]
    pub fn response_time(self, slot: Slot) -> Option<Duration> {
        known(self.load(slot).meters().last_byte())
    }

    /// Its time to the first byte as [`peak-ewma`](crate::strategy::Needs::peak_latency) sees it:
    /// the mean of the cluster where it has none of its own; `None` where nobody has.
    #[must_use]
    pub fn peak_latency(self, slot: Slot, now: Tick) -> Option<Duration> {
        let Feedback { needs, means } = &self.roster.feedback;
        let meters = self.load(slot).meters();
        known(needs.peak.map_or(0, |decay| meters.peak(now, decay, means.peak())))
    }

    /// The usual time to the first byte in the cluster, as of the last second: the
    /// harmonic mean of all averages. `None` before the first. Kept up for strategies that
    /// [need](Needs::latency) it.
    #[must_use]
    pub fn mean_latency(self) -> Option<Duration> {
        known(self.roster.feedback.means.first_byte())
    }

    /// How many bytes went to it and came from it, where that is counted: a request
    /// that failed counts as one of usual size. Kept up for strategies that
    /// [need](Needs::traffic) it.
    #[must_use]
    pub fn traffic(self, slot: Slot) -> u64 {
        self.load(slot).meters().bytes()
    }

    /// What it reported of itself last, and how old that is; `None` before the first
    /// report. Kept up for strategies that [need](Needs::reports) it.
    #[must_use]
    pub fn reported(self, slot: Slot, now: Tick) -> Option<Reported> {
        self.load(slot).report().read(now)
    }

    /// What one more request there is expected to take, by its peak, in nanoseconds.
    ///
    /// Of a backend that is new, or half-open, nothing is known. It takes nothing as
    /// long as it has nothing to do, so that one request finds out, and what is usual
    /// while that is under way. Otherwise somebody who is slower than the fastest
    /// would never be asked, and one that has failed would stay half-open.
    pub(crate) fn peak_nanos(self, slot: Slot, now: Tick) -> u64 {
        let (load, means) = (self.load(slot), &self.roster.feedback.means);
        match self.roster.feedback.needs.peak {
            Some(decay) if load.meters().has_peak() && !load.gate().is_shut() => {
                load.meters().peak(now, decay, means.peak())
            }
            _ => unknown(load, means.peak(), now),
        }
    }

    /// As [`peak_nanos`](Self::peak_nanos), by the average of this measure, halved for
    /// each ten seconds in which nothing was measured.
    pub(crate) fn recent_nanos(self, slot: Slot, measure: Measure, now: Tick) -> u64 {
        let (load, means) = (self.load(slot), &self.roster.feedback.means);
        let (recent, mean) = match measure {
            Measure::FirstByte => (load.meters().recent_first_byte(now), means.first_byte()),
            Measure::LastByte => (load.meters().recent_last_byte(now), means.last_byte()),
        };
        if recent == 0 || load.gate().is_shut() { unknown(load, mean, now) } else { recent }
    }

    /// The usual bytes of a request in the cluster, as of the last second; 0: unknown.
    pub(crate) fn mean_size(self) -> u64 {
        self.roster.feedback.means.size()
    }

    fn load(&self, slot: Slot) -> &Load {
        &self.roster.hot[slot.index()].load
    }
}
