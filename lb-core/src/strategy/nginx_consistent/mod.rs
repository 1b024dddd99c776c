//! nginx's consistent hash, known as ketama.

mod server;

use std::{collections::BTreeMap, sync::Arc};

use super::{
    BuildCx, Needs, PerGroup, PickCx, Picker, RoundRobin, Strategy,
    keyed::{Bound, ByKey, Host, Hosts, Table},
    points::{Circle, Points, affordable},
    units::Units,
};
use crate::{cluster::View, hash::crc32};

/// By key on a ring, exactly as nginx's `hash KEY consistent`.
///
/// A backend has 160 points per unit of weight on a ring of 2³² places, which follow from
/// its address as it is written: host and port, without a port if there is none. A key
/// goes to the first point at its CRC-32 or after it. Where the points of two backends
/// meet, only those of the one that is first in the list count. When a backend joins or
/// leaves, no other keys move than those that it gets or had.
///
/// All backends of the tier have their points, whether they can be used or not. A key
/// whose backend can't take the request goes on to the next point, and when it has met
/// twenty more in vain, it is the next one's turn in round robin, as it is at once for a
/// request without a key or with an empty one.
///
/// Backends of one address have their points in common, as in nginx; those of the
/// heaviest. Which of them a request gets is drawn by weight, where in nginx they take
/// turns.
///
/// Up to four million points (a sum of weights of 26,214) the ring is nginx's. Beyond
/// that a quarter of a million is given in proportion to weights, or 100 to each. Slow
/// starts are not for it: nginx's ring has only whole weights.
/// [Bounds](super::BoundedLoad) on loads are not nginx's, and off unless said; whoever has
/// met 21 points gets the next one's turn, bound or not.
///
/// This is for those who need nginx's mapping. Anybody can compute its hash, and find
/// keys that meet on one backend; [`Maglev`](super::Maglev) hashes with a secret.
///
/// O(1) per pick. A build is O(points) where backends changed, and O(backends) where only
/// their state did.
#[derive(Debug, Default)]
pub struct NginxConsistent {
    bound: Option<Bound>,
    circles: PerGroup<Circle<Arc<str>>>,
    /// Whose turn it is after too many points.
    round_robin: RoundRobin,
}

/// Points per unit of weight.
const PER_UNIT: u64 = 160;
/// How many points a key meets: the first, and twenty more.
const MET: usize = 21;

impl NginxConsistent {
    /// Lets a backend have at most this times its share, by weight, of what is in flight,
    /// rounded up; `None`: any.
    #[must_use]
    pub fn bounded(mut self, factor: Option<f64>) -> Self {
        self.bound = factor.map(Bound::new);
        self
    }
}

impl Strategy for NginxConsistent {
    fn name(&self) -> &'static str {
        "hash-consistent"
    }

    fn needs(&self) -> Needs {
        Needs::key()
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let turns = self.round_robin.build(view, cx);
        let hosts = Hosts::by_address(view);
        let servers = Servers::new(&hosts.list);
        let wanted: Vec<u64> =
            servers.list.iter().map(|(_, weight)| u64::from(*weight) * PER_UNIT).collect();
        let names = servers.list.into_iter().map(|(name, _)| name);
        let owners = names.zip(affordable(&wanted)).collect();
        let circle = self.circles.of(cx.group());
        let points = circle.of(owners, |name, count| server::places(name, count));
        let ring = Ring { points, shared: servers.shared };
        Box::new(ByKey::theirs(Arc::new(ring), &hosts.slots, turns, view).bounded(self.bound, view))
    }
}

/// Backends, by address.
struct Servers {
    /// Each address once, and the largest weight there.
    list: Vec<Host>,
    /// Who is at each of them; empty when each is one backend's.
    shared: Box<[Shared]>,
}

/// The backends of one address.
#[derive(Debug)]
struct Shared {
    positions: Box<[usize]>,
    units: Units,
}

impl Servers {
    fn new(hosts: &[Host]) -> Self {
        let mut numbers: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        let mut list: Vec<Host> = Vec::new();
        let mut positions: Vec<Vec<usize>> = Vec::new();
        for (position, (address, weight)) in hosts.iter().enumerate() {
            let number = *numbers.entry(address).or_insert_with(|| {
                list.push((Arc::clone(address), 0));
                positions.push(Vec::new());
                list.len() - 1
            });
            list[number].1 = list[number].1.max(*weight);
            positions[number].push(position);
        }
        if list.len() == hosts.len() {
            return Self { list, shared: Box::default() };
        }
        let shared = positions.into_iter().map(|positions| {
            let units = Units::new(positions.iter().map(|position| hosts[*position].1));
            Shared { positions: positions.into(), units }
        });
        Self { list, shared: shared.collect() }
    }
}

#[derive(Debug)]
struct Ring {
    points: Arc<Points>,
    shared: Box<[Shared]>,
}

#[derive(Debug)]
struct Walk {
    point: usize,
    /// How many of those that share the point were met; if it is all, it is done with.
    met: usize,
    is_done: bool,
    entropy: u64,
    left: usize,
}

impl Table for Ring {
    type Walk<'k> = Walk;

    #[inline]
    fn walk(&self, cx: &PickCx<'_>) -> Walk {
        let key = cx.key().filter(|key| !key.is_empty() && !self.points.is_empty());
        let point = key.map(|key| self.points.at_or_after(crc32(key)));
        let left = if point.is_some() { MET } else { 0 };
        let point = point.unwrap_or(0);
        Walk { point, met: 0, is_done: false, entropy: cx.entropy(), left }
    }

    #[inline]
    fn next(&self, walk: &mut Walk) -> Option<usize> {
        // Only now: most walks end where they begin.
        if walk.is_done {
            walk.point = self.points.past(walk.point);
            walk.met = 0;
            walk.left -= 1;
        }
        if walk.left == 0 {
            return None;
        }
        let owner = self.points.owner(walk.point);
        let Some(shared) = self.shared.get(owner) else {
            walk.is_done = true;
            return Some(owner);
        };
        let first = shared.units.draw(walk.entropy);
        let position = shared.positions[(first + walk.met) % shared.positions.len()];
        walk.met += 1;
        walk.is_done = walk.met == shared.positions.len();
        Some(position)
    }

    #[inline]
    fn home(&self, key: &[u8]) -> Option<usize> {
        let is_plain = !key.is_empty() && !self.points.is_empty() && self.shared.is_empty();
        is_plain.then(|| self.points.owner(self.points.at_or_after(crc32(key))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Backend, Cluster, Membership,
        cluster::{GroupId, Place},
    };

    #[test]
    fn the_build_of_one_group_does_not_forget_the_ring_of_another() {
        let cluster = |name: &str| {
            let backends = (0..3).map(|n| Backend::new(format!("{name}{n}:80")));
            Cluster::builder("test").membership(Membership::new(backends).unwrap()).build()
        };
        let tiers = [cluster("first"), cluster("second")];
        let group = |tier| GroupId::new(tier, Place::Any);
        let mut strategy = NginxConsistent::default();
        let mut build_both = || {
            for (tier, cluster) in (0..).zip(&tiers) {
                let cx = BuildCx::new(0, "test").of_group(group(tier));
                strategy.build(cluster.snapshot().view(), &cx);
            }
            [0, 1].map(|tier| Arc::clone(strategy.circles.of(group(tier)).points()))
        };
        let (before, after) = (build_both(), build_both());
        assert!(before.iter().zip(&after).all(|(before, after)| Arc::ptr_eq(before, after)));
        assert!(!Arc::ptr_eq(&before[0], &before[1]));
    }
}
