//! Outliers by the time to the first byte.
//!
//! Compared is the mean of each with the median of all means, which the slow ones do
//! not move. Below ten milliseconds nobody is slow, however fast the others are.

use std::time::Duration;

use super::{Outlier, Sample};
use crate::health::reason::Reason;

const LEAST: Duration = Duration::from_millis(10);

/// Those that take too long to answer.
pub(super) fn by_latency<K: Copy + Ord>(
    outlier: &Outlier,
    samples: &[(K, Sample)],
) -> Vec<(K, Reason)> {
    let Some(factor) = outlier.latency else { return Vec::new() };
    let least = outlier.request_volume.max(1);
    let compared = samples.iter().filter(|(_, sample)| sample.answers >= least);
    let mut means: Vec<(Duration, K)> =
        compared.map(|(key, sample)| (sample.waited / sample.answers, *key)).collect();
    if !outlier.is_enough(means.len()) {
        return Vec::new();
    }
    means.sort_unstable();
    let median = means[(means.len() - 1) / 2].0;
    let limit = thousandths(median, factor).max(LEAST);
    let reason = |mean| Reason::Slow { mean, limit, median, backends: means.len() };
    let slow = means.iter().rev().take_while(|(mean, _)| *mean > limit);
    slow.map(|(mean, key)| (*key, reason(*mean))).collect()
}

fn thousandths(time: Duration, factor: u32) -> Duration {
    let nanos = time.as_nanos() * u128::from(factor) / 1_000;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
