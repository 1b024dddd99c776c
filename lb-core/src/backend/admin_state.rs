//! What a person, or a source on a person's behalf, decided about a backend.

use crate::time::Tick;

/// Whether a backend may be used, as somebody decided; its [`Health`](crate::Health),
/// as somebody observed, is another matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdminState {
    /// It takes requests.
    #[default]
    Enabled,
    /// It takes requests of clients that are bound to it and no others.
    Draining {
        /// When even those must go elsewhere; `None`: never.
        until: Option<Tick>,
    },
    /// It takes no requests. Those it has run to their end.
    Disabled,
}

impl AdminState {
    /// Whether clients that are bound to the backend may use it at `now`.
    #[must_use]
    pub fn admits_bound(self, now: Tick) -> bool {
        match self {
            Self::Enabled => true,
            Self::Draining { until } => until.is_none_or(|until| now < until),
            Self::Disabled => false,
        }
    }

    /// Whether anybody else may.
    #[must_use]
    pub fn admits_new(self) -> bool {
        self == Self::Enabled
    }
}
