//! How many places a table has.

/// Primes, so that every step makes a permutation, and so far apart that a cluster rarely
/// outgrows one, as nearly all keys move then. A table that has grown is not kept when
/// backends leave: balancers that were started later would have another one. The second is
/// for a thousand backends: the third would take four times as long to build.
const SIZES: [usize; 6] = [65_537, 131_071, 524_287, 2_097_143, 8_388_593, 67_108_859];
/// Places per backend, at least (up to 671,000 backends).
const PER_BACKEND: usize = 100;
/// The owner of a place that nobody has yet.
pub(in crate::strategy) const NOBODY: u32 = u32::MAX;

/// How large the table of so many backends is.
pub(in crate::strategy) fn size_for(backends: usize) -> usize {
    let wanted = backends.saturating_mul(PER_BACKEND);
    SIZES.into_iter().find(|size| *size >= wanted).unwrap_or(SIZES[5])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sizes_are_prime() {
        for size in SIZES {
            let divisor = (2..).take_while(|d| d * d <= size).find(|d| size % d == 0);
            assert_eq!(divisor, None, "{size}");
        }
    }

    #[test]
    fn there_are_a_hundred_places_for_each_backend() {
        for (backends, size) in [
            (0, 65_537),
            (1, 65_537),
            (655, 65_537),
            (656, 131_071),
            (1_310, 131_071),
            (3_000, 524_287),
        ] {
            assert_eq!(size_for(backends), size, "{backends}");
        }
    }
}
