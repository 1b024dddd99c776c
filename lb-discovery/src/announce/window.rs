//! Which datagrams of one life of a sender were heard: the sliding window of IPsec
//! (RFC 4303, 3.4.3), of 64.
//!
//! UDP changes the order and sends twice. What is late is no attack, and says nothing
//! new either; what was heard before, or lies too far back to know, is a replay.

/// The newest number, and which of the 63 before it were heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    newest: u64,
    /// Bit n: the number that is n before the newest.
    heard: u64,
}

/// What a number is to those heard before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Newer than all.
    Newest,
    /// Not heard before, though a newer one was.
    Late,
    /// Heard before, or too far back to know.
    Replayed,
}

impl Window {
    /// The first number was heard.
    pub(crate) fn new(number: u64) -> Self {
        Self { newest: number, heard: 1 }
    }

    /// What this number is; then it was heard.
    pub(crate) fn take(&mut self, number: u64) -> Order {
        if number > self.newest {
            let ahead = u32::try_from(number - self.newest).unwrap_or(u32::MAX);
            self.heard = self.heard.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = number;
            return Order::Newest;
        }
        let behind = u32::try_from(self.newest - number).unwrap_or(u32::MAX);
        match 1_u64.checked_shl(behind) {
            Some(bit) if self.heard & bit == 0 => {
                self.heard |= bit;
                Order::Late
            }
            _ => Order::Replayed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    #[test]
    fn each_number_counts_once_and_far_behind_never() {
        let mut window = Window::new(100);
        assert_eq!(window.take(100), Order::Replayed);
        assert_eq!(window.take(102), Order::Newest);
        assert_eq!(window.take(101), Order::Late);
        assert_eq!(window.take(101), Order::Replayed);
        assert_eq!(window.take(39), Order::Late, "63 behind");
        assert_eq!(window.take(38), Order::Replayed, "64 behind");
        assert_eq!(window.take(u64::MAX), Order::Newest);
        assert_eq!(window.take(102), Order::Replayed);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1b),
            ..ProptestConfig::default()
        })]

        #[test]
        fn it_agrees_with_a_set_of_all_numbers(
            numbers in proptest::collection::vec(0..200_u64, 1..300)
        ) {
            let mut window = Window::new(numbers[0]);
            let mut all = BTreeSet::from([numbers[0]]);
            for number in &numbers[1..] {
                let newest = *all.last().unwrap();
                let expected = if *number > newest {
                    Order::Newest
                } else if all.contains(number) || newest - number > 63 {
                    Order::Replayed
                } else {
                    Order::Late
                };
                prop_assert_eq!(window.take(*number), expected);
                all.insert(*number);
            }
        }
    }
}
