//! What was observed of a backend.

use std::fmt;

/// The verdict on one incarnation. [`health`](crate::health) says how it is reached;
/// eligibility only needs the verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Nobody has looked yet. It is used.
    #[default]
    Unknown,
    /// It was seen to work.
    Up,
    /// Its answers to real requests were bad. It is left out for a while, but it
    /// is used again when nobody else is left.
    Ejected,
    /// Its ejection is over. One request at a time finds out whether it works.
    HalfOpen,
    /// An active check says that it does not work. It is not used.
    Down,
}

impl Health {
    /// Whether a backend in this health takes its share.
    #[must_use]
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Unknown | Self::Up)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Ejected => "ejected",
            Self::HalfOpen => "half-open",
            Self::Down => "down",
        })
    }
}
