//! Weights are whole numbers from 1.

use std::{fmt, num::NonZeroU16};

/// A backend's share relative to its fellows: 1 to 65,535.
///
/// Zero is not a weight. What people mean by it, "nobody new, but let those stay
/// who are bound to it", is
/// [`AdminState::Draining`](crate::AdminState::Draining), and a set in which
/// every weight is zero has no meaning at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(NonZeroU16);

impl Weight {
    /// The weight of a backend that says nothing of its own.
    pub const ONE: Self = Self(NonZeroU16::MIN);
    /// The largest weight.
    pub const MAX: Self = Self(NonZeroU16::MAX);

    /// This weight, or `None` when it is 0 or above 65,535.
    #[must_use]
    pub fn new(weight: u32) -> Option<Self> {
        u16::try_from(weight).ok().and_then(NonZeroU16::new).map(Self)
    }

    /// As a number.
    #[must_use]
    pub fn get(self) -> u32 {
        u32::from(self.0.get())
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_between_1_and_65535() {
        assert_eq!(Weight::new(0), None);
        assert_eq!(Weight::new(65_536), None);
        assert_eq!(Weight::new(1), Some(Weight::ONE));
        assert_eq!(Weight::new(65_535), Some(Weight::MAX));
    }
}
