//! What a backend says of its own load.

/// A load that a backend has reported: of itself, over all balancers and all else that
/// it does. Kept in 1/65,536, at most 2³²: loads are compared in whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadReport {
    load: u64,
    unit: LoadUnit,
}

/// What a load of 1 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadUnit {
    /// A request in flight.
    Request,
    /// Whatever the backend means by it: all of its processors, say. What a request
    /// adds to it is not known, and is estimated from what others report.
    Any,
}

impl LoadReport {
    /// One request, or 1 of any unit.
    pub(crate) const ONE: u64 = 1 << 16;
    const MOST: u64 = 1 << 48;
    const REQUEST: u64 = 1 << 63;

    /// A load of `load`; `None` for what is no load, as it is negative or no number.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a load is not negative, and what is too large is the largest"
    )]
    pub fn new(load: f64, unit: LoadUnit) -> Option<Self> {
        let is_load = load.is_finite() && load >= 0.0;
        let parts = (load * Self::ONE as f64).round();
        is_load.then(|| Self { load: (parts as u64).min(Self::MOST), unit })
    }

    /// So many requests in flight.
    #[must_use]
    pub fn requests(count: u32) -> Self {
        Self { load: u64::from(count) * Self::ONE, unit: LoadUnit::Request }
    }

    /// The load in 1/65,536.
    #[must_use]
    pub fn parts(self) -> u64 {
        self.load
    }

    /// What a load of 1 is.
    #[must_use]
    pub fn unit(self) -> LoadUnit {
        self.unit
    }

    /// All of it in one word, which is not 0.
    pub(crate) fn to_word(self) -> u64 {
        (self.load + 1) | if self.unit == LoadUnit::Request { Self::REQUEST } else { 0 }
    }

    /// What was made a word; `None` of 0.
    pub(crate) fn from_word(word: u64) -> Option<Self> {
        let unit = if word & Self::REQUEST == 0 { LoadUnit::Any } else { LoadUnit::Request };
        (word & !Self::REQUEST).checked_sub(1).map(|load| Self { load, unit })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_from_nothing_on_are_loads() {
        let parts = |load| LoadReport::new(load, LoadUnit::Any).map(LoadReport::parts);
        assert_eq!(parts(0.0), Some(0));
        assert_eq!(parts(-0.0), Some(0));
        assert_eq!(parts(0.5), Some(1 << 15));
        assert_eq!(parts(f64::MAX), Some(1 << 48));
        for no_load in [-0.001, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(parts(no_load), None, "{no_load}");
        }
    }

    #[test]
    fn a_word_says_what_the_report_said() {
        assert_eq!(LoadReport::from_word(0), None);
        for load in [0.0, 0.25, 1.0, 1e30] {
            for unit in [LoadUnit::Any, LoadUnit::Request] {
                let report = LoadReport::new(load, unit);
                assert_eq!(LoadReport::from_word(report.unwrap().to_word()), report);
            }
        }
        assert_eq!(LoadReport::requests(3).parts(), 3 << 16);
    }
}
