//! How many more backends may be ejected.
//!
//! Where outliers are looked for, no more than a share of a tier is ejected for what
//! happened to requests: by comparison somebody is always the worst, and the others
//! take over what it did. The share counts all ejections, and those that are over but
//! for the trial, which takes next to nothing. Whoever stays because of that stays in
//! use, and what spoke against it is not kept: it has to happen again when there is
//! room. Without [`Outlier`], ejections have no limit: each is for failures that no
//! comparison made.

use std::collections::BTreeMap;

use crate::{
    backend::Health,
    health::{Outlier, Transition},
};

/// Counts of each tier, kept while many verdicts are reached at once.
#[derive(Debug)]
pub(super) struct Ceiling {
    outlier: Outlier,
    tiers: BTreeMap<u8, Tier>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tier {
    enabled: usize,
    /// Of those.
    out: usize,
}

impl Ceiling {
    /// From the tier and health of each backend that is enabled. O(n).
    pub(super) fn of(outlier: Outlier, enabled: impl Iterator<Item = (u8, Health)>) -> Self {
        let mut tiers: BTreeMap<u8, Tier> = BTreeMap::new();
        for (tier, health) in enabled {
            let tier = tiers.entry(tier).or_default();
            tier.enabled += 1;
            tier.out += usize::from(is_out(health));
        }
        Self { outlier, tiers }
    }

    /// Whether one more of this tier may be ejected.
    pub(super) fn has_room(&self, tier: u8) -> bool {
        let tier = self.tiers.get(&tier).copied().unwrap_or_default();
        tier.out < self.outlier.ceiling(tier.enabled)
    }

    /// Takes in a verdict on an enabled backend of this tier.
    pub(super) fn note(&mut self, tier: u8, transition: &Transition) {
        let tier = self.tiers.entry(tier).or_default();
        tier.out += usize::from(is_out(transition.to));
        tier.out = tier.out.saturating_sub(usize::from(is_out(transition.from)));
    }
}

fn is_out(health: Health) -> bool {
    matches!(health, Health::Ejected | Health::HalfOpen)
}
