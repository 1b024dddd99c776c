//! Highest-random-weight hashing, one key at a time.

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
/// values and slopes at both; off by less than 0.006.
pub(super) fn rarity(hash: u64) -> u64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Five backends by number, of these weights.
    fn candidates(weights: [u32; 5]) -> impl DoubleEndedIterator<Item = (usize, u64, u32)> {
        (0..5).map(move |number| (number, sample::mix(number as u64 + 77), weights[number]))
    }

    #[test]
    fn rarity_is_the_negative_binary_logarithm() {
        for counter in 0..10_000 {
            let hash = sample::mix(counter) >> (counter % 40);
            let exact = 64.0 - ((hash | 1) as f64).log2();
            let ours = rarity(hash) as f64 / (1_u64 << 40) as f64;
            assert!((ours - exact).abs() < 0.006, "{hash}: {ours} for {exact}");
        }
        assert!(rarity(0) >= rarity(2) && rarity(u64::MAX) < rarity(u64::MAX / 2));
    }

    #[test]
    fn shares_follow_the_weights() {
        let weights = [5, 1, 2, 1, 1];
        let mut counts = [0_u32; 5];
        for counter in 0..100_000 {
            counts[highest(sample::mix(counter), candidates(weights)).unwrap()] += 1;
        }
        for (count, weight) in counts.iter().zip(weights) {
            // Binomial(100000, w/10): sigma is at most 158, so five are below 800.
            assert!(count.abs_diff(weight * 10_000) < 800, "{counts:?}");
        }
    }

    #[test]
    fn without_one_only_its_keys_move_and_to_all_others() {
        let mut heirs = [0; 5];
        for key in (0..10_000).map(sample::mix) {
            let before = highest(key, candidates([1; 5])).unwrap();
            let after = highest(key, candidates([1; 5]).filter(|(number, ..)| *number != 2));
            match before {
                2 => heirs[after.unwrap()] += 1,
                _ => assert_eq!(after, Some(before)),
            }
        }
        // Binomial(2000, 1/4): sigma is 19, so five are below 100.
        assert!(heirs.iter().enumerate().all(|(n, heir)| n == 2 || (400..600).contains(heir)));
        assert_eq!(heirs[2], 0);
    }

    #[test]
    fn order_does_not_matter() {
        for key in (0..1_000).map(sample::mix) {
            let weights = [1, 9, 3, 3, 4];
            assert_eq!(highest(key, candidates(weights)), highest(key, candidates(weights).rev()));
        }
        assert_eq!(highest(1, candidates([1; 5]).take(0)), None);
    }
}
