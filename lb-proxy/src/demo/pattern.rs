//! Bytes that both ends can compute, so that a body can be checked without keeping it.

use std::sync::LazyLock;

use bytes::Bytes;
use lb_core::sample::mix;

/// Long enough that a large body is few writes, short enough to stay in the cache.
const BLOCK: usize = 64 << 10;

static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    (0..BLOCK as u64 / 8).flat_map(|word| mix(word).to_le_bytes()).collect::<Vec<u8>>().into()
});

/// The byte at `offset` of every body that a demo backend makes. The pattern does
/// not compress and repeats after 64 KiB.
#[must_use]
pub fn pattern_byte(offset: u64) -> u8 {
    PATTERN[within(offset)]
}

/// At most `most` bytes of the pattern from `offset` on: a view, not a copy.
pub(super) fn pattern(offset: u64, most: u64) -> Bytes {
    let start = within(offset);
    let length = usize::try_from(most).unwrap_or(BLOCK).min(BLOCK - start);
    PATTERN.slice(start..start + length)
}

fn within(offset: u64) -> usize {
    // Below BLOCK, so it fits whatever the width of usize.
    (offset % BLOCK as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_the_bytes_at_its_offsets() {
        let block = BLOCK as u64;
        for (offset, most, length) in [(0, 10, 10), (block - 3, 10, 3), (3 * block + 5, 7, 7)] {
            let slice = pattern(offset, most);
            assert_eq!(slice.len(), length);
            for (byte, at) in slice.iter().zip(offset..) {
                assert_eq!(*byte, pattern_byte(at));
            }
        }
    }
}
