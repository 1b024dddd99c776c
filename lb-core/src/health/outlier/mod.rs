//! Which backends do worse than the others: outlier detection.
//!
//! A backend may answer everything, pass its checks, and still be the one that spoils a
//! cluster: by answers that say it failed, now and then or always, or by being slow.
//! Nobody can tell from it alone whether the fault is its own or that of something all
//! of them depend on. So, but for errors in a row, it is judged by comparison: once an
//! interval, over those that had enough requests in it, if those are enough.
//!
//! The methods and their defaults are Envoy's (outlier detection of its cluster
//! manager), with two deviations: of those that are to be ejected the worst is the
//! first, as there is a limit; and a success rate must also be lower than chance
//! explains (see [`rates`]).
//!
//! Whole numbers only, so that the same counts give the same verdicts everywhere. This
//! decides nothing about how many may be out: the cluster knows who is.

mod latency;
mod rates;

use std::{collections::BTreeSet, time::Duration};

use super::reason::Reason;

/// When a backend is ejected because it does worse than the others, and for how long.
///
/// Independent of [`Passive`](crate::cluster::Passive), which knows only failures
/// between the balancer and the backend. An answer of 500 or more other than 501 is an
/// error here, and so is such a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// After so many errors in a row, at once; `None`: never.
    pub consecutive_5xx: Option<u32>,
    /// When its share of good requests is less than the mean of all by more than so
    /// many thousandths of their standard deviation; `None`: never.
    pub success_rate: Option<u32>,
    /// When at least so many percent of its requests were errors; `None`: never.
    pub failure_percentage: Option<u8>,
    /// When the mean of its times to the first byte is more than so many thousandths of
    /// the median of all, and more than 10 ms; `None`: never.
    pub latency: Option<u32>,
    /// How often backends are compared, by what they did since the last time.
    pub interval: Duration,
    /// Of how many requests in an interval on a backend is compared.
    pub request_volume: u32,
    /// How many such backends there must be.
    pub min_backends: u32,
    /// For how long a backend is ejected for the first time. The second time it is
    /// twice as long, and so on; each interval that it is in use all through takes one
    /// time off.
    pub eject: Duration,
    /// It is not longer than this, or `eject` where that is more.
    pub max_eject: Duration,
    /// How many percent of the enabled backends of a tier may be ejected or half-open,
    /// for whatever failed requests. One may be in any case, unless this is 0.
    pub max_ejected: u8,
}

impl Default for Outlier {
    /// Errors in a row and the success rate, as in Envoy.
    fn default() -> Self {
        Self {
            consecutive_5xx: Some(5),
            success_rate: Some(1_900),
            failure_percentage: None,
            latency: None,
            interval: Duration::from_secs(10),
            request_volume: 100,
            min_backends: 5,
            eject: Duration::from_secs(30),
            max_eject: Duration::from_secs(300),
            max_ejected: 50,
        }
    }
}

/// What one backend did in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Requests that ended in an answer or an error.
    pub(crate) requests: u32,
    /// Errors among them.
    pub(crate) errors: u32,
    /// Answers that began.
    pub(crate) answers: u32,
    /// The sum of their times to the first byte.
    pub(crate) waited: Duration,
}

/// What is counted of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) errors: bool,
    pub(crate) latency: bool,
}

impl Outlier {
    pub(crate) fn counts(&self) -> Counted {
        Counted {
            errors: self.success_rate.is_some() || self.failure_percentage.is_some(),
            latency: self.latency.is_some(),
        }
    }

    /// Those of `samples` that are to be ejected, and why: each once, for the first
    /// reason that applies, and for each reason the worst first. O(n log n).
    pub(crate) fn find<K: Copy + Ord>(&self, samples: &[(K, Sample)]) -> Vec<(K, Reason)> {
        let methods = [rates::by_success_rate, rates::by_failure_percentage, latency::by_latency];
        let mut seen = BTreeSet::new();
        let found = methods.into_iter().flat_map(|method| method(self, samples));
        found.filter(|(key, _)| seen.insert(*key)).collect()
    }

    /// How long the ejection of this number, from 1, takes.
    pub(crate) fn ejection(&self, number: u32) -> Duration {
        self.eject.saturating_mul(number).min(self.max_eject.max(self.eject))
    }

    /// How many of `enabled` backends may be out.
    pub(crate) fn ceiling(&self, enabled: usize) -> usize {
        match self.max_ejected {
            0 => 0,
            percent => (enabled * usize::from(percent) / 100).max(1),
        }
    }

    fn is_enough(&self, backends: usize) -> bool {
        backends > 0 && backends >= self.min_backends as usize
    }
}

#[cfg(test)]
mod tests;
