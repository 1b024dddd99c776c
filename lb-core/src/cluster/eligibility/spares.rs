//! Hot spares: who is called to take the place of those who are out.
//!
//! Apache's rule for `status=+R`: of each tier, as many spares are used as others are
//! out, whatever the reason: down, ejected, draining, disabled. So the number that takes
//! requests stays the same. Spares are called in the order of the list, those who are
//! able first. A tier in which nobody else is has no spares, only backends.

use std::collections::BTreeMap;

use super::Facts;
use crate::backend::Health;

/// The same, with the spares called that are needed. O(n log n).
pub(super) fn called(facts: &[Facts]) -> Vec<Facts> {
    let mut facts = facts.to_vec();
    facts.iter_mut().for_each(|facts| facts.is_called = true);
    if !facts.iter().any(|facts| facts.is_spare) {
        return facts;
    }
    // By tier: how many others there are, and how many of them are out.
    let mut others: BTreeMap<u8, (usize, usize)> = BTreeMap::new();
    for facts in facts.iter().filter(|facts| !facts.is_spare) {
        let (all, out) = others.entry(facts.tier).or_default();
        *all += 1;
        *out += usize::from(!facts.is_able());
    }
    let mut spares: Vec<&mut Facts> = facts.iter_mut().filter(|facts| facts.is_spare).collect();
    spares.sort_by_key(|facts| rank(facts));
    for facts in spares {
        let (all, out) = others.entry(facts.tier).or_default();
        facts.is_spare = *all > 0;
        facts.is_called = !facts.is_spare || (*out > 0 && facts.admin.admits_new());
        *out = out.saturating_sub(usize::from(facts.is_called));
    }
    facts
}

/// Rather one that is able; then one that may be again, as it would be tried.
fn rank(facts: &Facts) -> u8 {
    match facts.health {
        Health::Unknown | Health::Up => 0,
        Health::HalfOpen => 1,
        Health::Ejected => 2,
        Health::Down => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backend::AdminState, cluster::eligibility::tests::UP};

    const SPARE: Facts = Facts { is_spare: true, ..UP };
    const DOWN: Facts = Facts { health: Health::Down, ..UP };

    fn are_called(facts: &[Facts]) -> Vec<bool> {
        called(facts).iter().map(|facts| facts.is_called).collect()
    }

    #[test]
    fn as_many_spares_are_called_as_others_of_the_tier_are_out() {
        assert_eq!(are_called(&[UP, SPARE, SPARE]), [true, false, false]);
        assert_eq!(are_called(&[DOWN, SPARE, SPARE]), [true, true, false]);
        assert_eq!(are_called(&[SPARE, DOWN, SPARE, DOWN, SPARE]), [true, true, true, true, false]);
        let other_tier = Facts { tier: 1, ..UP };
        assert_eq!(
            are_called(&[DOWN, other_tier, Facts { tier: 1, ..SPARE }]),
            [true, true, false]
        );
        for admin in [AdminState::Disabled, AdminState::Draining { until: None }] {
            assert_eq!(are_called(&[Facts { admin, ..UP }, SPARE]), [true, true]);
            assert_eq!(are_called(&[DOWN, Facts { admin, ..SPARE }, SPARE]), [true, false, true]);
        }
    }

    #[test]
    fn a_spare_that_is_able_is_called_before_one_that_may_be_again() {
        let spare = |health| Facts { health, ..SPARE };
        let spares = [Health::Down, Health::HalfOpen, Health::Up].map(spare);
        let of = |out: &[Facts]| are_called(&[out, &spares].concat())[out.len()..].to_vec();
        assert_eq!(of(&[DOWN]), [false, false, true]);
        assert_eq!(of(&[DOWN, DOWN]), [false, true, true]);
        assert_eq!(of(&[DOWN, DOWN, DOWN]), [true, true, true]);
    }

    #[test]
    fn where_nobody_else_is_spares_are_backends() {
        assert_eq!(are_called(&[SPARE, SPARE, Facts { tier: 1, ..UP }]), [true; 3]);
    }
}
