//! What a picker answers.

use std::fmt;

use crate::cluster::Slot;

/// A slot, and why that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    slot: Slot,
    reason: Reason,
}

impl Choice {
    /// This slot, for this reason.
    #[must_use]
    pub fn new(slot: Slot, reason: Reason) -> Self {
        Self { slot, reason }
    }

    /// The slot.
    #[must_use]
    pub fn slot(self) -> Slot {
        self.slot
    }

    /// Why.
    #[must_use]
    pub fn reason(self) -> Reason {
        self.reason
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
    /// Of those looked at, it should answer soonest.
    Fastest,
    /// It has moved the fewest bytes for its weight.
    LeastTraffic,
    /// Of those asked just now, it is the fastest that has not much to do.
    Probed,
    /// It is the first that can take the request.
    First,
    /// Its key belongs there.
    Key,
    /// Its key belongs to somebody who can't take it, and was hashed again.
    Rehash,
    /// The request asked for it.
    Preferred,
    /// It is half-open, its tier would come before the one in use, and somebody has to
    /// find out whether it is back.
    Trial,
    /// Everything the strategy chose was closed or full.
    LastResort,
    /// Nobody of the tier in use could take the request, and it stands by.
    Standby,
    /// A strategy of somebody else's, in its own word.
    Custom(&'static str),
}

impl Reason {
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
            Self::Fastest => "fastest",
            Self::LeastTraffic => "least-traffic",
            Self::Probed => "probed",
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
