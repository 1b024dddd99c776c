//! Keys to backends, with few moves and bounded loads.

mod bound;
mod table;

use std::sync::Arc;

use bound::Bound;
use table::Table;

use super::{
    BoundedLoad, BuildCx, Choice, Needs, PerGroup, PickCx, Picker, Reason, Strategy, rendezvous,
    tier_in_use,
};
use crate::{
    cluster::{GroupId, Slot, View},
    hash::Secret,
    sample,
};

/// By key: the same key goes to the same backend, whichever balancer asks.
///
/// A Maglev table (Eisenbud et al.: *Maglev: A Fast and Reliable Software Network
/// Load Balancer*, 2016) of at least 100 positions per backend is built over all
/// backends of the tier by their configured weights, whether they can be used or not;
/// health, drains and slow starts change nothing in it. A key whose backend can't
/// be used is hashed again, up to eight times, and then given by rendezvous to one
/// of those that can: so only its keys move, they spread over all others, and they
/// return. When a backend leaves for good, about one in a hundred of the others'
/// keys move as well (fewer in small clusters).
///
/// Loads are [bounded](Self::bounded): a key that brings more than a backend's
/// share, such as the one address of a large office, spills over to others in an
/// order of its own. Where hardly anything is in flight, the bound is one request
/// each, and two at once with the same key may part.
///
/// A slow start leaves the table alone: a backend that comes or returns takes, of its
/// keys, those whose hash is within the part of its weight in force, and they stay
/// while the part grows. The others are hashed again.
///
/// Keys are hashed with a secret (SipHash-1-3), so that nobody outside can choose
/// keys that meet. A request without a key is drawn by weight.
///
/// One look-up per pick. With a bound, and where the backend is not idle, what is in
/// flight is counted: O(backends), up to 32. Of larger clusters a sample of 32 is
/// counted, other ones for each request, and the bound is as exact as that. O(backends)
/// also where eight hashes met nobody.
#[derive(Debug)]
pub struct Maglev {
    secret: Option<Secret>,
    bound: Option<Bound>,
    built: PerGroup<Option<Built>>,
}

/// What a group's last table was built of, and the table.
type Built = (Vec<Host>, Secret, Arc<Keys>);

/// A backend, as far as the table depends on it.
type Host = (Arc<str>, u32);

/// How often a key is hashed again.
const REHASHES: usize = 8;

impl Maglev {
    /// With the usual bound, and this secret instead of the one derived from the
    /// cluster's name. Balancers that are to agree need the same.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self { secret: Some(secret), ..Self::default() }
    }

    /// Lets a backend have at most this times its share, by weight, of what is in
    /// flight, rounded up; `None`: any. At 1 all are kept equally busy and most
    /// keys wander, at 2 few do; less than 1 is taken for 1.
    #[must_use]
    pub fn bounded(mut self, factor: Option<f64>) -> Self {
        self.bound = factor.map(Bound::new);
        self
    }

    /// The table of these backends: the group's last one if it was built of the same.
    fn keys(&mut self, group: GroupId, hosts: Vec<Host>, secret: Secret) -> Arc<Keys> {
        let built = self.built.of(group);
        match built {
            Some((of, with, keys)) if *of == hosts && *with == secret => Arc::clone(keys),
            _ => {
                let keys = Arc::new(Keys::new(&hosts, secret));
                *built = Some((hosts, secret, Arc::clone(&keys)));
                keys
            }
        }
    }
}

impl Default for Maglev {
    fn default() -> Self {
        Self {
            secret: None,
            bound: Some(Bound::new(BoundedLoad::USUAL)),
            built: PerGroup::default(),
        }
    }
}

impl Strategy for Maglev {
    fn name(&self) -> &'static str {
        "maglev"
    }

    fn needs(&self) -> Needs {
        Needs::key()
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let secret = self.secret.unwrap_or(cx.secret);
        let mut slots: Vec<Slot> = tier_in_use(view).collect();
        // By name: balancers that list them in another order must agree.
        slots.sort_by_key(|slot| view.backend(*slot).name());
        let host =
            |slot: &Slot| (Arc::clone(view.backend(*slot).shared_name()), view.base_weight(*slot));
        let hosts: Vec<Host> = slots.iter().map(host).collect();
        // With nobody to pick there is nothing to build, but somebody may return.
        let keys =
            if hosts.is_empty() { Arc::default() } else { self.keys(cx.group(), hosts, secret) };
        let parts = parts(view, &slots);
        Box::new(ByKey { keys, slots: slots.into(), parts, secret, bound: self.bound })
    }
}

/// The part of its weight that each has, of 2³²; empty when all have the whole.
fn parts(view: View<'_>, slots: &[Slot]) -> Box<[u64]> {
    let whole = |slot: &Slot| view.weight(*slot) == view.full_weight(*slot);
    if slots.iter().all(whole) {
        return Box::default();
    }
    let part = |slot: &Slot| {
        (u64::from(view.weight(*slot)) << 32) / u64::from(view.full_weight(*slot)).max(1)
    };
    slots.iter().map(part).collect()
}

/// What depends on names, weights and the secret only. By position in the list of
/// names in order.
#[derive(Debug, Default)]
struct Keys {
    table: Table,
    marks: Box<[u64]>,
    weights: Box<[u32]>,
}

impl Keys {
    fn new(hosts: &[Host], secret: Secret) -> Self {
        let marks: Box<[u64]> =
            hosts.iter().map(|(name, _)| secret.spread(name.as_bytes())).collect();
        let weights: Box<[u32]> = hosts.iter().map(|(_, weight)| *weight).collect();
        Self { table: Table::new(&marks, &weights), marks, weights }
    }
}

#[derive(Debug)]
struct ByKey {
    keys: Arc<Keys>,
    /// Where each one is in this snapshot.
    slots: Box<[Slot]>,
    /// By position as well; empty when nobody starts slowly.
    parts: Box<[u64]>,
    secret: Secret,
    bound: Option<Bound>,
}

impl Picker for ByKey {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let hash = cx.key().map_or_else(|| cx.entropy(), |key| self.secret.spread(key));
        let judge = self.bound.map(|bound| bound.judge(view, cx));
        let can = |position: usize| {
            let slot = self.slots[position];
            view.is_candidate(slot, cx) && !view.is_full(slot)
        };
        let may = |position: usize| {
            can(position)
                && self.takes(position, hash)
                && judge.as_ref().is_none_or(|judge| judge.admits(self.slots[position]))
        };
        let reason = |attempt| match cx.key() {
            Some(_) => Reason::of_attempt(attempt),
            None => Reason::Draw,
        };
        for attempt in 0..=REHASHES {
            let hash = if attempt == 0 { hash } else { sample::mix(hash ^ attempt as u64) };
            let position = self.keys.table.owner(hash)?;
            if may(position) {
                return Some(Choice::new(self.slots[position], reason(attempt)));
            }
        }
        // In the end also who is full: to say so is for the lease.
        let slot = self.highest(hash, may).or_else(|| self.highest(hash, can)).or_else(|| {
            self.highest(hash, |position| view.is_candidate(self.slots[position], cx))
        })?;
        Some(Choice::new(slot, reason(REHASHES)))
    }
}

impl ByKey {
    /// Whether a backend takes this key although it starts slowly.
    fn takes(&self, position: usize, hash: u64) -> bool {
        let part = self.parts.get(position);
        part.is_none_or(|part| sample::mix(hash ^ self.keys.marks[position]) >> 32 < *part)
    }

    /// Whom rendezvous hashing gives, of those who may.
    #[cold]
    fn highest(&self, hash: u64, may: impl Fn(usize) -> bool) -> Option<Slot> {
        let marks = self.keys.marks.iter().zip(&self.keys.weights).enumerate();
        let those = marks.filter(|(position, _)| may(*position));
        let scored = those.map(|(position, (mark, weight))| (position, *mark, *weight));
        rendezvous::highest(hash, scored).map(|position| self.slots[position])
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::{Backend, Cluster, Membership, Tick, strategy::Tried};

    #[test]
    fn who_is_over_the_bound_is_better_than_who_is_full() {
        let one = NonZeroU32::MIN;
        let full = Backend::new("full").with_max_in_flight(one);
        let backends = [Backend::new("busy"), Backend::new("tried"), full];
        let cluster =
            Cluster::builder("test").membership(Membership::new(backends).unwrap()).build();
        let mut handle = cluster.handle();
        let mut acquire = |name| handle.acquire(&PickCx::new(Tick::ZERO, 0).preferring(name));
        let _held = ["busy", "busy", "busy", "full"].map(|name| acquire(name).unwrap());
        let snapshot = cluster.snapshot();
        let slot = |name| snapshot.find(name).unwrap();
        let mut tried = Tried::default();
        tried.add(snapshot.view().incarnation(slot("tried")));
        let picker = Maglev::default().build(snapshot.view(), &BuildCx::new(0, "test"));
        for key in (0..100_u32).map(u32::to_be_bytes) {
            let cx = PickCx::new(Tick::ZERO, 0).keyed(&key).avoiding(&tried);
            let choice = picker.pick(snapshot.view(), &cx).unwrap();
            assert_eq!(choice.slot(), slot("busy"));
        }
    }

    fn hosts(weights: [u32; 3]) -> Vec<Host> {
        ["a", "b", "c"].map(Arc::from).into_iter().zip(weights).collect()
    }

    #[test]
    fn a_table_is_built_again_only_for_other_names_weights_or_secrets() {
        let (secret, other) = (Secret::derived_from("one"), Secret::derived_from("other"));
        let mut maglev = Maglev::default();
        let first = maglev.keys(GroupId::default(), hosts([1, 2, 3]), secret);
        assert!(Arc::ptr_eq(&first, &maglev.keys(GroupId::default(), hosts([1, 2, 3]), secret)));
        let second = maglev.keys(GroupId::default(), hosts([1, 2, 4]), secret);
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&second, &maglev.keys(GroupId::default(), hosts([1, 2, 4]), other)));
    }
}
