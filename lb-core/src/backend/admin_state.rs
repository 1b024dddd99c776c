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

    /// Both decisions together: the one that admits less; of two drains, the one that
    /// ends first.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Disabled, _) | (_, Self::Disabled) => Self::Disabled,
            (Self::Enabled, state) | (state, Self::Enabled) => state,
            (Self::Draining { until: one }, Self::Draining { until: another }) => {
                Self::Draining { until: [one, another].into_iter().flatten().min() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_decisions_the_one_that_admits_less_holds() {
        let until = |millis| AdminState::Draining { until: Some(Tick::from_millis(millis)) };
        let for_ever = AdminState::Draining { until: None };
        for (one, another, both) in [
            (AdminState::Enabled, AdminState::Enabled, AdminState::Enabled),
            (AdminState::Enabled, for_ever, for_ever),
            (AdminState::Disabled, until(1), AdminState::Disabled),
            (until(2), until(1), until(1)),
            (for_ever, until(1), until(1)),
        ] {
            assert_eq!((one.and(another), another.and(one)), (both, both));
        }
    }
}
