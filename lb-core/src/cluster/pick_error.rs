//! Why there is no backend for a request.

use std::{fmt, ops::AddAssign};

use super::{eligibility::Standing, view::View};
use crate::strategy::PickCx;

/// No backend could be picked; counts of why each was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PickError {
    /// Backends in the cluster.
    pub total: usize,
    /// Disabled, draining or drained: somebody's decision.
    pub taken_out: usize,
    /// Down by an active check.
    pub down: usize,
    /// Ejected.
    pub ejected: usize,
    /// In a tier or zone that is not used, or a spare, and closed meanwhile.
    pub standby: usize,
    /// Left to other balancers, of which each uses a [`Subset`](super::Subset).
    pub elsewhere: usize,
    /// Tried already by this request.
    pub tried: usize,
    /// At their ceiling.
    pub full: usize,
    /// Half-open, and being tried by another request.
    pub half_open: usize,
}

/// How many would have taken the request if others were not there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refusals {
    pub(super) full: usize,
    /// Half-open, and being tried.
    pub(super) occupied: usize,
}

impl AddAssign for Refusals {
    fn add_assign(&mut self, other: Self) {
        self.full += other.full;
        self.occupied += other.occupied;
    }
}

impl PickError {
    /// Counts the reasons, of which some were found by asking: in the tier in use and
    /// before it, and on standby. They may be over by now.
    #[cold]
    pub(super) fn explain(
        view: View<'_>,
        cx: &PickCx<'_>,
        used: Refusals,
        reserves: Refusals,
    ) -> Self {
        let mut error = Self { total: view.len(), ..Self::default() };
        for slot in view.slots() {
            let count = match view.standing(slot) {
                Standing::Down => &mut error.down,
                Standing::Ejected => &mut error.ejected,
                Standing::Elsewhere => &mut error.elsewhere,
                Standing::In | Standing::HalfOpen | Standing::Panic | Standing::Standby
                    if view.was_tried(slot, cx) =>
                {
                    &mut error.tried
                }
                Standing::Standby => &mut error.standby,
                // The last three: full, or closed after the snapshot was built.
                Standing::Draining
                | Standing::Drained
                | Standing::Disabled
                | Standing::In
                | Standing::HalfOpen
                | Standing::Panic => &mut error.taken_out,
            };
            *count += 1;
        }
        error.taken_out -= used.full + used.occupied;
        error.standby -= reserves.full + reserves.occupied;
        error.full = used.full + reserves.full;
        error.half_open = used.occupied + reserves.occupied;
        error
    }

    /// Whether the request would find a backend if others had not ended up there.
    #[must_use]
    pub fn is_overload(&self) -> bool {
        self.full + self.half_open > 0
    }
}

impl std::error::Error for PickError {}

impl fmt::Display for PickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.total == 0 {
            return f.write_str("the cluster has no backends");
        }
        write!(f, "none of {} backends can be used", self.total)?;
        let reasons = [
            (self.taken_out, "taken out"),
            (self.down, "down"),
            (self.ejected, "ejected"),
            (self.standby, "on standby"),
            (self.elsewhere, "left to other balancers"),
            (self.tried, "tried"),
            (self.full, "full"),
            (self.half_open, "half-open"),
        ];
        let mut separator = ": ";
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {reason}")?;
            separator = ", ";
        }
        Ok(())
    }
}
