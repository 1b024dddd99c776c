//! Highest-random-weight hashing.

use crate::sample;

/// The candidate with the highest weighted score for `key` (Thaler, Ravishankar:
/// *A Name-Based Mapping Scheme for Rendezvous*, 1996; weights by the logarithm,
/// as of Schindelhauer and Schomaker 2005): without one of them, only its keys go
/// elsewhere, and they spread over all others. A candidate is anything, with a
/// hash of its name that is the same in every order, and its weight. O(n).
pub(crate) fn highest<T>(key: u64, candidates: impl Iterator<Item = (T, u64, u32)>) -> Option<T> {
    let cost = |mark: u64| rarity(sample::mix(key ^ mark));
    candidates
        .map(|(candidate, mark, weight)| (candidate, mark, cost(mark), u64::from(weight)))
        .reduce(|best, other| {
            // cost ÷ weight, the smaller wins; equal ones by hash, not by order.
            let (one, two) = (best.2 * other.3, other.2 * best.3);
            if (two, other.1) < (one, best.1) { other } else { best }
        })
        .map(|(candidate, ..)| candidate)
}

/// −log₂(hash ÷ 2⁶⁴) in units of 2⁻⁴⁰, in whole numbers, so that it is the same on
/// every platform. Between powers of two by the cubic that has the logarithm's
/// values and slopes at both; off by less than 0.002.
fn rarity(hash: u64) -> u64 {
    const ONE: i64 = 1 << 40;
    let hash = hash | 1;
    let zeros = hash.leading_zeros();
    // The digits after the leading one, as a fraction of 2^30.
    let x = ((hash << zeros << 1) >> 34).cast_signed();
    // x/ln 2 − 0.6067 x² + 0.1640 x³, coefficients in units of 2^-30.
    let inner = -651_479_540 + ((176_139_359 * x) >> 30);
    let outer = 1_549_082_005 + ((inner * x) >> 30);
    let logarithm = ((outer * x) >> 30) << 10;
    u64::from(zeros) * ONE.cast_unsigned() + (ONE - logarithm).cast_unsigned()
}
