//! Envoy's ring hash.

mod points;

use points::Points;

use super::{
    BuildCx, Needs, PickCx, Picker, Strategy,
    keyed::{Hosts, Recipe, Table},
};
use crate::{cluster::View, hash::xx64};

/// By key, on a ring of hashes (Karger et al.: *Consistent Hashing and Random Trees*,
/// 1997), exactly as Envoy's `RING_HASH` with its usual sizes.
///
/// A backend has a number of points by weight, the xxHash64 of `<address>_<number>`; a key
/// belongs to the first point at or after its own xxHash64, and behind the last to the
/// first. There are at least 1,024 points, as many more as it takes to give the lightest
/// backend a whole one, and at most 8,388,608. Keys of a backend that can't take them go on
/// to the next points; nobody else moves, and they return with it. Envoy's ring is without
/// hosts that are down, and we step over them: the keys meet the same ones. When a backend
/// leaves for good, the 1,024 points are shared among the others, so that keys of theirs
/// move as well: with four backends, one in ten.
///
/// This is for those who need Envoy's mapping. With 1,024 points for all, shares are
/// uneven: with ten backends they differ by a tenth or so, with a thousand by two thirds.
/// The hash has no key, so that anybody can find keys that meet. Loads are not
/// [bounded](Self::bounded) unless said; with so uneven shares a bound moves more keys than
/// must, three times as many at 1.1 with a hundred backends. [`Maglev`](super::Maglev) has neither weakness. A
/// backend that starts slowly takes part of its keys, as there. A request without a key is
/// drawn.
///
/// O(1) expected per pick. A build is O(p), expected, for p points: some twenty milliseconds
/// for the half a million of a thousand backends of weights from 1 to 1,000.
#[derive(Debug)]
pub struct Ring(Recipe<Points>);

/// Envoy's usual numbers of points.
const MIN_POINTS: u32 = 1_024;
const MAX_POINTS: u32 = 8 * 1_024 * 1_024;
/// How many points a key meets. With nine of ten backends down, one key in a thousand
/// needs more.
const MEETS: usize = 64;

impl Ring {
    /// Lets a backend have at most this times its share, by weight, of what is in
    /// flight, rounded up; `None`: any. Less than 1 is taken for 1.
    #[must_use]
    pub fn bounded(self, factor: Option<f64>) -> Self {
        Self(self.0.bounded(factor))
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self(Recipe::default().bounded(None))
    }
}

impl Strategy for Ring {
    fn name(&self) -> &'static str {
        "ring"
    }

    fn needs(&self) -> Needs {
        Needs::key()
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let hosts = Hosts::by_address(view);
        self.0.picker(&hosts, view, cx, |_, _| Points::new(&hosts.list, MIN_POINTS, MAX_POINTS))
    }
}

struct Walk {
    /// Found with the first step.
    point: Option<usize>,
    hash: u64,
    left: usize,
}

impl Table for Points {
    type Walk<'k> = Walk;

    #[inline]
    fn walk(&self, cx: &PickCx<'_>) -> Walk {
        let hash = cx.key().map_or_else(|| cx.entropy(), |key| xx64(key, 0));
        Walk { point: None, hash, left: MEETS }
    }

    #[inline]
    fn next(&self, walk: &mut Walk) -> Option<usize> {
        walk.left = walk.left.checked_sub(1)?;
        let point = walk.point.map_or_else(|| self.find(walk.hash), |point| self.after(point));
        walk.point = Some(point);
        self.owner(point)
    }

    #[inline]
    fn home(&self, key: &[u8]) -> Option<usize> {
        self.owner(self.find(xx64(key, 0)))
    }
}
