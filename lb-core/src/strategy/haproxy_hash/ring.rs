//! HAProxy's `consistent` ring: sixteen points per unit of weight, whose places follow
//! from the server's number, and the nearest point instead of the next.
//!
//! HAProxy takes the points of a server that is down off its ring. Here they stay, and a
//! key goes on from one point to the other in the order of their distance: the first one
//! whose server can be used is the one that would be nearest without the others.

use std::sync::Arc;

use super::{Hashing, MISSES, functions::avalanche};
use crate::strategy::{
    PickCx,
    keyed::Table,
    points::{Circle, Points, affordable, in_proportion},
};

/// Points per unit of weight.
const PER_UNIT: u64 = 16;
/// The largest weight that HAProxy knows.
const HEAVIEST: u32 = 256;
/// How many points a server can have: where the next one's begin.
const RANGE: u32 = 4_096;

/// The points of these servers, each a number from 1 and a weight.
pub(super) fn points(circle: &mut Circle<u32>, servers: &[(u32, u32)]) -> Arc<Points> {
    let wanted: Vec<u64> =
        servers.iter().map(|(_, weight)| u64::from(*weight) * PER_UNIT).collect();
    let is_haproxys = servers.iter().all(|(_, weight)| *weight <= HEAVIEST);
    let counts = if is_haproxys { affordable(&wanted) } else { in_proportion(&wanted, RANGE) };
    let owners = servers.iter().zip(counts).map(|((id, _), count)| (*id, count));
    circle.of(owners.collect(), places)
}

fn places(id: &u32, count: u32) -> impl Iterator<Item = u32> + use<> {
    let first = id.wrapping_mul(RANGE);
    (0..count).map(move |point| avalanche(first.wrapping_add(point)))
}

/// A ring, and how keys are hashed.
#[derive(Debug)]
pub(super) struct Ring {
    hashing: Hashing,
    points: Arc<Points>,
}

impl Ring {
    pub(super) fn new(hashing: Hashing, points: Arc<Points>) -> Self {
        Self { hashing, points }
    }

    /// Whether the point behind is nearer to a place than the one ahead, or as near.
    #[inline]
    fn is_last_nearer(&self, place: u32, last: usize, next: usize) -> bool {
        let behind = place.wrapping_sub(self.points.place(last));
        behind <= self.points.place(next).wrapping_sub(place)
    }
}

/// Between which points a key is, but for those that it has met.
#[derive(Debug)]
pub(super) struct Walk {
    place: u32,
    last: usize,
    next: usize,
    met: Option<Met>,
    left: usize,
}

/// Whom the key has met, and is between still.
#[derive(Debug)]
enum Met {
    Last,
    Next,
}

impl Table for Ring {
    type Walk<'k> = Walk;

    #[inline]
    fn walk(&self, cx: &PickCx<'_>) -> Walk {
        let place = self.hashing.of(cx);
        if self.points.is_empty() {
            return Walk { place, last: 0, next: 0, met: None, left: 0 };
        }
        let next = self.points.at_or_after(place);
        Walk { place, last: self.points.before(next), next, met: None, left: MISSES }
    }

    #[inline]
    fn next(&self, walk: &mut Walk) -> Option<usize> {
        walk.left = walk.left.checked_sub(1)?;
        // Only now: most walks end where they begin.
        match walk.met {
            Some(Met::Last) => walk.last = self.points.before(walk.last),
            Some(Met::Next) => walk.next = self.points.after(walk.next),
            None => {}
        }
        let is_last = self.is_last_nearer(walk.place, walk.last, walk.next);
        walk.met = Some(if is_last { Met::Last } else { Met::Next });
        Some(self.points.owner(if is_last { walk.last } else { walk.next }))
    }

    #[inline]
    fn home(&self, key: &[u8]) -> Option<usize> {
        let place = self.hashing.of_key(key).filter(|_| !self.points.is_empty())?;
        let next = self.points.at_or_after(place);
        let last = self.points.before(next);
        let is_last = self.is_last_nearer(place, last, next);
        Some(self.points.owner(if is_last { last } else { next }))
    }
}
