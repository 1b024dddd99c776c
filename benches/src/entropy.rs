//! Random bits for picks, prepared in advance.

use lb_core::{Tick, sample};

/// A ring of fixed random words: the same in each run, and long enough for branch
/// predictors not to learn it.
#[derive(Debug)]
pub struct Entropy(Box<[u64; Self::LENGTH]>);

impl Entropy {
    pub(crate) const LENGTH: usize = 1 << 14;

    /// The words that follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut words = Box::new([0; Self::LENGTH]);
        for (word, number) in words.iter_mut().zip(0..) {
            *word = sample::mix(sample::mix(seed) ^ number);
        }
        Self(words)
    }

    /// The word for the pick of that number.
    #[inline]
    #[must_use]
    pub fn of(&self, pick: u64) -> u64 {
        self.0[pick as usize % Self::LENGTH]
    }

    /// The client's address for the pick of that number.
    #[inline]
    #[must_use]
    pub fn address(&self, pick: u64) -> [u8; 4] {
        let [a, b, c, d, ..] = self.of(pick).to_le_bytes();
        [a, b, c, d]
    }

    /// A time for picks; benches have no clock either.
    pub const NOW: Tick = Tick::from_millis(1);
}
