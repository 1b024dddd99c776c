//! Keys to backends, with few moves and bounded loads.

mod envoy;
mod table;

pub(super) use envoy::EnvoyMaglev;
use table::Table;

use super::{
    BuildCx, Needs, PickCx, Picker, Strategy,
    keyed::{self, Hosts, Recipe, Rehash},
};
use crate::{cluster::View, hash::Secret};

/// By key: the same key goes to the same backend, whichever balancer asks.
///
/// A Maglev table (Eisenbud et al.: *Maglev: A Fast and Reliable Software Network
/// Load Balancer*, 2016) of at least 100 positions per backend is built over all
/// backends of the tier by their configured weights, whether they can be used or not;
/// health, drains and slow starts change nothing in it. A key whose backend can't
/// be used is hashed again, up to 64 times, and then given by rendezvous to one
/// of those that can: so only its keys move, they spread over all others, and they
/// return. When a backend leaves for good, about one in a hundred of the others'
/// keys move as well (fewer in small clusters), and nearly all where the table gets
/// another size: with more than 655, 1,310, 5,242, … backends, or no more.
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
/// One look-up per pick. With a bound, and where the backend is not idle, also what is in
/// flight has to be known: in clusters of up to 16 it is counted, in larger ones for every
/// 64th request, and the bound is exact but for what has begun and ended since. O(backends)
/// where 65 hashes met nobody.
#[derive(Debug, Default)]
pub struct Maglev(Recipe<Keys>);

impl Maglev {
    /// With the usual bound, and this secret instead of the one derived from the
    /// cluster's name. Balancers that are to agree need the same.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self(Recipe::new(secret))
    }

    /// Lets a backend have at most this times its share, by weight, of what is in
    /// flight, rounded up; `None`: any. At 1 all are kept equally busy and most
    /// keys wander, at 2 few do; less than 1 is taken for 1.
    #[must_use]
    pub fn bounded(self, factor: Option<f64>) -> Self {
        Self(self.0.bounded(factor))
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
        self.0.picker(&Hosts::by_name(view), view, cx, |marks, secret| Keys {
            table: Table::new(marks.as_slice(), marks.weights()),
            secret,
        })
    }
}

/// A table, and how keys are hashed for it.
#[derive(Debug)]
struct Keys {
    table: Table,
    secret: Secret,
}

impl keyed::Table for Keys {
    type Walk<'k> = Rehash;

    #[inline]
    fn walk(&self, cx: &PickCx<'_>) -> Rehash {
        Rehash::new(self.secret, cx)
    }

    #[inline]
    fn next(&self, walk: &mut Rehash) -> Option<usize> {
        self.table.owner(walk.next()?)
    }

    #[inline]
    fn home(&self, key: &[u8]) -> Option<usize> {
        self.table.owner(self.secret.spread(key))
    }
}
