//! Remainders of a divisor that is known long before.

/// A divisor. The remainder is two multiplications and a comparison instead of a
/// division, and exact.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Divisor {
    divisor: u64,
    /// 2⁶⁴ ÷ the divisor, rounded down, or one less.
    reciprocal: u64,
}

impl Divisor {
    /// Of 0 there are no remainders.
    pub(super) fn new(divisor: u64) -> Self {
        Self { divisor, reciprocal: u64::MAX.checked_div(divisor).unwrap_or(0) }
    }

    /// The remainder of `number`; `None` where the divisor is 0.
    #[inline]
    pub(super) fn remainder(self, number: u64) -> Option<u64> {
        // The quotient by the reciprocal is right or one too small.
        let quotient = ((u128::from(number) * u128::from(self.reciprocal)) >> 64) as u64;
        let rest = number.wrapping_sub(quotient.wrapping_mul(self.divisor));
        let rest = if rest >= self.divisor { rest.wrapping_sub(self.divisor) } else { rest };
        (self.divisor > 0).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn it_is_the_remainder_of_a_division() {
        assert_eq!(Divisor::new(0).remainder(7), None);
        let edges = [0, 1, 2, 3, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX - 1, u64::MAX];
        let drawn = (0..300).map(|n| sample::mix(n) >> (n % 64));
        let numbers: Vec<u64> = edges.into_iter().chain(drawn).collect();
        for divisor in numbers.iter().copied().filter(|divisor| *divisor > 0) {
            let near = [divisor - 1, divisor, divisor.wrapping_mul(7), divisor.wrapping_mul(7) - 1];
            for number in numbers.iter().copied().chain(near) {
                let remainder = Divisor::new(divisor).remainder(number);
                assert_eq!(remainder, Some(number % divisor), "{number} % {divisor}");
            }
        }
    }
}
