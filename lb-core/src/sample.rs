//! From entropy to choices.
//!
//! A caller hands in 64 random bits per pick; these functions turn them into
//! indices. They are integer arithmetic only, so the same bits give the same
//! choice on every platform.

/// Scrambles `value` into 64 bits that look independent of it.
///
/// This is the output function of SplitMix64 (Steele, Lea, Flood: *Fast
/// Splittable Pseudorandom Number Generators*, 2014). Repeated use on a counter
/// is a full generator; here it draws several numbers from one pick's entropy.
#[inline]
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Maps the *high* bits of `entropy` onto `0..len`.
///
/// A multiplication instead of a remainder (Lemire: *Fast Random Integer
/// Generation in an Interval*, 2019). Without Lemire's rejection step some
/// indices come up more often by one part in 2⁶⁴ ÷ `len`, which no load balancer
/// will ever see.
///
/// # Panics
///
/// When `len` is 0.
#[inline]
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the product of x < 2^64 and len, shifted by 64, is below len"
)]
pub const fn index(entropy: u64, len: usize) -> usize {
    assert!(len > 0, "there is nothing to choose from");
    ((entropy as u128 * len as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_stays_below_its_bound_and_reaches_both_ends() {
        for len in [1, 2, 3, 10, 1000] {
            assert_eq!(index(0, len), 0);
            assert_eq!(index(u64::MAX, len), len - 1);
        }
    }

    #[test]
    fn indices_of_mixed_counters_are_even() {
        let mut counts = [0_u32; 7];
        for counter in 0..70_000 {
            counts[index(mix(counter), 7)] += 1;
        }
        // Binomial(70000, 1/7): sigma is 92.6, so five sigma are 463.
        for count in counts {
            assert!(count.abs_diff(10_000) < 463, "{counts:?}");
        }
    }
}
