//! What a picker answers.

use std::{fmt, num::NonZeroU64};

use crate::cluster::Slot;

/// A slot, and why that one.
///
/// Two words, and so is an `Option` of it, so that a picker returns it in registers:
/// on its way through memory it would be written in parts and read as a whole, which
/// costs more than most picks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The slot above, the number of the reason below.
    packed: NonZeroU64,
    /// That of [`Reason::Custom`].
    word: Option<&'static &'static str>,
}

impl Choice {
    /// This slot, for this reason.
    #[inline]
    #[must_use]
    pub fn new(slot: Slot, reason: Reason) -> Self {
        let word = if let Reason::Custom(word) = reason { Some(word) } else { None };
        let slot = (slot.index() as u64) << 32;
        Self { packed: reason.number() | slot, word }
    }

    /// The slot.
    #[inline]
    #[must_use]
    pub fn slot(self) -> Slot {
        Slot::from_number((self.packed.get() >> 32) as u32)
    }

    /// Why.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    pub fn reason(self) -> Reason {
        let plain = || Reason::PLAIN[self.packed.get() as u32 as usize - 1];
        self.word.map_or_else(plain, Reason::Custom)
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, reason) = (self.slot(), self.reason());
        f.debug_struct("Choice").field("slot", &slot).field("reason", &reason).finish()
    }
}

/// Why a backend was chosen, for logs and explanations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It was its turn.
    Turn,
    /// A draw.
    Draw,
    /// It had nothing in flight.
    Idle,
    /// Of those looked at, it had the least in flight for its weight.
    LeastLoaded,
    /// Of those asked just now, it is the fastest that has not much to do.
    Probed,
    /// Of those looked at, it should answer soonest.
    Fastest,
    /// It has moved the fewest bytes for its weight.
    LeastTraffic,
    /// It is the first that can take the request.
    First,
    /// Its key belongs there.
    Key,
    /// Its key belongs to somebody who can't take it, and was hashed again.
    Rehash,
    /// The request asked for it.
    Preferred,
    /// It is half-open, its tier is not in use and would be, and somebody has to find out
    /// whether it is back.
    Trial,
    /// Everything the strategy chose was closed or full.
    LastResort,
    /// Nobody of the tier in use could take the request, and it stands by.
    Standby,
    /// A strategy of somebody else's, in its own word: `Custom(&"nearest")`, or the
    /// address of a `static`. A reference to a `str` and not the `str` itself, as that is
    /// two words: with a slot beside it, a [`Choice`] would not come back in registers,
    /// from any strategy.
    Custom(&'static &'static str),
}

impl Reason {
    /// Those without a word, by number, from 1. The numbers mean nothing outside: new
    /// ones come last.
    const PLAIN: [Self; 14] = [
        Self::Turn,
        Self::Draw,
        Self::Idle,
        Self::LeastLoaded,
        Self::First,
        Self::Key,
        Self::Rehash,
        Self::Preferred,
        Self::Trial,
        Self::LastResort,
        Self::Standby,
        Self::Fastest,
        Self::LeastTraffic,
        Self::Probed,
    ];

    #[inline]
    const fn number(self) -> NonZeroU64 {
        let number = match self {
            Self::Turn => 1,
            Self::Draw => 2,
            Self::Idle => 3,
            Self::LeastLoaded => 4,
            Self::First => 5,
            Self::Key => 6,
            Self::Rehash => 7,
            Self::Preferred => 8,
            Self::Trial => 9,
            Self::LastResort => 10,
            Self::Standby => 11,
            Self::Fastest => 12,
            Self::LeastTraffic => 13,
            Self::Probed => 14,
            Self::Custom(_) => 255,
        };
        NonZeroU64::MIN.saturating_add(number - 1)
    }

    /// Of a key that was hashed for the first time, or once more.
    pub(super) fn of_attempt(attempt: usize) -> Self {
        if attempt == 0 { Self::Key } else { Self::Rehash }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Turn => "turn",
            Self::Draw => "draw",
            Self::Idle => "idle",
            Self::LeastLoaded => "least-loaded",
            Self::Probed => "probed",
            Self::Fastest => "fastest",
            Self::LeastTraffic => "least-traffic",
            Self::First => "first",
            Self::Key => "key",
            Self::Rehash => "rehash",
            Self::Preferred => "preferred",
            Self::Trial => "trial",
            Self::LastResort => "last-resort",
            Self::Standby => "standby",
            Self::Custom(word) => word,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_fits_two_registers_and_so_does_none() {
        assert_eq!(size_of::<Option<Choice>>(), 16);
    }

    #[test]
    fn a_choice_keeps_its_slot_and_its_reason() {
        for reason in Reason::PLAIN.into_iter().chain([Reason::Custom(&"near")]) {
            let choice = Choice::new(Slot::new(7), reason);
            assert_eq!((choice.slot().index(), choice.reason()), (7, reason));
        }
    }
}
