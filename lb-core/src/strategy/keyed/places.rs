//! What a snapshot knows about each position of a table.

use crate::{
    cluster::{Slot, Standing, View},
    strategy::{Choice, Reason},
};

/// A backend's slot, and what must be asked before it gets a request. In one word, so that
/// most picks know with one look whose turn it is and that nothing needs to be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u64);

/// It takes nobody.
const OUT: u64 = 1;
/// It may be full: it has a ceiling, or is half-open.
const MAY_BE_FULL: u64 = 1 << 1;
/// It takes only a part of its keys.
const IN_PART: u64 = 1 << 2;

impl Place {
    /// For a table of `slots`; where there are `parts`, not everybody takes all keys.
    pub(super) fn all(slots: &[Slot], parts: &[u64], view: View<'_>) -> Box<[Self]> {
        let place = |(position, slot): (usize, &Slot)| {
            let flag = |flag, is_set| if is_set { flag } else { 0 };
            let may_be_full = view.has_ceiling(*slot) || view.standing(*slot) == Standing::HalfOpen;
            let is_in_part = parts.get(position).is_some_and(|part| *part != super::WHOLE);
            Self(
                (slot.index() as u64) << 32
                    | flag(OUT, !view.new_set().contains(*slot))
                    | flag(MAY_BE_FULL, may_be_full)
                    | flag(IN_PART, is_in_part),
            )
        };
        slots.iter().enumerate().map(place).collect()
    }

    /// Whether it takes any request that has not been there.
    #[inline]
    pub(super) fn takes_all(self) -> bool {
        self.0 & (OUT | MAY_BE_FULL | IN_PART) == 0
    }

    #[inline]
    pub(super) fn is_out(self) -> bool {
        self.0 & OUT != 0
    }

    #[inline]
    pub(super) fn may_be_full(self) -> bool {
        self.0 & MAY_BE_FULL != 0
    }

    #[inline]
    pub(super) fn is_in_part(self) -> bool {
        self.0 & IN_PART != 0
    }

    #[inline]
    pub(super) fn slot(self) -> Slot {
        Slot::from_number((self.0 >> 32) as u32)
    }

    #[inline]
    pub(super) fn choice(self, reason: Reason) -> Choice {
        Choice::new(self.slot(), reason)
    }
}
