//! What a cluster does about backends that fail, come back, or are too few.

use std::{sync::Arc, time::Duration};

use super::eligibility::Subset;
use crate::health::Outlier;

/// How a cluster treats failing and returning backends. What a backend says
/// itself comes first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Below which share of usable backends, in percent, all enabled ones of the
    /// tier are used. 0: only when none is left, and then those that an active
    /// check holds down stay out.
    pub panic_threshold: u8,
    /// How a backend that comes or returns gets its share; at once unless set.
    pub slow_start: Option<SlowStart>,
    /// When failed requests take a backend out.
    pub passive: Passive,
    /// How many checks in a row change a verdict, where there are checks.
    pub checks: Thresholds,
    /// When a backend that does worse than the others is taken out; never unless set.
    pub outlier: Option<Outlier>,
    /// Whether a tier gives up a part of its requests when a part of it is out; unless
    /// set, the next tier is used when nobody of those before it can be.
    pub overflow: Option<Overflow>,
    /// Whose backends are preferred within a tier; nobody's unless set.
    pub zone: Option<Zone>,
    /// Of very many backends, those that this balancer uses; all unless set.
    pub subset: Option<Subset>,
}

/// Tiers spill over: each takes as many of the requests as it can, the next one those
/// that are left. Envoy's rule for priority levels, but by weight: a tier can take
/// factor × (usable ÷ enabled) of all, and all at most. With the usual factor and two of
/// three equal backends down, 46.7 % stay and the next tier gets 53.3 %. The same rule
/// says how much the own [`Zone`] takes.
///
/// [Panic](super::Panic) is judged for each tier that takes a share: one that is below
/// the threshold uses all its backends for its share, which stays as it was. (In Envoy
/// no level is in panic while all together can take everything.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overflow {
    /// How much more than its usual load a backend can take; below 1 it is 1.
    pub factor: f64,
}

impl Default for Overflow {
    /// Envoy's.
    fn default() -> Self {
        Self { factor: 1.4 }
    }
}

/// Within a tier, backends of the balancer's own zone come before those of all others
/// and those that say none. The zone takes as much as it can, by the factor of
/// [`Overflow`] or 1.4, whatever its size: unlike Envoy, a balancer here does not know
/// how many others are in its zone. So this is for zones that have backends in
/// proportion to their clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Where the balancer is.
    pub own: Arc<str>,
}

/// When failed requests take a backend out. Only local failures count: no
/// connection, a broken one, no answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passive {
    /// Never.
    Off,
    /// After this many in a row.
    Consecutive {
        /// At least 1.
        failures: u32,
        /// For how long; then one request at a time tries it.
        eject: Duration,
    },
    /// nginx's `max_fails` and `fail_timeout`: after so many within the time, for
    /// the same time.
    Windowed {
        /// At least 1.
        max_fails: u32,
        /// Both the window and how long it is left out.
        fail_timeout: Duration,
    },
}

impl Passive {
    /// How long a backend is ejected that says nothing else.
    pub(crate) const EJECTION: Duration = Duration::from_secs(10);

    /// How long a backend is ejected at first.
    pub(crate) fn ejection(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::Consecutive { eject, .. } => Some(eject),
            Self::Windowed { fail_timeout, .. } => Some(fail_timeout),
        }
    }
}

impl Default for Passive {
    fn default() -> Self {
        Self::Consecutive { failures: 3, eject: Self::EJECTION }
    }
}

/// How many active checks in a row change a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Passed ones that bring a backend up that was down.
    pub rise: u32,
    /// Failed ones that take it down.
    pub fall: u32,
    /// In which time all backends are checked once. When checks would take down more
    /// than 30 % of a tier within it, and at least two backends, the fault may be
    /// ours: each of those that go beyond must fail once more.
    pub round: Duration,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { rise: 2, fall: 3, round: Duration::from_secs(2) }
    }
}

/// A backend that comes or returns begins with a part of its weight: Envoy's
/// curve, weight × max(least, (age ÷ window)^(1 ÷ aggression)), in ten steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStart {
    /// After this long it has its whole weight.
    pub window: Duration,
    /// 1 is linear; more gives it more at first.
    pub aggression: f64,
    /// The least part, in percent.
    pub least: u8,
}

impl SlowStart {
    /// Linear, from a tenth.
    #[must_use]
    pub fn over(window: Duration) -> Self {
        Self { window, aggression: 1.0, least: 10 }
    }

    /// The part of its weight that a backend of this age has: Envoy's formula, with
    /// a second as the least age, and the whole once the window is over.
    #[must_use]
    pub fn part(&self, age: Duration) -> f64 {
        if age >= self.window {
            return 1.0;
        }
        let share = age.as_secs_f64().max(1.0) / self.window.as_secs_f64();
        let least = f64::from(self.least) / 100.0;
        share.powf(1.0 / self.aggression).max(least).min(1.0)
    }
}
