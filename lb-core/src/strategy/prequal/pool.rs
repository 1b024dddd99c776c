//! What a worker knows from its last probes.
//!
//! The pool belongs to one worker, which adds to it what probes find and hands it in
//! with each pick. The pick itself only reads it; what a pick changes ([`used`]) the
//! worker says afterwards. So pickers stay shared and without state, and the same pool
//! gives the same choice.
//!
//! [`used`]: ProbePool::used

use std::time::Duration;

use super::hot::Recent;
use crate::{
    backend::{IncarnationId, LoadReport},
    cluster::{Slot, View},
    sample,
    strategy::load_of_one,
    time::Tick,
};

/// How many results a pool holds.
pub(super) const ROOM: usize = 16;
/// From this age on a result means nothing.
const AGE_LIMIT: Duration = Duration::from_secs(1);
/// Q_RIF, 2^-0.25: so many of a thousand loads are not hot.
const NOT_HOT: usize = 840;
/// With fewer, others are asked.
const LEAST: usize = 2;
/// More is not told from this.
const MOST: u64 = 1 << 48;
/// One, of probes per request and of uses per result.
const ONE: u64 = 1 << 8;

/// What a probe has found.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Probed {
    /// Whom it has asked.
    pub incarnation: IncarnationId,
    /// Where that was in the snapshot it was chosen from.
    pub slot: Slot,
    /// Its weight there.
    pub weight: u32,
    /// What it says of its load.
    pub load: LoadReport,
    /// How long requests take there.
    pub latency: Duration,
    /// When that was.
    pub at: Tick,
}

impl Probed {
    /// An answer of the backend in `slot` of what `view` is of.
    #[must_use]
    pub fn new(view: View<'_>, slot: Slot, load: LoadReport, latency: Duration, at: Tick) -> Self {
        let (incarnation, weight) = (view.incarnation(slot), view.weight(slot));
        Self { incarnation, slot, weight, load, latency, at }
    }
}

/// The results of a worker's last probes, for [`Prequal`](super::Prequal).
///
/// A backend has one result at most; a newer one replaces it.
#[derive(Debug)]
pub struct ProbePool {
    /// The oldest first.
    entries: [Option<Entry>; ROOM],
    count: usize,
    recent: Recent,
    /// Probes per request, in 1/256.
    rate: u64,
    /// The next one that is taken out is the worst, and not the oldest.
    worst_next: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) incarnation: IncarnationId,
    pub(super) slot: Slot,
    /// Load for its weight; see [`load_of`].
    pub(super) load: u64,
    /// What a request adds to it.
    pub(super) request: u64,
    pub(super) latency: Duration,
    at: Tick,
    uses_left: u32,
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rate is a small number"
)]
fn in_parts(rate: f64) -> u64 {
    (rate.clamp(0.0, 1e6) * ONE as f64).round() as u64
}

/// A load for a weight: 1/65,536 in 1/2³¹ per weight, so that it stays one for the
/// largest weight.
fn load_of(parts: u64, weight: u32) -> u64 {
    (parts.min(MOST) << 15) / u64::from(weight.max(1))
}

impl ProbePool {
    /// An empty pool of a worker that sends `rate` probes per request.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        let (entries, recent) = ([None; ROOM], Recent::new());
        Self { entries, count: 0, recent, rate: in_parts(rate), worst_next: false }
    }

    /// The worker sends so many probes per request from now on.
    pub fn set_rate(&mut self, rate: f64) {
        self.rate = in_parts(rate);
    }

    /// How many results there are, used up or too old ones among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes in what a probe has found. It may be used so many times that, with the
    /// probes that come in and the results that are taken out, about one result more
    /// than needed is there: `b` of the paper, for a cluster of `backends`; a fraction
    /// of a use by the chance of `entropy`.
    pub fn add(&mut self, probed: Probed, backends: usize, entropy: u64) {
        self.forget(probed.incarnation);
        if self.count == ROOM {
            self.take_out(0);
        }
        let load = load_of(probed.load.load, probed.weight);
        self.recent.add(load);
        let request = match load_of_one(probed.load.load, probed.load.in_flight) {
            Some(one) => load_of(one, probed.weight),
            // A guess; what matters is that two in a row see a difference.
            None => self.hot_above() / 16 + 1,
        };
        let uses_left = self.uses(backends, entropy);
        let Probed { incarnation, slot, latency, at, .. } = probed;
        self.entries[self.count] =
            Some(Entry { incarnation, slot, load, request, latency, at, uses_left });
        self.count += 1;
    }

    /// The probe of this backend has failed: what is known of it is forgotten. Who is
    /// not in the pool is not chosen from it.
    pub fn failed(&mut self, incarnation: IncarnationId) {
        self.forget(incarnation);
    }

    /// A request went to this backend. Its result says one request more from now on, and
    /// may be used once less. And one result is taken out, so that those which nobody
    /// wants do not stay until they are too old: the oldest and the worst by turns. Never
    /// one of the last two, which would make the other useless.
    pub fn used(&mut self, incarnation: IncarnationId, now: Tick) {
        self.drop_old(now);
        let entries = self.entries[..self.count].iter_mut();
        let found = entries.enumerate().find_map(|(at, entry)| {
            let entry = entry.as_mut().filter(|entry| entry.incarnation == incarnation)?;
            Some((at, entry))
        });
        if let Some((at, entry)) = found {
            entry.load = entry.load.saturating_add(entry.request);
            entry.uses_left -= 1;
            if entry.uses_left == 0 {
                self.take_out(at);
            }
        }
        if self.count > LEAST {
            self.take_out(if self.worst_next { self.worst() } else { 0 });
            self.worst_next = !self.worst_next;
        }
    }

    /// From which load on a backend is hot: one above this.
    pub(super) fn hot_above(&self) -> u64 {
        self.recent.quantile(NOT_HOT)
    }

    /// What is young enough to go by; nothing if it is too little.
    pub(super) fn usable(&self, now: Tick) -> impl Iterator<Item = &Entry> {
        let entries = &self.entries[..self.count];
        let young = move |entry: &&Entry| now.since(entry.at) < AGE_LIMIT;
        let is_enough = entries.iter().flatten().filter(young).take(LEAST).count() == LEAST;
        entries.iter().flatten().filter(move |entry| is_enough && young(entry))
    }

    fn forget(&mut self, incarnation: IncarnationId) {
        let is_it = |entry: &Option<Entry>| entry.is_some_and(|it| it.incarnation == incarnation);
        if let Some(at) = self.entries[..self.count].iter().position(is_it) {
            self.take_out(at);
        }
    }

    fn drop_old(&mut self, now: Tick) {
        let is_old =
            |entry: &Option<Entry>| entry.is_some_and(|entry| now.since(entry.at) >= AGE_LIMIT);
        while let Some(at) = self.entries[..self.count].iter().position(is_old) {
            self.take_out(at);
        }
    }

    fn take_out(&mut self, at: usize) {
        self.entries.copy_within(at + 1..self.count, at);
        self.count -= 1;
        self.entries[self.count] = None;
    }

    /// Of the hot ones that with the highest load; if there are none, the slowest.
    fn worst(&self) -> usize {
        let hot_above = self.hot_above();
        let badness = |entry: &Option<Entry>| {
            entry.map(|entry| {
                let is_hot = entry.load > hot_above;
                (is_hot, if is_hot { entry.load } else { 0 }, entry.latency)
            })
        };
        let entries = self.entries[..self.count].iter().enumerate();
        entries.max_by_key(|(_, entry)| badness(entry)).map_or(0, |(at, _)| at)
    }

    /// max(1, (1 + δ) / ((1 − m/n) · rate − removals)) with δ = 1 and one removal per
    /// request; a result that is never in want of a place may be used any number of
    /// times, and is too old soon.
    fn uses(&self, backends: usize, entropy: u64) -> u32 {
        const UNLIMITED: u32 = u32::MAX;
        let (places, backends) = (ROOM as u64, (backends as u64).max(1));
        let fresh = self.rate * backends.saturating_sub(places) / backends;
        let Some(surplus) = fresh.checked_sub(ONE).filter(|surplus| *surplus > 0) else {
            return UNLIMITED;
        };
        let uses = (2 * ONE * ONE / surplus).max(ONE);
        let chance = usize::try_from(uses % ONE).unwrap_or(0);
        let one_more = sample::index(entropy, 256) < chance;
        u32::try_from(uses / ONE).unwrap_or(UNLIMITED).saturating_add(u32::from(one_more))
    }
}

#[cfg(test)]
mod tests;
