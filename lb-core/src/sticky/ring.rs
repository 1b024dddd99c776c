//! The keys of derived routes, and who has which route.

use std::{fmt, sync::Arc};

use crate::{cluster::Slot, hash::Secret, membership::Membership};

/// The keys of a cluster's cookies: the first makes new ones, all are accepted.
///
/// Keys are exchanged in three steps, none of which unbinds anybody: add the new
/// one at the end, everywhere; move it to the front, everywhere; drop the old one
/// when the last cookie made with it has expired.
///
/// Several clusters may be configured with the same keys. A route is the SipHash
/// of a backend's name under a key, so that two clusters with a backend of the
/// same name would share its route: [`for_cluster`](Self::for_cluster) replaces
/// each key by one derived from it and the cluster's name.
#[derive(Clone, PartialEq, Eq)]
pub struct Ring {
    keys: Arc<[Secret]>,
}

impl Ring {
    /// The ring of these keys, which should be random; `None` when there are none.
    /// Keys that occur again are left out.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = [u8; 16]>) -> Option<Self> {
        let mut distinct: Vec<Secret> = Vec::new();
        for key in keys.into_iter().map(Secret::new) {
            if !distinct.contains(&key) {
                distinct.push(key);
            }
        }
        (!distinct.is_empty()).then(|| Self { keys: distinct.into() })
    }

    /// The ring of a cluster for which no keys are configured. All balancers agree
    /// on it, and so can anybody who knows the cluster's name: routes are then
    /// merely short, and sealed values can be made up.
    #[must_use]
    pub fn derived_from(cluster: &str) -> Self {
        let keys = [Secret::derived_from(cluster).derive(b"ring", cluster)];
        Self { keys: Arc::new(keys) }
    }

    /// These keys for one of several clusters: each becomes the 128-bit
    /// SipHash-2-4, under itself, of the cluster's name.
    #[must_use]
    pub fn for_cluster(&self, cluster: &str) -> Self {
        Self { keys: self.keys.iter().map(|key| key.derive(b"ring", cluster)).collect() }
    }

    /// The route of the backend of this name, in new cookies.
    #[must_use]
    pub fn route(&self, backend: &str) -> u64 {
        self.signing().route(backend.as_bytes())
    }

    pub(super) fn signing(&self) -> Secret {
        self.keys[0]
    }

    pub(super) fn keys(&self) -> &[Secret] {
        &self.keys
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring({} keys)", self.keys.len())
    }
}

/// Who has which route, for a snapshot: sorted, to be searched.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    sorted: Box<[(u64, Slot)]>,
}

/// Two backends that have the same route, if there are such.
pub(crate) type Collision<T> = Option<(T, T)>;

impl Routes {
    /// The routes of all backends under all keys, and who shares one. O(n log n).
    pub(crate) fn of(ring: Option<&Ring>, membership: &Membership) -> (Self, Collision<Arc<str>>) {
        let keys = ring.map_or(&[][..], |ring| &ring.keys);
        Self::by(keys, membership, |key, name| key.route(name.as_bytes()))
    }

    /// By any hash, as pairs with the same route are not to be found for the real one.
    fn by<K>(
        keys: &[K],
        membership: &Membership,
        hash: impl Fn(&K, &str) -> u64,
    ) -> (Self, Collision<Arc<str>>) {
        let names: Vec<&Arc<str>> = membership.iter().map(|member| member.shared_name()).collect();
        let of_key = |key| {
            let slots = (0..names.len()).map(Slot::new);
            names.iter().map(|name| hash(key, name)).zip(slots).collect::<Vec<_>>()
        };
        let (routes, collision) = Self::new(keys.iter().flat_map(of_key));
        let name = |slot: Slot| Arc::clone(names[slot.index()]);
        (routes, collision.map(|(one, other)| (name(one), name(other))))
    }

    /// The table of these routes. Where two backends share one, neither has it, and
    /// the pair is told.
    fn new(routes: impl Iterator<Item = (u64, Slot)>) -> (Self, Collision<Slot>) {
        let mut all: Vec<(u64, Slot)> = routes.collect();
        all.sort_unstable();
        // The same backend twice, under two keys, is not two backends.
        all.dedup();
        let mut collision = None;
        let mut sorted = Vec::with_capacity(all.len());
        for group in all.chunk_by(|(one, _), (other, _)| one == other) {
            match group {
                [only] => sorted.push(*only),
                [(_, one), (_, other), ..] => collision = Some((*one, *other)),
                [] => {}
            }
        }
        (Self { sorted: sorted.into() }, collision)
    }

    /// Who has this route. O(log n).
    pub(crate) fn find(&self, route: u64) -> Option<Slot> {
        let found = self.sorted.binary_search_by_key(&route, |(route, _)| *route);
        found.ok().map(|position| self.sorted[position].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;

    #[test]
    fn backends_that_share_a_route_are_told_and_neither_is_found() {
        let slot = Slot::new;
        let (routes, collision) =
            Routes::new([(5, slot(0)), (9, slot(1)), (5, slot(2)), (9, slot(1))].into_iter());
        assert_eq!(collision, Some((slot(0), slot(2))));
        assert_eq!((routes.find(5), routes.find(9), routes.find(7)), (None, Some(slot(1)), None));
    }

    #[test]
    fn backends_that_share_a_route_under_any_two_keys_are_named() {
        let set = |names: &[&str]| Membership::new(names.iter().map(Backend::new)).unwrap();
        let by = |names: &[&str]| {
            let (_, collision) =
                Routes::by(&[1, 2], &set(names), |key, name| key * name.len() as u64);
            collision.map(|(one, other)| [one.to_string(), other.to_string()])
        };
        assert_eq!(by(&["a", "bbb", "ccccc"]), None);
        assert_eq!(by(&["a", "bbb", "ccc"]), Some(["bbb".into(), "ccc".into()]));
        assert_eq!(by(&["a", "bb"]), Some(["a".into(), "bb".into()]), "2 × 1 = 1 × 2");
        assert_eq!(Routes::of(None, &set(&["a"])).1, None);
    }

    #[test]
    fn clusters_with_the_same_keys_have_other_routes() {
        let ring = Ring::new([[1; 16], [2; 16], [1; 16]]).unwrap();
        assert_eq!(format!("{ring:?}"), "Ring(2 keys)");
        let (one, other) = (ring.for_cluster("one"), ring.for_cluster("other"));
        assert_ne!(one.route("b0"), other.route("b0"));
        assert_eq!(one.route("b0"), ring.for_cluster("one").route("b0"));
        assert_ne!(Ring::derived_from("one").route("b0"), Ring::derived_from("other").route("b0"));
        assert_eq!(Ring::new([]), None);
    }
}
