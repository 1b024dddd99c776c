//! A circle of 32-bit points, each with an owner.
//!
//! The circles of peers have hundreds of thousands of points in large clusters, and
//! computing and sorting them takes longer than a rebuild may. So a circle is made
//! out of the last one: the points of those that stayed are in order already and get
//! their owners' new numbers, and only those of newcomers are computed, sorted, and
//! merged in.
//!
//! Of several points at one place only the first owner's counts. The others are kept
//! nevertheless: they count once the first is gone.

use std::{collections::BTreeMap, sync::Arc};

/// Points in order, and a look-up of one step.
#[derive(Debug, Default)]
pub(super) struct Points {
    /// The place in the upper half, the owner in the lower: ordered as numbers are. After
    /// the last one come [`AT_ONCE`] that are higher than any.
    sorted: Box<[u64]>,
    /// How many there are without those.
    len: usize,
    /// For each of the equal parts of the circle, where its points begin.
    starts: Box<[u32]>,
    /// How far a place is shifted to get the number of its part.
    shift: u32,
}

/// How many points a look-up compares at once.
const AT_ONCE: usize = 4;
/// More points than these are not made.
const MOST: u64 = 1 << 22;
/// So many are made instead: where it is nobody else's circle any more, it may as well
/// be one that is quickly built.
const INSTEAD: u64 = 1 << 18;
/// Or as many as this for each owner, if that is more.
const EACH: u64 = 100;

/// How many points to give to each of `wanted`: as many, if all together are not too
/// many.
pub(super) fn affordable(wanted: &[u64]) -> Vec<u32> {
    let sum: u64 = wanted.iter().sum();
    if sum <= MOST { counts(wanted.iter().copied()) } else { in_proportion(wanted, u32::MAX) }
}

/// How many points to give to each of `wanted` for a circle that is quickly built: in
/// proportion, one at least, and `most` at most. All halved as often as needed rather than
/// divided, so that most numbers stay the same when the sum changes, and points can be kept.
pub(super) fn in_proportion(wanted: &[u64], most: u32) -> Vec<u32> {
    let sum: u64 = wanted.iter().sum();
    let heaviest = wanted.iter().copied().max().unwrap_or(0);
    let enough = INSTEAD.max(EACH * wanted.len() as u64);
    let is_enough =
        |halvings: &u32| sum >> halvings <= enough && heaviest >> halvings <= u64::from(most);
    let halvings = (0..63).find(is_enough).unwrap_or(63);
    counts(wanted.iter().map(|wanted| (wanted >> halvings).max(1)))
}

fn counts(counts: impl Iterator<Item = u64>) -> Vec<u32> {
    counts.map(|count| u32::try_from(count).unwrap_or(u32::MAX)).collect()
}

impl Points {
    fn new(mut sorted: Vec<u64>) -> Self {
        // One or two points per part.
        let bits = sorted.len().max(2).ilog2();
        let shift = 32 - bits;
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        for (index, point) in (0..).zip(&sorted) {
            while starts.len() as u64 <= point >> (32 + shift) {
                starts.push(index);
            }
        }
        let end = u32::try_from(sorted.len()).expect("there are at most a few million points");
        starts.resize((1 << bits) + 1, end);
        let len = sorted.len();
        sorted.extend([u64::MAX; AT_ONCE]);
        Self { sorted: sorted.into(), len, starts: starts.into(), shift }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of the first point at `place` or after it; there must be one.
    #[inline]
    pub(super) fn at_or_after(&self, place: u32) -> usize {
        let target = u64::from(place) << 32;
        let mut index = self.starts[(place >> self.shift) as usize] as usize;
        // Not one by one: where to stop would be guessed wrong by the processor half of
        // the time, which costs more than all comparisons.
        loop {
            let some = &self.sorted[index..index + AT_ONCE];
            let before: usize = some.iter().map(|point| usize::from(*point < target)).sum();
            index += before;
            if before < AT_ONCE {
                return if index == self.len { 0 } else { index };
            }
        }
    }

    /// The number of the next point.
    #[inline]
    pub(super) fn after(&self, index: usize) -> usize {
        if index + 1 == self.len { 0 } else { index + 1 }
    }

    /// The number of the last point before this one.
    #[inline]
    pub(super) fn before(&self, index: usize) -> usize {
        if index == 0 { self.len - 1 } else { index - 1 }
    }

    /// The number of the next point that is not at the same place.
    #[inline]
    pub(super) fn past(&self, index: usize) -> usize {
        let mut next = self.after(index);
        while next != index && self.place(next) == self.place(index) {
            next = self.after(next);
        }
        next
    }

    #[inline]
    pub(super) fn place(&self, index: usize) -> u32 {
        (self.sorted[index] >> 32) as u32
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half of 64 bits")]
    pub(super) fn owner(&self, index: usize) -> usize {
        self.sorted[index] as u32 as usize
    }

    /// The same circle with other owners: `kept` says what number each old one has
    /// now, if any, and `fresh` are the points of new ones, in order.
    fn changed(&self, kept: &[Option<u32>], fresh: &[u64]) -> Self {
        let mut merged = Vec::with_capacity(self.len + fresh.len() + AT_ONCE);
        let mut fresh = fresh.iter().copied().peekable();
        for point in &self.sorted[..self.len] {
            #[expect(clippy::cast_possible_truncation, reason = "the lower half of 64 bits")]
            let Some(owner) = kept[*point as u32 as usize] else { continue };
            let point = point >> 32 << 32 | u64::from(owner);
            while let Some(fresh) = fresh.next_if(|fresh| *fresh < point) {
                insert(&mut merged, fresh);
            }
            insert(&mut merged, point);
        }
        fresh.for_each(|point| insert(&mut merged, point));
        Self::new(merged)
    }
}

/// Adds a point that comes last, or at the last place.
fn insert(sorted: &mut Vec<u64>, point: u64) {
    sorted.push(point);
    let mut index = sorted.len() - 1;
    // Owners may have changed places, and then points at one place did so too.
    while index > 0 && sorted[index] < sorted[index - 1] {
        sorted.swap(index, index - 1);
        index -= 1;
    }
}

/// A circle that is kept between builds.
///
/// Whose points are at which places depends on a `T` and on how many points there
/// are, and on nothing else.
#[derive(Debug)]
pub(super) struct Circle<T> {
    owners: Vec<(T, u32)>,
    points: Arc<Points>,
}

impl<T> Default for Circle<T> {
    fn default() -> Self {
        Self { owners: Vec::new(), points: Arc::default() }
    }
}

impl<T: Ord> Circle<T> {
    /// The circle of these owners, all of them different, with so many points each,
    /// which `places` computes. O(points) for what changed in it, and O(1) per owner
    /// when nothing did.
    pub(super) fn of<P: Iterator<Item = u32>>(
        &mut self,
        owners: Vec<(T, u32)>,
        places: impl Fn(&T, u32) -> P,
    ) -> Arc<Points> {
        if self.owners != owners {
            self.points = Arc::new(self.change_to(&owners, places));
            self.owners = owners;
        }
        Arc::clone(&self.points)
    }

    /// The circle as it was built last.
    #[cfg(test)]
    pub(super) fn points(&self) -> &Arc<Points> {
        &self.points
    }

    fn change_to<P: Iterator<Item = u32>>(
        &self,
        owners: &[(T, u32)],
        places: impl Fn(&T, u32) -> P,
    ) -> Points {
        let mut newcomers: BTreeMap<&(T, u32), u32> = owners.iter().zip(0..).collect();
        let kept: Vec<Option<u32>> =
            self.owners.iter().map(|owner| newcomers.remove(owner)).collect();
        let fresh = newcomers.into_iter().flat_map(|((of, count), number)| {
            places(of, *count).map(move |place| u64::from(place) << 32 | u64::from(number))
        });
        let mut fresh: Vec<u64> = fresh.collect();
        fresh.sort_unstable();
        self.points.changed(&kept, &fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    /// Few places, so that many points meet.
    fn places(of: &u64, count: u32) -> impl Iterator<Item = u32> + use<> {
        let of = *of;
        (0..count).map(move |point| {
            u32::try_from(sample::mix(of << 32 | u64::from(point)) >> 32).unwrap() & 0xf7e0_0001
        })
    }

    /// Whose point is at `place` or the first after it, looked for one by one.
    fn first_at_or_after(owners: &[(u64, u32)], place: u32) -> (u32, usize) {
        let points = owners
            .iter()
            .enumerate()
            .flat_map(|(number, (of, count))| places(of, *count).map(move |p| (p, number)));
        points.min_by_key(|(p, number)| (p.wrapping_sub(place), *number)).unwrap()
    }

    #[test]
    fn a_point_is_found_and_the_next_one_whatever_changed_before() {
        let mut circle = Circle::default();
        for round in 0..60_u64 {
            // A dozen owners, others each time, in any order, of one to thirty points.
            let mut owners: Vec<(u64, u32)> = (0..20)
                .filter(|of| sample::mix(round << 8 | of) % 5 < 3)
                .map(|of| (of, 1 + u32::try_from(sample::mix(of + round / 3) % 30).unwrap()))
                .collect();
            owners.sort_by_key(|(of, _)| sample::mix(of ^ (round / 2) << 20));
            let points = circle.of(owners.clone(), places);
            for place in (0..200).map(|n| u32::try_from(sample::mix(n) >> 32).unwrap()) {
                let (at, owner) = first_at_or_after(&owners, place);
                let found = points.at_or_after(place);
                assert_eq!((points.place(found), points.owner(found)), (at, owner));
                let (next_at, next_owner) = first_at_or_after(&owners, at.wrapping_add(1));
                let next = points.past(found);
                assert_eq!((points.place(next), points.owner(next)), (next_at, next_owner));
                assert_eq!(points.after(points.before(found)), found);
            }
        }
    }

    #[test]
    fn nothing_is_built_where_nothing_changed() {
        let mut circle = Circle::default();
        let first = circle.of(vec![(1, 3), (2, 3)], places);
        assert!(Arc::ptr_eq(&first, &circle.of(vec![(1, 3), (2, 3)], places)));
        assert!(!Arc::ptr_eq(&first, &circle.of(vec![(1, 3), (2, 4)], places)));
        assert!(circle.of(Vec::new(), places).is_empty());
    }

    #[test]
    fn so_many_points_that_nobody_could_build_them_are_given_in_proportion() {
        assert_eq!(affordable(&[160, 320]), [160, 320]);
        // Eight million, halved five times.
        assert_eq!(affordable(&[MOST, MOST, 1, 0]), [1 << 17, 1 << 17, 1, 1]);
        assert_eq!(affordable(&[MOST, MOST / 2, 1, 0]), [1 << 17, 1 << 16, 1, 1]);
        assert_eq!(affordable(&[]), [0_u32; 0]);
        // Nobody's share changes because one has as many as he can.
        assert_eq!(in_proportion(&[65_536, 4_096, 16, 1], 4_096), [4_096, 256, 1, 1]);
    }
}
