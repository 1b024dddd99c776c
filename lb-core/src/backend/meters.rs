//! What requests leave behind on one incarnation: times, and bytes.
//!
//! On a cache line of its own beside that of the [`Load`](super::load::Load), which is
//! full, and only written where somebody [needs](crate::strategy::Needs) it: a
//! request pays for what the present strategy reads. All of it is relaxed: two workers
//! may overwrite each other's sample, and a reader may see one half of a sample and
//! the other half of the next. Only the bytes add up.

use std::time::Duration;

use super::decay::Decay;
use crate::{
    sync::{AtomicU64, Ordering},
    time::Tick,
};

/// In so long a silence an average loses half of its say.
const SILENCE: Decay = Decay::halving_in(10_000_000_000);
/// Times longer than 73 minutes are taken for 73 minutes, so that costs made of them
/// fit into their words.
const LONGEST: u64 = 1 << 42;
/// In averages, larger requests are taken for a tebibyte, for the same reason.
const LARGEST: u64 = 1 << 40;

/// The feedback of one incarnation.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Meters {
    peak: Timed,
    first_byte: Timed,
    last_byte: Timed,
    /// From and to the backend, together.
    bytes: AtomicU64,
    /// Moving average of the bytes of a request.
    size: AtomicU64,
}

/// A time in nanoseconds, 0 for none yet, and when that was measured.
#[derive(Debug)]
struct Timed {
    nanos: AtomicU64,
    at: AtomicU64,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            peak: Timed::new(),
            first_byte: Timed::new(),
            last_byte: Timed::new(),
            bytes: AtomicU64::new(0),
            size: AtomicU64::new(0),
        }
    }

    pub(crate) fn observe_first_byte(&self, sample: u64, now: Tick) {
        self.first_byte.mix_in(sample, now);
    }

    pub(crate) fn observe_last_byte(&self, sample: u64, now: Tick) {
        self.last_byte.mix_in(sample, now);
    }

    /// Takes one sample into the peak: a larger one replaces it; a smaller one gets the
    /// more say, the longer ago the last one was.
    pub(crate) fn observe_peak(&self, sample: u64, now: Tick, decay: Decay) {
        let (before, age) = self.peak.get(now);
        let lead = before.saturating_sub(sample);
        self.peak.set(sample + decay.left(lead, age), now);
    }

    /// The peak as it counts at `now`: what it was, on its way to the `mean` of all.
    /// Without a sample, the mean; 0 when there is none either.
    pub(crate) fn peak(&self, now: Tick, decay: Decay, mean: u64) -> u64 {
        let (nanos, age) = self.peak.get(now);
        if nanos == 0 || mean == 0 {
            nanos.max(mean)
        } else if nanos > mean {
            mean + decay.left(nanos - mean, age)
        } else {
            mean - decay.left(mean - nanos, age)
        }
    }

    /// Whether it has ever had a sample of its own for [`peak`](Self::peak).
    pub(crate) fn has_peak(&self) -> bool {
        self.peak.nanos.load(Ordering::Relaxed) > 0
    }

    /// The average time to the first byte as it was last; 0: none yet.
    pub(crate) fn first_byte(&self) -> u64 {
        self.first_byte.nanos.load(Ordering::Relaxed)
    }

    /// As [`first_byte`](Self::first_byte), to the last.
    pub(crate) fn last_byte(&self) -> u64 {
        self.last_byte.nanos.load(Ordering::Relaxed)
    }

    /// The average time to the first byte, halved for each ten seconds of silence.
    pub(crate) fn recent_first_byte(&self, now: Tick) -> u64 {
        self.first_byte.faded(now)
    }

    /// As [`recent_first_byte`](Self::recent_first_byte), to the last.
    pub(crate) fn recent_last_byte(&self, now: Tick) -> u64 {
        self.last_byte.faded(now)
    }

    /// Counts the bytes of one request.
    pub(crate) fn transfer(&self, bytes: u64) {
        let size = self.size.load(Ordering::Relaxed);
        let sample = bytes.min(LARGEST);
        let next = if size == 0 { sample } else { size - size / 8 + sample / 8 };
        self.size.store(next, Ordering::Relaxed);
        self.charge(bytes);
    }

    /// Counts bytes that say nothing of the size of requests.
    pub(crate) fn charge(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The average bytes of a request; 0: none yet.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }
}

impl Timed {
    fn new() -> Self {
        Self { nanos: AtomicU64::new(0), at: AtomicU64::new(0) }
    }

    fn get(&self, now: Tick) -> (u64, Duration) {
        let at = Tick::from_nanos(self.at.load(Ordering::Relaxed));
        (self.nanos.load(Ordering::Relaxed), now.since(at))
    }

    fn set(&self, nanos: u64, now: Tick) {
        self.nanos.store(nanos, Ordering::Relaxed);
        self.at.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// The average keeps 7/8 of what it was (the gain of TCP's smoothed round-trip
    /// time, RFC 6298), and less after a silence: what is old says little.
    fn mix_in(&self, sample: u64, now: Tick) {
        let (before, age) = self.get(now);
        let next = if before == 0 {
            sample
        } else {
            let off = before.abs_diff(sample);
            let kept = SILENCE.left(off, age).min(off - off / 8);
            if before > sample { sample + kept } else { sample - kept }
        };
        self.set(next, now);
    }

    fn faded(&self, now: Tick) -> u64 {
        let (nanos, age) = self.get(now);
        if nanos == 0 { 0 } else { SILENCE.left(nanos, age).max(1) }
    }
}

/// A time as meters have it: in nanoseconds, never 0.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

/// The means of all incarnations of a cluster: what is taken for true of one about
/// which nothing is known, or nothing any more. Refreshed once a second by whoever
/// drives; the first sample stands in until then.
///
/// They are harmonic means. One backend that takes ten seconds would raise the ordinary
/// mean of ten so far that nobody who has it, being new, is ever tried; what a
/// request usually takes is near the harmonic one, because requests go where they are
/// fast.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Means {
    peak: AtomicU64,
    first_byte: AtomicU64,
    last_byte: AtomicU64,
    size: AtomicU64,
}

impl Means {
    pub(crate) fn new() -> Self {
        Self {
            peak: AtomicU64::new(0),
            first_byte: AtomicU64::new(0),
            last_byte: AtomicU64::new(0),
            size: AtomicU64::new(0),
        }
    }

    /// Takes the means of these at `now`.
    pub(crate) fn refresh<'a>(
        &self,
        meters: impl Iterator<Item = &'a Meters> + Clone,
        peak: Option<Decay>,
        now: Tick,
    ) {
        if let Some(decay) = peak {
            let mean = self.peak();
            let peaks = meters.clone().filter(|it| it.has_peak());
            renew(&self.peak, peaks.map(|it| it.peak(now, decay, mean)));
        }
        renew(&self.first_byte, meters.clone().map(Meters::first_byte));
        renew(&self.last_byte, meters.clone().map(Meters::last_byte));
        renew(&self.size, meters.map(Meters::size));
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    pub(crate) fn first_byte(&self) -> u64 {
        self.first_byte.load(Ordering::Relaxed)
    }

    pub(crate) fn last_byte(&self) -> u64 {
        self.last_byte.load(Ordering::Relaxed)
    }

    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Stands in for the mean of peaks until there is one.
    pub(crate) fn seed_peak(&self, sample: u64) {
        seed(&self.peak, sample);
    }

    /// As [`seed_peak`](Self::seed_peak), for the time to the first byte.
    pub(crate) fn seed_first_byte(&self, sample: u64) {
        seed(&self.first_byte, sample);
    }

    /// As [`seed_peak`](Self::seed_peak), for the time to the last byte.
    pub(crate) fn seed_last_byte(&self, sample: u64) {
        seed(&self.last_byte, sample);
    }

    /// As [`seed_peak`](Self::seed_peak), for the bytes of a request.
    pub(crate) fn seed_size(&self, sample: u64) {
        seed(&self.size, sample.min(LARGEST));
    }
}

fn seed(mean: &AtomicU64, sample: u64) {
    if mean.load(Ordering::Relaxed) == 0 {
        mean.store(sample, Ordering::Relaxed);
    }
}

/// Stores the harmonic mean of those values that are known, if any is.
fn renew(mean: &AtomicU64, values: impl Iterator<Item = u64>) {
    let (count, rates) = values.filter(|value| *value > 0).fold((0, 0), |(count, rates), value| {
        (count + 1_u128, rates + (1_u128 << 64) / u128::from(value))
    });
    if rates > 0
        && let Ok(value) = u64::try_from((count << 64) / rates)
    {
        mean.store(value, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MILLI: u64 = 1_000_000;

    fn decay() -> Decay {
        Decay::over(Duration::from_secs(10))
    }

    #[test]
    fn all_of_it_is_one_line() {
        assert_eq!((size_of::<Meters>(), align_of::<Meters>()), (64, 64));
    }

    #[test]
    fn a_larger_sample_replaces_the_peak_and_a_smaller_one_is_mixed_in_by_age() {
        let meters = Meters::new();
        let peak = |now| meters.peak(now, decay(), 0) / 1_000;
        meters.observe_peak(20 * MILLI, Tick::ZERO, decay());
        meters.observe_peak(100 * MILLI, Tick::ZERO, decay());
        assert_eq!(peak(Tick::ZERO), 100_000);
        meters.observe_peak(20 * MILLI, Tick::ZERO, decay());
        assert_eq!(peak(Tick::ZERO), 100_000, "in no time, nothing is forgotten");
        meters.observe_peak(20 * MILLI, Tick::from_millis(10_000), decay());
        // 20 + 80 ÷ e
        assert!(peak(Tick::from_millis(10_000)).abs_diff(49_430) < 10);
    }

    #[test]
    fn between_samples_the_peak_goes_to_the_mean_from_either_side() {
        for start in [5, 400] {
            let meters = Meters::new();
            meters.observe_peak(start * MILLI, Tick::ZERO, decay());
            let off: Vec<u64> = (0..100)
                .map(|n| meters.peak(Tick::from_millis(n * 1_000), decay(), 40 * MILLI))
                .map(|peak| peak.abs_diff(40 * MILLI))
                .collect();
            assert!(off.is_sorted_by(|before, after| before >= after), "{off:?}");
            assert!(off[10] > off[0] / 3 && off[10] < off[0] / 2 && off[99] < MILLI / 10);
        }
    }

    #[test]
    fn who_has_no_sample_has_the_mean() {
        assert_eq!(Meters::new().peak(Tick::ZERO, decay(), 7), 7);
        assert_eq!(Meters::new().peak(Tick::ZERO, decay(), 0), 0);
    }

    #[test]
    fn an_average_keeps_seven_eighths_and_less_after_a_silence() {
        let meters = Meters::new();
        meters.observe_first_byte(80, Tick::ZERO);
        meters.observe_first_byte(160, Tick::ZERO);
        assert_eq!(meters.first_byte(), 90);
        meters.observe_first_byte(1_000, Tick::from_millis(100_000));
        assert!(meters.first_byte() > 990, "{}", meters.first_byte());
    }

    #[test]
    fn a_silent_average_is_halved_every_ten_seconds() {
        let meters = Meters::new();
        assert_eq!(meters.recent_last_byte(Tick::ZERO), 0);
        meters.observe_last_byte(800, Tick::ZERO);
        assert_eq!(meters.recent_last_byte(Tick::ZERO), 800);
        assert!(meters.recent_last_byte(Tick::from_millis(20_000)).abs_diff(200) <= 1);
        assert_eq!(meters.recent_last_byte(Tick::from_millis(10_000_000)), 1);
    }

    #[test]
    fn one_slow_backend_does_not_move_the_mean_far() {
        let (means, all) = (Means::new(), [0; 10].map(|_| Meters::new()));
        for (n, meters) in all.iter().enumerate() {
            let millis = if n == 0 { 10_000 } else { 20 };
            meters.observe_peak(millis * MILLI, Tick::ZERO, decay());
            meters.observe_first_byte(millis * MILLI, Tick::ZERO);
        }
        means.refresh(all.iter(), Some(decay()), Tick::ZERO);
        // 10 ÷ (9/20 + 1/10000)
        assert_eq!((means.peak() / 1_000, means.first_byte() / 1_000), (22_217, 22_217));
        assert_eq!((means.last_byte(), means.size()), (0, 0), "of those nothing is known");
    }

    #[test]
    fn bytes_add_up_and_their_average_moves() {
        let meters = Meters::new();
        [800, 1_600].into_iter().for_each(|bytes| meters.transfer(bytes));
        meters.charge(5);
        assert_eq!((meters.bytes(), meters.size()), (2_405, 900));
    }

    #[test]
    fn a_request_of_all_bytes_there_are_leaves_an_average_to_reckon_with() {
        let (meters, means) = (Meters::new(), Means::new());
        meters.transfer(u64::MAX);
        means.seed_size(u64::MAX);
        assert_eq!((meters.size(), means.size()), (LARGEST, LARGEST));
    }
}
