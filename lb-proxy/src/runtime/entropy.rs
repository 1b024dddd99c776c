//! Randomness for picks: one generator per worker, seeded once.
//!
//! SplitMix64 (Steele, Lea, Flood 2014): one addition and a mix per number, no
//! lock. It decides who gets a request, nothing that an attacker must not guess;
//! keys and cookies need another source.

use std::{
    cell::Cell,
    hash::{BuildHasher, Hasher, RandomState},
};

#[derive(Debug)]
pub(crate) struct Entropy(Cell<u64>);

impl Entropy {
    /// Seeded by the operating system, through the keys of a standard hash map.
    pub(crate) fn from_os() -> Self {
        Self(Cell::new(RandomState::new().build_hasher().finish()))
    }

    pub(crate) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        lb_core::sample::mix(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_workers_do_not_draw_the_same_numbers() {
        let (one, other) = (Entropy::from_os(), Entropy::from_os());
        assert_ne!(
            [one.next(), one.next(), one.next()],
            [other.next(), other.next(), other.next()]
        );
    }
}
