//! HAProxy's ways of hashing.

mod functions;
mod map;
mod ring;

use std::sync::Arc;

use functions::avalanche;
use map::{Map, Places};
use ring::Ring;

use super::{
    BuildCx, HashFunction, HashType, KeyForm, Needs, PerGroup, PickCx, Picker, Strategy,
    StrategyOptions,
    keyed::{Bound, ByKey, Hosts, Marks},
    points::Circle,
};
use crate::cluster::View;

/// By key, exactly as HAProxy's `balance source`, `hdr`, `uri` and so on with the
/// `hash-type` of the options.
///
/// * [`HashType::MapBased`] is a table with as many places as all weights together, after
///   their common divisor is taken out, and a key's place is its hash modulo that. Where
///   there would be more than 65,536 places (or than backends), weights are rounded, and
///   the table is not HAProxy's. Most keys move when a weight changes, or who is there.
/// * [`HashType::Consistent`] is a ring with 16 points per unit of weight, and a key goes
///   to the nearest one, the one before it on a tie. Points depend on a backend's position
///   in the whole list, which HAProxy calls its `id` and counts from 1: when one leaves,
///   those behind it get the points of their predecessors. Up to four million points it is
///   HAProxy's ring, as long as no weight is above 256, which HAProxy has not. Otherwise a
///   quarter of a million is given in proportion to weights, or 100 to each; fewer where
///   one would have more than 4,096.
///
/// Keys of [`KeyForm::Address`] are a client's octets, read as words of 32 bits and joined
/// by exclusive or, as of `source`. Keys of [`KeyForm::Text`] are hashed by the function,
/// sdbm unless said. The avalanche is made with a ring where no function is said, and
/// otherwise if said. To agree with `balance uri`, leave the query out of the key.
///
/// What differs from HAProxy:
///
/// * Both are made of all backends of the tier, whether they can be used or not, so that
///   one that comes and goes takes only its own keys with it. On the ring that comes to
///   the same as in HAProxy, which removes points: a key goes on to the next nearest.
///   HAProxy's map is another one while a server is down; here such keys are hashed
///   again, and no others move.
/// * Who was tried or is over the bound is passed in the same way, where HAProxy goes on
///   from point to point in one direction.
/// * A key that has met backends 64 times that can't take it goes to one that can by
///   rendezvous hashing.
/// * A request without a key, or with an empty one, is drawn by weight. In HAProxy it
///   would be the next one's turn.
///
/// [Bounds](super::BoundedLoad) on loads are HAProxy's `hash-balance-factor`, for maps as
/// well, and are off unless said. During a slow start a backend takes a part of its keys
/// that grows.
///
/// This is for those who need HAProxy's mapping. Anybody can compute its hashes, and find
/// keys that meet on one backend; [`Maglev`](super::Maglev) hashes with a secret.
///
/// O(1) per pick.
#[derive(Debug)]
pub struct HaproxyHash {
    hash_type: HashType,
    hashing: Hashing,
    bound: Option<Bound>,
    places: PerGroup<Places>,
    circles: PerGroup<Circle<u32>>,
}

/// After so many that can't take a key, rendezvous hashing. Even where nine of ten are
/// down, one of a thousand keys gets there.
const MISSES: usize = 64;

impl HaproxyHash {
    /// With the type, function, avalanche, form of keys, and bound of these options.
    #[must_use]
    pub fn new(options: &StrategyOptions) -> Self {
        let hashing = Hashing {
            form: options.key_form,
            function: options.hash_function(),
            avalanche: options.mixes(),
        };
        Self {
            hash_type: options.hash_type,
            hashing,
            bound: options.bounded_load.or_usual(None).map(Bound::new),
            places: PerGroup::default(),
            circles: PerGroup::default(),
        }
    }
}

impl Strategy for HaproxyHash {
    fn name(&self) -> &'static str {
        "haproxy-hash"
    }

    fn needs(&self) -> Needs {
        Needs::key()
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let hosts = Hosts::by_address(view);
        let weights: Vec<u32> = hosts.list.iter().map(|(_, weight)| *weight).collect();
        let marks = Marks::new(&hosts.list, cx.secret);
        match self.hash_type {
            HashType::MapBased => {
                let places = self.places.of(cx.group());
                let map = Map::new(self.hashing, places.of(&weights));
                Box::new(
                    ByKey::ours(Arc::new(map), &hosts.slots, marks, view).bounded(self.bound, view),
                )
            }
            HashType::Consistent => {
                let id = |slot: usize| u32::try_from(slot + 1).unwrap_or(u32::MAX);
                let ids = hosts.slots.iter().map(|slot| id(slot.index()));
                let servers: Vec<(u32, u32)> = ids.zip(weights).collect();
                let circle = self.circles.of(cx.group());
                let ring = Ring::new(self.hashing, ring::points(circle, &servers));
                Box::new(
                    ByKey::ours(Arc::new(ring), &hosts.slots, marks, view)
                        .bounded(self.bound, view),
                )
            }
        }
    }
}

/// How a key becomes a number.
#[derive(Clone, Copy, Debug)]
struct Hashing {
    form: KeyForm,
    function: HashFunction,
    avalanche: bool,
}

impl Hashing {
    /// The number of what a request brings: its key, or entropy when it has none.
    fn of(&self, cx: &PickCx<'_>) -> u32 {
        cx.key().and_then(|key| self.of_key(key)).unwrap_or_else(|| (cx.entropy() >> 32) as u32)
    }

    /// The number of a key; `None` of an empty one.
    #[inline]
    fn of_key(&self, key: &[u8]) -> Option<u32> {
        if key.is_empty() {
            return None;
        }
        let hash = match self.form {
            KeyForm::Address => address(key),
            KeyForm::Text => functions::hash(self.function, key),
        };
        Some(if self.avalanche { avalanche(hash) } else { hash })
    }
}

fn address(octets: &[u8]) -> u32 {
    let (words, _) = octets.as_chunks::<4>();
    words.iter().fold(0, |hash, word| hash ^ u32::from_be_bytes(*word))
}
