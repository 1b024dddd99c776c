//! Where a request has been.

use crate::backend::IncarnationId;

/// The incarnations a request has tried: never positions, because a retry picks
/// from whatever snapshot is there by then. Holds the last eight.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    last: [Option<IncarnationId>; Self::KEPT],
    count: usize,
}

impl Tried {
    pub(crate) const KEPT: usize = 8;

    /// Nowhere yet.
    pub(super) const NOTHING: &Self = &Self { last: [None; Self::KEPT], count: 0 };

    /// Adds one.
    pub fn add(&mut self, incarnation: IncarnationId) {
        self.last[self.count % Self::KEPT] = Some(incarnation);
        self.count += 1;
    }

    /// Whether this one was tried.
    #[must_use]
    pub fn contains(&self, incarnation: IncarnationId) -> bool {
        self.last[..self.count.min(Self::KEPT)].contains(&Some(incarnation))
    }

    /// How many were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing was tried.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_eight_are_remembered() {
        let mut tried = Tried::default();
        let id = IncarnationId::from_number;
        for number in 0..9 {
            assert!(!tried.contains(id(number)));
            tried.add(id(number));
            assert!(tried.contains(id(number)));
        }
        assert!(!tried.contains(id(0)) && tried.contains(id(1)));
        assert_eq!(tried.len(), 9);
    }
}
