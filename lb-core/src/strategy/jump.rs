//! Keys to numbered buckets without a table.

use super::{
    BuildCx, Needs, PickCx, Picker, Strategy,
    keyed::{Hosts, Recipe, Rehash, Table},
};
use crate::{cluster::View, hash::Secret, sample};

/// By key, with jump consistent hash (Lamping, Veach: *A Fast, Minimal Memory, Consistent
/// Hash Algorithm*, 2014) over the backends in the order of their list.
///
/// Keys are shared out by weight with nothing to even out, and when a backend is added
/// **at the end** of the list, it takes exactly its share from the others and nobody else
/// moves. That is all: the order is part of the mapping, so that balancers must list the
/// same backends in the same order, and where one leaves from the middle all those behind
/// it move up, with most of their keys. For anything but numbered shards take
/// [`Maglev`](super::Maglev) or [`Rendezvous`](super::Rendezvous).
///
/// A backend of weight w is w buckets in a row. One that can't be used keeps them; its
/// keys are hashed again until they meet somebody who can take them, and return with it.
/// Loads are [bounded](Self::bounded), and hashes keyed, as those of `Maglev`; slow starts
/// too are the same.
///
/// O(log of the sum of weights) per pick; no memory but the list. With a bound, and where
/// the backend is not idle, what is in flight is counted as for `Maglev`.
#[derive(Debug, Default)]
pub struct Jump(Recipe<Buckets>);

impl Jump {
    /// With the usual bound, and this secret instead of the one derived from the
    /// cluster's name.
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

impl Strategy for Jump {
    fn name(&self) -> &'static str {
        "jump"
    }

    fn needs(&self) -> Needs {
        Needs::key()
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        self.0.picker(&Hosts::in_order(view), view, cx, |marks, secret| {
            Buckets::new(marks.weights(), secret)
        })
    }
}

#[derive(Debug)]
struct Buckets {
    secret: Secret,
    /// Behind whose last bucket each position's are; empty when everybody has one.
    ends: Box<[u64]>,
    count: u64,
}

impl Buckets {
    fn new(weights: &[u32], secret: Secret) -> Self {
        let ends = weights.iter().scan(0, |end, weight| {
            *end += u64::from(*weight);
            Some(*end)
        });
        let ends: Box<[u64]> = ends.collect();
        let count = ends.last().copied().unwrap_or(0);
        let one_each = weights.iter().all(|weight| *weight == 1);
        Self { secret, ends: if one_each { Box::default() } else { ends }, count }
    }
}

impl Table for Buckets {
    type Walk<'k> = Rehash;

    #[inline]
    fn walk(&self, cx: &PickCx<'_>) -> Rehash {
        Rehash::new(self.secret, cx)
    }

    #[inline]
    fn next(&self, walk: &mut Rehash) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        let bucket = match walk.attempt() {
            0 => jump(walk.next()?, self.count),
            _ => drawn(walk.next()?, self.count),
        };
        Some(self.holder(bucket))
    }

    #[inline]
    fn home(&self, key: &[u8]) -> Option<usize> {
        (self.count > 0).then(|| self.holder(jump(self.secret.spread(key), self.count)))
    }
}

impl Buckets {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "there are fewer positions than buckets")]
    fn holder(&self, bucket: u64) -> usize {
        match &*self.ends {
            [] => bucket as usize,
            ends => ends.partition_point(|end| *end <= bucket),
        }
    }
}

/// One of so many buckets, at least one, for a key whose own can't take it: faster than a
/// jump, as there may be many of these. It moves only to a bucket that is new, but when
/// their number passes a power of two, where half of such keys move. A part of so many
/// buckets, as in other tables, would move with each of them.
fn drawn(mut hash: u64, buckets: u64) -> u64 {
    let mask = buckets.next_power_of_two() - 1;
    // Half of them are buckets, so that it is one number more on average, if any.
    for _ in 0..64 {
        if hash & mask < buckets {
            return hash & mask;
        }
        hash = sample::mix(hash);
    }
    hash % buckets
}

/// The bucket of `key` when there are so many, at least one: the program of the paper's
/// figure 1. Its two operations in floating point are of those that every platform
/// rounds alike. O(log buckets), expected.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as in the paper; what is rounded is rounded there as well"
)]
fn jump(mut key: u64, buckets: u64) -> u64 {
    let (mut bucket, mut next) = (0, 0);
    while next < buckets {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let stretch = (1_u64 << 31) as f64 / ((key >> 33) + 1) as f64;
        next = ((bucket + 1) as f64 * stretch) as u64;
    }
    bucket
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn buckets_are_those_of_the_paper() {
        let file = include_str!("../../tests/vectors/jump_hash.json");
        let file: Value = serde_json::from_str(file).unwrap();
        let rows = file["rows"].as_array().unwrap();
        for row in rows {
            let number = |column: usize| row[column].as_u64().unwrap();
            assert_eq!(jump(number(0), number(1)), number(2), "{row}");
        }
        println!("jump hash: {} rows exact", rows.len());
        assert_eq!(rows.len(), 65);
    }

    #[test]
    fn one_bucket_more_takes_its_share_and_nobody_else_moves() {
        const KEYS: u64 = 100_000;
        for buckets in [1, 2, 10, 100, 999] {
            let mut moved = 0_u64;
            for key in (0..KEYS).map(sample::mix) {
                let (before, after) = (jump(key, buckets), jump(key, buckets + 1));
                assert!(after == before || after == buckets, "{key}: {before} to {after}");
                moved += u64::from(after != before);
            }
            let share = KEYS as f64 / (buckets + 1) as f64;
            println!("{buckets} and one more: {moved} of {KEYS} moved, all to the new one");
            // Binomial(100000, 1/(n+1)): sigma is below the root of the share.
            assert!((moved as f64 - share).abs() < 5.0 * share.sqrt(), "{moved}");
        }
    }

    #[test]
    fn a_key_that_is_passed_on_moves_only_to_a_bucket_that_is_new() {
        let mut counts = [0; 200];
        for hash in (0..20_000).map(sample::mix) {
            for buckets in 129..200 {
                let (before, after) = (drawn(hash, buckets), drawn(hash, buckets + 1));
                assert!(after == before || after == buckets, "{before} to {after} of {buckets}");
            }
            counts[usize::try_from(drawn(hash, 200)).unwrap()] += 1;
            assert_eq!(drawn(hash, 1), 0);
        }
        // Binomial(20000, 1/200): sigma is 10, so five are 50.
        assert!(counts.iter().all(|count| (50..150).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_backend_has_as_many_buckets_as_its_weight() {
        let buckets = Buckets::new(&[3, 1, 2], Secret::new([0; 16]));
        let position = |bucket| buckets.ends.partition_point(|end| *end <= bucket);
        assert_eq!((0..6).map(position).collect::<Vec<_>>(), [0, 0, 0, 1, 2, 2]);
        assert_eq!(buckets.count, 6);
        assert!(Buckets::new(&[1; 5], Secret::new([0; 16])).ends.is_empty());
    }
}
