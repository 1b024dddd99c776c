//! Outliers by the share of requests that were good.
//!
//! Envoy ejects those whose success rate is less than the mean by more than 1.9
//! standard deviations. Among backends that are all but perfect, and a standard
//! deviation of all but nothing, one error in a hundred requests is enough for that;
//! and where all fail alike, the unluckiest goes. So here the rate must also be lower
//! than the mean by more than three standard errors of a rate from so many requests:
//! chance alone does that about once in a thousand times.
//!
//! Of n backends at most one can be √(n − 1) standard deviations away from the mean of
//! all: with 1.9 there must be five.

use super::{Outlier, Sample};
use crate::health::reason::Reason;

/// The unit of rates: 1.
const WHOLE: u64 = 1_000_000;

/// Those whose success rate is too far below the mean.
pub(super) fn by_success_rate<K: Copy + Ord>(
    outlier: &Outlier,
    samples: &[(K, Sample)],
) -> Vec<(K, Reason)> {
    let Some(factor) = outlier.success_rate else { return Vec::new() };
    let judged = with_enough_requests(outlier, samples);
    if judged.is_empty() {
        return Vec::new();
    }
    let backends = judged.len() as u64;
    let mean = judged.iter().map(|(_, sample)| rate(sample)).sum::<u64>() / backends;
    let squares = judged.iter().map(|(_, sample)| rate(sample).abs_diff(mean).pow(2)).sum::<u64>();
    let deviation = (squares / backends).isqrt();
    let threshold = mean.saturating_sub(u64::from(factor) * deviation / 1_000);
    let is_out = |sample: &Sample| {
        rate(sample) < threshold && !is_chance(mean - rate(sample), mean, sample.requests)
    };
    let mut out: Vec<_> = judged.iter().filter(|(_, sample)| is_out(sample)).collect();
    out.sort_by_key(|(key, sample)| (rate(sample), *key));
    let reason = |sample: &Sample| Reason::SuccessRate {
        rate: millionths(rate(sample)),
        threshold: millionths(threshold),
        mean: millionths(mean),
        backends: judged.len(),
    };
    out.into_iter().map(|(key, sample)| (*key, reason(sample))).collect()
}

/// Those of whose requests too many were errors.
pub(super) fn by_failure_percentage<K: Copy + Ord>(
    outlier: &Outlier,
    samples: &[(K, Sample)],
) -> Vec<(K, Reason)> {
    let Some(limit) = outlier.failure_percentage else { return Vec::new() };
    let judged = with_enough_requests(outlier, samples);
    let is_out = |sample: &Sample| {
        u64::from(sample.errors) * 100 >= u64::from(limit) * u64::from(sample.requests)
    };
    let mut out: Vec<_> = judged.iter().filter(|(_, sample)| is_out(sample)).collect();
    out.sort_by_key(|(key, sample)| (rate(sample), *key));
    let reason = |sample: &Sample| Reason::FailurePercentage {
        errors: sample.errors,
        requests: sample.requests,
        limit,
    };
    out.into_iter().map(|(key, sample)| (*key, reason(sample))).collect()
}

/// Those who can be compared; nobody where they are too few.
fn with_enough_requests<K: Copy>(outlier: &Outlier, samples: &[(K, Sample)]) -> Vec<(K, Sample)> {
    let least = outlier.request_volume.max(1);
    let judged: Vec<_> =
        samples.iter().filter(|(_, sample)| sample.requests >= least).copied().collect();
    if outlier.is_enough(judged.len()) { judged } else { Vec::new() }
}

/// The share of good requests.
fn rate(sample: &Sample) -> u64 {
    let good = u64::from(sample.requests.saturating_sub(sample.errors));
    good * WHOLE / u64::from(sample.requests.max(1))
}

/// Whether a rate of so many requests may by chance be so much `below` the mean: within
/// three standard errors, √(mean × (1 − mean) ÷ requests). Squared, so that no root is
/// rounded.
fn is_chance(below: u64, mean: u64, requests: u32) -> bool {
    let wide = |number: u64| u128::from(number);
    wide(below) * wide(below) * u128::from(requests) <= 9 * wide(mean) * wide(WHOLE - mean)
}

fn millionths(rate: u64) -> u32 {
    u32::try_from(rate).unwrap_or(u32::MAX)
}
