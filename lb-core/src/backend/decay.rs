//! How much is left of something that fades, in whole numbers.
//!
//! e^(-age ÷ time constant) as 2^(-age ÷ halving time): the whole part is a shift, and
//! the rest comes from a table of 32 steps with straight lines between them, which is
//! right to 0.006 %. Dividing by the halving time is a multiplication, as picks do
//! this for each backend they compare.

use std::time::Duration;

/// A share of 1, in 1/2³².
const ONE: u64 = 1 << 32;
const STEP_BITS: u32 = 5;
const STEPS: usize = 1 << STEP_BITS;
/// 2^(-i/32), in 1/2³².
const TABLE: [u64; STEPS + 1] = table();

/// How fast something fades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decay {
    /// In nanoseconds.
    halving: u64,
    /// 2⁶⁴ ÷ `halving`.
    inverse: u64,
}

impl Decay {
    /// Forgets all but 1/e in this time; in a millisecond if it is less.
    pub(crate) fn over(constant: Duration) -> Self {
        const LN_2: u128 = 2_977_044_471; // in 1/2^32
        let halving = (constant.as_nanos().min(u128::from(u64::MAX)) * LN_2) >> 32;
        Self::halving_in(u64::try_from(halving).unwrap_or(u64::MAX))
    }

    /// Forgets half in so many nanoseconds.
    pub(crate) const fn halving_in(nanos: u64) -> Self {
        let halving = if nanos < 693_147 { 693_147 } else { nanos };
        Self { halving, inverse: u64::MAX / halving }
    }

    /// What is left of `amount` after `age`.
    pub(crate) fn left(self, amount: u64, age: Duration) -> u64 {
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let left = (u128::from(amount) * u128::from(self.share(age))) >> 32;
        u64::try_from(left).unwrap_or(amount)
    }

    /// The share that is left, in 1/2³².
    #[expect(clippy::cast_possible_truncation, reason = "age is below 32 halvings, by 2^32 each")]
    fn share(self, age: u64) -> u64 {
        if age / 32 >= self.halving {
            return 0;
        }
        let halvings = ((u128::from(age) * u128::from(self.inverse)) >> 32) as u64;
        let rest = halvings % ONE;
        let step = (rest >> (32 - STEP_BITS)) as usize;
        let between = rest % (ONE >> STEP_BITS);
        let (this, next) = (TABLE[step], TABLE[step + 1]);
        let share = this - (((this - next) * between) >> (32 - STEP_BITS));
        share >> (halvings / ONE)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "what is below 1 in 1/2^64 fits")]
const fn table() -> [u64; STEPS + 1] {
    /// 2^(-1/32), in 1/2^64.
    const RATIO: u128 = 18_051_468_387_014_017_850;
    let mut table = [ONE; STEPS + 1];
    let mut power: u128 = 1 << 64;
    let mut step = 1;
    while step <= STEPS {
        // A factor of 2^63 leaves room for the product.
        power = ((power >> 1) * RATIO) >> 63;
        table[step] = (power >> 32) as u64;
        step += 1;
    }
    table[STEPS] = ONE / 2;
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_exponential_function() {
        for constant in [0.001, 0.05, 1.0, 10.0, 3_600.0] {
            let decay = Decay::over(Duration::from_secs_f64(constant));
            for step in 0..2_000 {
                let age = constant * f64::from(step) / 100.0;
                let left = decay.left(1 << 40, Duration::from_secs_f64(age)) as f64;
                let ideal = (1_u64 << 40) as f64 * (-age / constant).exp();
                // Straight lines are above the curve by ln(2)²/8 ÷ 32² at most.
                assert!((left - ideal).abs() < ideal * 6.5e-5 + 600.0, "{constant} {age}");
            }
        }
    }

    #[test]
    fn nothing_fades_at_once_and_all_in_the_end() {
        let decay = Decay::over(Duration::from_secs(10));
        assert_eq!(decay.left(12_345, Duration::ZERO), 12_345);
        assert_eq!(decay.left(u64::MAX, Duration::ZERO), u64::MAX);
        assert_eq!(decay.left(u64::MAX, Duration::from_secs(1_000)), 0);
        assert_eq!(decay.left(u64::MAX, Duration::MAX), 0);
        let ages = (0..20_000).map(|n| decay.left(1 << 30, Duration::from_millis(n * 10)));
        assert!(ages.collect::<Vec<_>>().is_sorted_by(|before, after| before >= after));
    }

    #[test]
    fn the_longest_and_the_shortest_times_do_not_overflow() {
        assert_eq!(Decay::over(Duration::MAX).left(5, Duration::from_secs(1)), 5);
        assert_eq!(Decay::over(Duration::ZERO).left(1 << 20, Duration::from_millis(50)), 0);
    }
}
