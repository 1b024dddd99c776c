//! Which tiers and zones take requests, and how much each.
//!
//! The rule is Envoy's for priority levels. What a tier can still do is its
//! *availability*: factor × (weight of its usable backends ÷ weight of its enabled ones),
//! at most everything. A factor of 1.4 says that backends are built for more than they
//! usually get: a tier keeps all its requests until less than 72 % of it is left. The
//! first tier takes as much as its availability, the next one of the rest as much as its
//! own, and so on. When all together can't take everything, each gets more in proportion.
//!
//! Without [`Overflow`] a tier takes everything or nothing.
//!
//! Within a tier, the backends of the balancer's own zone come before all others by the
//! same rule. A balancer does not know how many others are in its zone and what they are
//! sent, so its zone gets all it can take, whatever its size: Envoy, which knows both,
//! sends on what would be more than a zone's part of the backends. Where a zone has too
//! few backends for its clients, ceilings make them spill over.
//!
//! In panic nobody knows who is usable, so there zones are not told apart.
//!
//! Parts that take nothing now may be missed all the same: those before the ones in use,
//! and where those in use can't take everything, all that could be asked to help. Their
//! half-open backends have to be tried, or they would stay so for ever. Up to where that
//! goes is the *reach*.

use std::collections::BTreeMap;

use super::{Facts, Panic};
use crate::{
    backend::Health,
    cluster::{
        groups::{ALL, GroupId, Place},
        policy::{Overflow, Policy},
    },
};

/// Backends that take a share of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) id: GroupId,
    /// Of 2³².
    pub(super) share: u64,
    pub(super) readmits_ejected: bool,
    pub(super) readmits_down: bool,
    usable: usize,
    total: usize,
}

impl Part {
    /// Whether such a backend is of it.
    pub(super) fn covers(&self, facts: &Facts) -> bool {
        let place = self.id.place();
        self.id.tier() == facts.tier && (place == Place::Any || place == facts.place)
    }

    /// What is to be said of it when it is in panic.
    pub(super) fn panic(&self, threshold: u8) -> Panic {
        Panic { tier: self.id.tier(), usable: self.usable, total: self.total, threshold }
    }
}

/// Who takes requests, and who would.
#[derive(Debug, Default)]
pub(super) struct InUse {
    /// In order of preference, with shares that make [`ALL`] together; none when nobody
    /// can be used.
    pub(super) parts: Vec<Part>,
    /// The last part that would be given a share if it could take one.
    pub(super) reach: Option<GroupId>,
}

/// The parts in use. O(n log n).
pub(super) fn in_use(facts: &[Facts], policy: &Policy) -> InUse {
    let mut tiers: BTreeMap<u8, Tier> = BTreeMap::new();
    for facts in facts.iter().filter(|facts| facts.is_called) {
        tiers.entry(facts.tier).or_default().add(facts);
    }
    let shares = match policy.overflow {
        Some(overflow) => spill(&tiers, overflow),
        None => first_usable(&tiers).into_iter().collect(),
    };
    let Some((last, _)) = shares.last() else {
        let part = last_resort(facts, &tiers, policy.panic_threshold);
        return InUse { parts: part.into_iter().collect(), reach: part.map(|part| part.id) };
    };
    let last = match policy.overflow {
        Some(overflow) => last_wanted(&tiers, overflow).unwrap_or(*last),
        None => *last,
    };
    let factor = policy.overflow.unwrap_or_default();
    let split = |(number, share): (u8, u64)| {
        let tier = &tiers[&number];
        let (usable, total) = (tier.whole.usable, tier.whole.total());
        let panic = tier.is_in_panic(policy.panic_threshold);
        let places = if panic { vec![(Place::Any, share)] } else { tier.split(share, factor) };
        places.into_iter().map(move |(place, share)| Part {
            id: GroupId::new(number, place),
            share,
            readmits_ejected: panic,
            readmits_down: panic,
            usable,
            total,
        })
    };
    let tier = &tiers[&last];
    let reach =
        if tier.is_in_panic(policy.panic_threshold) { Place::Any } else { tier.reach(factor) };
    InUse {
        parts: shares.into_iter().flat_map(split).collect(),
        reach: Some(GroupId::new(last, reach)),
    }
}

/// The first tier with a usable backend takes everything.
fn first_usable(tiers: &BTreeMap<u8, Tier>) -> Option<(u8, u64)> {
    let mut usable = tiers.iter().filter(|(_, tier)| tier.whole.usable > 0);
    usable.next().map(|(number, _)| (*number, ALL))
}

/// When nobody is usable: the first tier that panic can bring back, rather one with a
/// backend whose ejection is over than one whose backends just failed some requests, and
/// that rather than one whose backends fail their checks.
fn last_resort(facts: &[Facts], tiers: &BTreeMap<u8, Tier>, threshold: u8) -> Option<Part> {
    let enabled = || facts.iter().filter(|facts| facts.is_called && facts.admin.admits_new());
    let first = |wanted: fn(Health) -> bool| {
        enabled().filter(|facts| wanted(facts.health)).map(|facts| facts.tier).min()
    };
    let readmits_down = threshold > 0;
    let ejected = first(|health| health == Health::HalfOpen)
        .or_else(|| first(|health| health == Health::Ejected));
    let number = ejected.or_else(|| first(|_| true).filter(|_| readmits_down))?;
    let Count { usable, .. } = tiers[&number].whole;
    let total = tiers[&number].whole.total();
    let id = GroupId::new(number, Place::Any);
    Some(Part { id, share: ALL, readmits_ejected: true, readmits_down, usable, total })
}

/// The first tier that can take all that those before it can't, or the very last one.
fn last_wanted(tiers: &BTreeMap<u8, Tier>, overflow: Overflow) -> Option<u8> {
    let mut sum = 0;
    let mut enough = tiers.iter().filter(|(_, tier)| {
        sum += overflow.availability(tier.whole);
        sum >= ALL
    });
    enough.next().or_else(|| tiers.iter().next_back()).map(|(number, _)| *number)
}

/// How much each tier takes of everything: those that take something.
fn spill(tiers: &BTreeMap<u8, Tier>, overflow: Overflow) -> Vec<(u8, u64)> {
    let available = |tier: &Tier| overflow.availability(tier.whole);
    let sum: u64 = tiers.values().map(available).sum();
    if sum == 0 {
        return Vec::new();
    }
    let mut left = ALL;
    let mut shares = Vec::new();
    for (number, tier) in tiers {
        let wanted = u128::from(available(tier));
        let wanted = if sum < ALL { wanted * u128::from(ALL) / u128::from(sum) } else { wanted };
        let share = u64::try_from(wanted).unwrap_or(ALL).min(left);
        left -= share;
        shares.push((*number, share));
    }
    shares.retain(|(_, share)| *share > 0);
    // What was lost by rounding.
    if let Some((_, share)) = shares.last_mut() {
        *share += left;
    }
    shares
}

/// The usable backends of a tier or of a side of it, and all enabled ones; by number and
/// by weight.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    usable: usize,
    enabled: usize,
    usable_weight: u64,
    enabled_weight: u64,
}

impl Count {
    fn add(&mut self, facts: &Facts) {
        let weight = u64::from(facts.weight);
        // A spare takes a place that is counted already.
        if facts.admin.admits_new() && !facts.is_spare {
            self.enabled += 1;
            self.enabled_weight += weight;
        }
        if facts.is_able() {
            self.usable += 1;
            self.usable_weight += weight;
        }
    }

    /// How many it has. Where spares are in the places of disabled ones, those.
    fn total(self) -> usize {
        self.enabled.max(self.usable)
    }
}

impl Overflow {
    /// What these can take, of 2³².
    fn availability(self, count: Count) -> u64 {
        let weight = u128::from(count.enabled_weight.max(count.usable_weight)) * 1_000;
        let usable = u128::from(count.usable_weight) * self.thousandths();
        let part = (usable << 32).checked_div(weight).unwrap_or(0);
        u64::try_from(part).unwrap_or(ALL).min(ALL)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from a float saturates, and of what is not a number it is 0"
    )]
    fn thousandths(self) -> u128 {
        u128::from(((self.factor * 1_000.0).round() as u32).max(1_000))
    }
}

/// The backends of a tier.
#[derive(Clone, Copy, Debug, Default)]
struct Tier {
    whole: Count,
    /// Those of our own zone.
    own: Count,
    has_zones: bool,
}

impl Tier {
    fn add(&mut self, facts: &Facts) {
        self.whole.add(facts);
        if facts.place == Place::Own {
            self.own.add(facts);
        }
        self.has_zones |= facts.place != Place::Any;
    }

    fn is_in_panic(self, threshold: u8) -> bool {
        self.whole.usable * 100 < self.whole.total() * usize::from(threshold)
    }

    /// The last place that would be given a share.
    fn reach(self, factor: Overflow) -> Place {
        match self.has_zones {
            false => Place::Any,
            true if factor.availability(self.own) == ALL => Place::Own,
            true => Place::Others,
        }
    }

    /// How much of the tier's share is taken where.
    fn split(self, share: u64, factor: Overflow) -> Vec<(Place, u64)> {
        if !self.has_zones {
            return vec![(Place::Any, share)];
        }
        let own = match factor.availability(self.own) {
            _ if self.own.usable == self.whole.usable => share,
            ALL => share,
            // Both fit into 32 bits, or the share is everything.
            available => (share.min(ALL - 1) * available) >> 32,
        };
        let places = [(Place::Own, own), (Place::Others, share - own)];
        places.into_iter().filter(|(_, share)| *share > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backend::AdminState, cluster::eligibility::tests::UP};

    const DOWN: Facts = Facts { health: Health::Down, ..UP };

    fn of_tier(tier: u8, facts: Facts) -> Facts {
        Facts { tier, ..facts }
    }

    /// Shares in thousandths, by tier and place.
    fn shares(facts: &[Facts], policy: &Policy) -> Vec<(u8, Place, u64)> {
        let parts = in_use(facts, policy).parts;
        assert_eq!(parts.iter().map(|part| part.share).sum::<u64>(), ALL);
        let thousandths = |share: u64| (share * 1_000 + ALL / 2) / ALL;
        let share = |part: &Part| (part.id.tier(), part.id.place(), thousandths(part.share));
        parts.iter().map(share).collect()
    }

    fn by_tier(facts: &[Facts], factor: f64) -> Vec<(u8, u64)> {
        let policy = Policy { overflow: Some(Overflow { factor }), ..Policy::default() };
        shares(facts, &policy).into_iter().map(|(tier, _, share)| (tier, share)).collect()
    }

    /// So many up and so many down in each tier.
    fn tiers(counts: &[(usize, usize)]) -> Vec<Facts> {
        let tier = |(tier, (up, down)): (usize, &(usize, usize))| {
            let tier = u8::try_from(tier).unwrap();
            [vec![of_tier(tier, UP); *up], vec![of_tier(tier, DOWN); *down]].concat()
        };
        counts.iter().enumerate().flat_map(tier).collect()
    }

    /// The table in Envoy's documentation of priority levels, in percent.
    #[test]
    fn shares_of_tiers_are_envoys() {
        let rows: [(&[usize], &[u64]); 10] = [
            (&[100, 100], &[100]),
            (&[72, 72], &[100]),
            (&[71, 71], &[99, 1]),
            (&[50, 50], &[70, 30]),
            (&[25, 100], &[35, 65]),
            (&[25, 25], &[50, 50]),
            (&[100, 100, 100], &[100]),
            (&[72, 72, 100], &[100]),
            (&[50, 50, 50], &[70, 30]),
            (&[20, 20, 10], &[40, 40, 20]),
        ];
        for (healthy, expected) in rows {
            let counts: Vec<(usize, usize)> = healthy.iter().map(|up| (*up, 100 - up)).collect();
            let shares: Vec<u64> =
                by_tier(&tiers(&counts), 1.4).iter().map(|(_, share)| (share + 5) / 10).collect();
            assert_eq!(shares, expected, "{healthy:?} healthy");
        }
    }

    #[test]
    fn with_two_of_three_down_the_next_tier_gets_more_than_half() {
        assert_eq!(by_tier(&tiers(&[(1, 2), (3, 0)]), 1.4), [(0, 467), (1, 533)]);
        assert_eq!(by_tier(&tiers(&[(1, 2), (3, 0)]), 1.0), [(0, 333), (1, 667)]);
        assert_eq!(by_tier(&tiers(&[(1, 2), (3, 0)]), 3.0), [(0, 1_000)]);
        assert_eq!(by_tier(&tiers(&[(0, 2), (3, 0)]), 1.4), [(1, 1_000)]);
    }

    #[test]
    fn who_is_disabled_is_not_missed_and_who_weighs_more_is_missed_more() {
        let disabled = Facts { admin: AdminState::Disabled, ..UP };
        let backup = of_tier(1, UP);
        assert_eq!(by_tier(&[UP, disabled, disabled, backup], 1.4), [(0, 1_000)]);
        let heavy = Facts { weight: 8, ..DOWN };
        assert_eq!(by_tier(&[UP, UP, heavy, backup], 1.0), [(0, 200), (1, 800)]);
    }

    #[test]
    fn a_spare_fills_a_place() {
        let spare = Facts { is_spare: true, ..UP };
        assert_eq!(by_tier(&[spare, DOWN, UP, of_tier(1, UP)], 1.0), [(0, 1_000)]);
        let disabled = Facts { admin: AdminState::Disabled, ..UP };
        assert_eq!(by_tier(&[spare, disabled, of_tier(1, UP)], 1.0), [(0, 1_000)]);
    }

    #[test]
    fn without_overflow_a_tier_takes_everything_or_nothing() {
        let facts = tiers(&[(1, 9), (3, 0)]);
        assert_eq!(shares(&facts, &Policy::default()), [(0, Place::Any, 1_000)]);
        let facts = tiers(&[(0, 9), (3, 0)]);
        assert_eq!(shares(&facts, &Policy::default()), [(1, Place::Any, 1_000)]);
        assert_eq!(in_use(&tiers(&[(0, 1), (0, 3)]), &Policy::default()).parts, []);
    }

    #[test]
    fn a_tier_of_spares_alone_misses_those_that_are_out() {
        let facts = [UP, DOWN, DOWN, of_tier(1, UP)];
        let spares = facts.map(|facts| Facts { is_spare: true, ..facts });
        let policy = Policy { overflow: Some(Overflow { factor: 1.0 }), ..Policy::default() };
        let called = crate::cluster::eligibility::spares::called(&spares);
        assert_eq!(shares(&called, &policy), [(0, Place::Any, 333), (1, Place::Any, 667)]);
    }

    #[test]
    fn who_is_wanted_goes_on_until_those_before_are_enough() {
        let reach = |facts: &[Facts], policy: &Policy| in_use(facts, policy).reach;
        let spilling = Policy { overflow: Some(Overflow::default()), ..Policy::default() };
        let tier = |number| Some(GroupId::new(number, Place::Any));
        assert_eq!(reach(&tiers(&[(3, 1), (1, 0), (1, 0)]), &spilling), tier(0));
        assert_eq!(reach(&tiers(&[(1, 1), (1, 1), (1, 0)]), &spilling), tier(1));
        assert_eq!(reach(&tiers(&[(1, 1), (0, 1), (0, 1)]), &spilling), tier(2));
        assert_eq!(reach(&tiers(&[(1, 1), (0, 1)]), &Policy::default()), tier(0));
        assert_eq!(reach(&tiers(&[(0, 1), (1, 0)]), &Policy::default()), tier(1));
        let place =
            |own, others| reach(&zones(own, others), &Policy::default()).map(GroupId::place);
        assert_eq!(place((3, 1), (1, 0)), Some(Place::Own));
        assert_eq!(place((1, 1), (0, 1)), Some(Place::Others));
    }

    /// So many up and so many down in our zone and in others.
    fn zones(own: (usize, usize), others: (usize, usize)) -> Vec<Facts> {
        let side = |place, (up, down)| {
            let at = |facts| Facts { place, ..facts };
            [vec![at(UP); up], vec![at(DOWN); down]].concat()
        };
        [side(Place::Own, own), side(Place::Others, others)].concat()
    }

    #[test]
    fn the_own_zone_takes_what_it_can() {
        let of = |own, others| shares(&zones(own, others), &Policy::default());
        assert_eq!(of((2, 0), (9, 0)), [(0, Place::Own, 1_000)]);
        assert_eq!(of((1, 1), (9, 0)), [(0, Place::Own, 700), (0, Place::Others, 300)]);
        assert_eq!(of((0, 2), (1, 9)), [(0, Place::Others, 1_000)]);
        assert_eq!(of((0, 0), (1, 9)), [(0, Place::Others, 1_000)]);
        assert_eq!(of((1, 9), (0, 9)), [(0, Place::Own, 1_000)], "nobody else can");
    }

    #[test]
    fn zones_are_told_apart_within_each_tier_that_takes_a_share() {
        let policy = Policy { overflow: Some(Overflow { factor: 1.0 }), ..Policy::default() };
        let second = zones((1, 1), (1, 1)).into_iter().map(|facts| of_tier(1, facts));
        let facts: Vec<Facts> = zones((1, 1), (1, 1)).into_iter().chain(second).collect();
        let (own, others) = (Place::Own, Place::Others);
        let expected = [(0, own, 250), (0, others, 250), (1, own, 250), (1, others, 250)];
        assert_eq!(shares(&facts, &policy), expected);
    }

    #[test]
    fn in_panic_zones_are_not_told_apart() {
        let policy = Policy { panic_threshold: 50, ..Policy::default() };
        assert_eq!(shares(&zones((1, 3), (2, 2)), &policy), [(0, Place::Any, 1_000)]);
        let panic = in_use(&zones((1, 3), (2, 2)), &policy).parts[0];
        assert!(panic.readmits_ejected && panic.readmits_down);
    }
}
