//! Keys to backends, where nobody moves who need not.

mod highest;
mod places;

pub(crate) use highest::highest;
use highest::rarity;
use places::winners;

use super::{
    BuildCx, Needs, PickCx, Picker, Strategy,
    keyed::{Hosts, Owners, Recipe, Rehash, Table, size_for},
};
use crate::{cluster::View, hash::Secret, sample};

/// By key, with highest-random-weight hashing (Thaler, Ravishankar: *A Name-Based Mapping
/// Scheme for Rendezvous*, 1996; weights by the logarithm, as of Schindelhauer and
/// Schomaker 2005): of all backends, the one whose lot is best for the key.
///
/// When a backend leaves, its keys move and no other one's, and they spread over all that
/// remain; when one comes, it takes its share from all, and nothing else moves; with
/// [`Maglev`](super::Maglev), about one in a hundred of the others' moves as well. For that
/// shares are not as even: with p places for each backend they deviate by about 1 ÷ √p.
///
/// Not each key draws lots, but each of 65,537 or more places of a table, at least 100 for
/// each backend, and keys are hashed to places: a pick is one look-up whatever the number
/// of backends. The table has another size, and nearly all keys move, when there are more
/// than 655, 1,310, 5,242, … backends, or no more. A backend of so little weight that its share is not a
/// place or two may be without keys.
///
/// All else is as with `Maglev`: the table is built of configured weights over all
/// backends of the tier, whether they can be used or not; keys of one that can't are hashed
/// again and return with it; slow starts take part of their keys; loads are
/// [bounded](Self::bounded); hashes are keyed. A request without a key is drawn by weight.
#[derive(Debug, Default)]
pub struct Rendezvous(Recipe<Places>);

impl Rendezvous {
    /// With the usual bound, and this secret instead of the one derived from the
    /// cluster's name. Balancers that are to agree need the same.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self(Recipe::new(secret))
    }

    /// Lets a backend have at most this times its share, by weight, of what is in
    /// flight, rounded up; `None`: any. Less than 1 is taken for 1.
    #[must_use]
    pub fn bounded(self, factor: Option<f64>) -> Self {
        Self(self.0.bounded(factor))
    }
}

impl Strategy for Rendezvous {
    fn name(&self) -> &'static str {
        "rendezvous"
    }

    fn needs(&self) -> Needs {
        Needs::key()
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        self.0.picker(&Hosts::by_name(view), view, cx, |marks, secret| {
            let (marks, weights) = (marks.as_slice(), marks.weights());
            Places { owners: winners(size_for(marks.len()), marks, weights).into(), secret }
        })
    }
}

/// Who has won each place.
#[derive(Debug)]
struct Places {
    owners: Owners,
    secret: Secret,
}

impl Table for Places {
    type Walk<'k> = Rehash;

    #[inline]
    fn walk(&self, cx: &PickCx<'_>) -> Rehash {
        Rehash::new(self.secret, cx)
    }

    #[inline]
    fn next(&self, walk: &mut Rehash) -> Option<usize> {
        self.owner(walk.next()?)
    }

    #[inline]
    fn home(&self, key: &[u8]) -> Option<usize> {
        self.owner(self.secret.spread(key))
    }
}

impl Places {
    #[inline]
    fn owner(&self, hash: u64) -> Option<usize> {
        let places = self.owners.len();
        if places == 0 { None } else { self.owners.get(sample::index(hash, places)) }
    }
}
