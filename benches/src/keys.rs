//! Keys for picks, prepared in advance.

use lb_core::sample;

use crate::Entropy;

/// As many keys of one length as there are words of [`Entropy`].
#[derive(Debug)]
pub struct Keys {
    bytes: Box<[u8]>,
    length: usize,
}

impl Keys {
    /// Keys of so many bytes.
    ///
    /// # Panics
    ///
    /// When `length` is 0.
    #[must_use]
    pub fn of_length(length: usize) -> Self {
        assert!(length > 0, "an empty key is no key");
        let words = length.div_ceil(8) as u64;
        let key = |key: u64| {
            let words = key * words..(key + 1) * words;
            words.flat_map(|word| sample::mix(word).to_le_bytes()).take(length).collect::<Vec<u8>>()
        };
        let bytes = (0..Entropy::LENGTH as u64).flat_map(key).collect();
        Self { bytes, length }
    }

    /// The key for the pick of that number.
    #[inline]
    #[must_use]
    pub fn of(&self, pick: u64) -> &[u8] {
        let start = pick as usize % Entropy::LENGTH * self.length;
        &self.bytes[start..start + self.length]
    }
}
