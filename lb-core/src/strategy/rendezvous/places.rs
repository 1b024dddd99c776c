//! Who wins which place.
//!
//! Drawing the lot of each backend for each place would take 131 million draws for a
//! thousand backends. But a place goes to whoever is first there, if everybody visits
//! places from his best lot to his worst: his ranks are a permutation of the places, and
//! the lot of the n-th place is what the n-th best of so many is. Until each place has been
//! visited, a dozen have been everywhere on average, and most of that is for the last few
//! places. So these are raffled one by one, as soon as asking everybody for each of them
//! takes no longer than visiting each place once: a rank follows from a place as a place
//! does from a rank.

use super::rarity;
use crate::{
    sample,
    strategy::{keyed::NOBODY, remainder::Divisor},
};

/// The position that has won each of `size` places (a prime number), given hashes of names
/// and weights. What a position bids for a place depends on its own hash and weight, and
/// nothing else. O(size × log backends), expected.
pub(super) fn winners(size: usize, marks: &[u64], weights: &[u32]) -> Box<[u32]> {
    if marks.is_empty() {
        return Box::default();
    }
    let lots = marks.iter().zip(weights);
    let mut lots: Vec<Lots> = lots.map(|(mark, weight)| Lots::new(*mark, *weight, size)).collect();
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    // In this time, a place is visited about once.
    let window = (3 << 51) / total;
    let mut floor = Floor::new(size);
    let mut now = 0;
    while floor.left > size / lots.len() {
        now += window;
        for (position, lots) in (0..).zip(&mut lots) {
            lots.visit(position, now, &mut floor, marks);
        }
        floor.award(now);
    }
    floor.raffle(&lots, marks);
    floor.firsts.iter().map(|first| first.position).collect()
}

/// The lots of one backend, best first, and where he is.
struct Lots {
    start: usize,
    at: usize,
    step: usize,
    rank: u64,
    /// 2⁶⁴ ÷ number of places.
    width: u64,
    /// Where in its width each of his lots is: nobody else's are there.
    offset: u64,
    /// 2³² ÷ weight.
    slowness: u64,
}

/// So many visits are made at once. A few of them are too early, which does no harm.
const VISITS: usize = 16;

impl Lots {
    fn new(mark: u64, weight: u32, size: usize) -> Self {
        let width = u64::MAX / size as u64;
        let hash = sample::mix(mark);
        let start = sample::index(mark, size);
        Self {
            start,
            at: start,
            step: sample::index(hash, size - 1) + 1,
            rank: 0,
            width,
            offset: sample::mix(hash) % width,
            slowness: (1 << 32) / u64::from(weight.max(1)),
        }
    }

    /// The rank at which he visits this place, of so many, given by what steps are undone.
    fn rank_of(&self, place: usize, to_next: u64, places: Divisor, count: usize) -> u64 {
        let way = if place < self.start { place + count } else { place } - self.start;
        places.remainder(way as u64 * to_next).expect("a table has places")
    }

    /// When he visits the next place.
    fn time(&self) -> u64 {
        self.time_of(self.rank)
    }

    /// When he visits his place of this rank: −log₂ of his lot ÷ weight, in units of 2⁻⁵².
    /// The minimum of such times is with each in proportion to weights.
    #[expect(clippy::cast_possible_truncation, reason = "2^46 × 2^32 ÷ 2^20 < 2^64")]
    fn time_of(&self, rank: u64) -> u64 {
        let lot = !(rank * self.width + self.offset);
        ((u128::from(rarity(lot)) * u128::from(self.slowness)) >> 20) as u64
    }

    /// Makes the visits whose time has come by `now`, and bids where nobody has won.
    fn visit(&mut self, position: u32, now: u64, floor: &mut Floor, marks: &[u64]) {
        let size = floor.firsts.len();
        while self.rank < size as u64 && self.time() < now {
            for _ in 0..VISITS {
                if self.rank == size as u64 {
                    return;
                }
                if !floor.is_awarded(self.at) {
                    floor.bid(self.at, First { time: self.time(), position }, marks);
                }
                self.rank += 1;
                self.at += self.step;
                if self.at >= size {
                    self.at -= size;
                }
            }
        }
    }
}

/// What `number`, above 0, has to be multiplied by to be 1 modulo a larger prime: Euclid's
/// algorithm.
fn inverse(number: u64, prime: u64) -> u64 {
    let (mut dividend, mut divisor) = (prime.cast_signed(), number.cast_signed());
    let (mut last, mut next) = (0_i64, 1_i64);
    while divisor != 0 {
        let quotient = dividend / divisor;
        (dividend, divisor) = (divisor, dividend - quotient * divisor);
        (last, next) = (next, last - quotient * next);
    }
    last.rem_euclid(prime.cast_signed()).cast_unsigned()
}

/// All places.
struct Floor {
    firsts: Vec<First>,
    /// Bit by bit, as most visits find no more than that.
    awarded: Vec<u64>,
    /// Places that were visited and are not awarded.
    open: Vec<usize>,
    left: usize,
}

/// Who came to a place first, of the visits so far, and when. Together, as both are
/// looked up for most visits.
#[derive(Clone, Copy)]
struct First {
    time: u64,
    position: u32,
}

impl Floor {
    fn new(size: usize) -> Self {
        Self {
            firsts: vec![First { time: u64::MAX, position: NOBODY }; size],
            awarded: vec![0; size.div_ceil(64)],
            open: Vec::new(),
            left: size,
        }
    }

    fn is_awarded(&self, place: usize) -> bool {
        self.awarded[place / 64] >> (place % 64) & 1 != 0
    }

    fn bid(&mut self, place: usize, bid: First, marks: &[u64]) {
        let first = self.firsts[place];
        if first.position == NOBODY {
            self.open.push(place);
        } else {
            // At the same time by hash, not by order.
            let mark = |first: First| marks[first.position as usize];
            if bid.time > first.time || bid.time == first.time && mark(bid) >= mark(first) {
                return;
            }
        }
        self.firsts[place] = bid;
    }

    /// Awards what is left to whoever would come first.
    fn raffle(&mut self, lots: &[Lots], marks: &[u64]) {
        let count = self.firsts.len();
        let places = Divisor::new(count as u64);
        let to_next = |lots: &Lots| inverse(lots.step as u64, count as u64);
        let undone: Vec<u64> = lots.iter().map(to_next).collect();
        for place in 0..count {
            if self.is_awarded(place) {
                continue;
            }
            let bid = |(position, (lots, to_next)): (u32, (&Lots, &u64))| {
                let rank = lots.rank_of(place, *to_next, places, count);
                (lots.time_of(rank), marks[position as usize], position)
            };
            let first = (0..).zip(lots.iter().zip(&undone)).map(bid).min();
            self.firsts[place].position = first.map_or(NOBODY, |(.., position)| position);
        }
    }

    /// Nobody will come before `now` any more.
    fn award(&mut self, now: u64) {
        let Self { open, firsts, awarded, left } = self;
        open.retain(|place| {
            let is_over = firsts[*place].time < now;
            if is_over {
                awarded[place / 64] |= 1 << (place % 64);
                *left -= 1;
            }
            !is_over
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 65_537;

    fn marks(count: u64) -> Vec<u64> {
        (0..count).map(|n| sample::mix(n + 1_000)).collect()
    }

    fn counts(winners: &[u32], positions: usize) -> Vec<usize> {
        let mut counts = vec![0; positions];
        winners.iter().for_each(|winner| counts[*winner as usize] += 1);
        counts
    }

    /// By the definition: everybody's time for each place.
    fn one_by_one(size: usize, marks: &[u64], weights: &[u32]) -> Box<[u32]> {
        let mut best = vec![(u64::MAX, u64::MAX, NOBODY); size];
        for (position, (mark, weight)) in (0..).zip(marks.iter().zip(weights)) {
            let mut lots = Lots::new(*mark, *weight, size);
            for _ in 0..size {
                best[lots.at] = best[lots.at].min((lots.time(), *mark, position));
                lots.rank += 1;
                lots.at = (lots.at + lots.step) % size;
            }
        }
        best.into_iter().map(|(.., position)| position).collect()
    }

    #[test]
    fn visiting_in_order_finds_whom_asking_all_finds() {
        let weights: Vec<u32> = (0..60).map(|n| 1 + n * n % 17).collect();
        for count in [1, 2, 3, 10, 60] {
            let (marks, weights) = (&marks(count as u64), &weights[..count]);
            assert_eq!(winners(4_099, marks, weights), one_by_one(4_099, marks, weights));
        }
        let uneven = [1, 65_535, 300];
        assert_eq!(winners(4_099, &marks(3), &uneven), one_by_one(4_099, &marks(3), &uneven));
        assert!(winners(4_099, &[], &[]).is_empty());
    }

    #[test]
    fn without_one_only_its_places_change_hands_and_to_all_others() {
        for count in [2_usize, 3, 10, 100, 600] {
            let (marks, weights) = (marks(count as u64), vec![7; count]);
            let before = winners(SIZE, &marks, &weights);
            let after = winners(SIZE, &marks[..count - 1], &weights[1..]);
            let mut heirs = vec![0_usize; count - 1];
            for (before, after) in before.iter().zip(&after) {
                if *before as usize == count - 1 {
                    heirs[*after as usize] += 1;
                } else {
                    assert_eq!(before, after);
                }
            }
            let lost: usize = heirs.iter().sum();
            println!("one of {count} leaves: {lost} places of {SIZE} move, 0 needlessly");
            // A binomial number; five sigma.
            let mean = lost as f64 / (count - 1) as f64;
            let most = mean + 5.0 * mean.sqrt() + 3.0;
            assert!(heirs.iter().all(|heir| *heir as f64 <= most), "{heirs:?}");
        }
    }

    #[test]
    fn who_gets_more_weight_only_gains_and_who_gets_less_only_loses() {
        let marks = marks(20);
        let before = winners(SIZE, &marks, &[10; 20]);
        let mut weights = [10; 20];
        weights[4] = 13;
        let after = winners(SIZE, &marks, &weights);
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
        assert!(moved.clone().all(|(_, after)| *after == 4));
        // From 10/200 to 13/203.
        let expected = SIZE as f64 * (13.0 / 203.0 - 10.0 / 200.0);
        assert!((moved.count() as f64 - expected).abs() < 0.2 * expected);
    }

    #[test]
    fn shares_follow_the_weights() {
        for weights in [&[1, 1][..], &[2, 1], &[5, 1, 2, 1, 1], &[3; 10], &[100, 1, 1, 98]] {
            let counts =
                counts(&winners(SIZE, &marks(weights.len() as u64), weights), weights.len());
            let total: u32 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(weights) {
                let part = f64::from(*weight) / f64::from(total);
                let share = SIZE as f64 * part;
                // Binomial(65537, part): five sigma, and 1 % as rarity is not quite the logarithm.
                let tolerance = 5.0 * (share * (1.0 - part)).sqrt() + 0.01 * share;
                assert!((*count as f64 - share).abs() < tolerance, "{counts:?} for {weights:?}");
            }
        }
    }

    #[test]
    fn shares_are_as_even_as_lots_allow() {
        for count in [10_usize, 100, 600] {
            let counts = counts(&winners(SIZE, &marks(count as u64), &vec![1; count]), count);
            let mean = SIZE as f64 / count as f64;
            let squares = counts.iter().map(|it| (*it as f64 / mean - 1.0).powi(2)).sum::<f64>();
            let (deviation, expected) = ((squares / count as f64).sqrt(), mean.sqrt().recip());
            println!(
                "{count} backends: deviation {deviation:.4}, of independent lots {expected:.4}"
            );
            assert!(deviation < 1.6 * expected);
        }
    }

    #[test]
    fn steps_lead_back_from_any_place_in_the_largest_table() {
        const LARGEST: usize = 67_108_859;
        for mark in (0..200).map(sample::mix) {
            let mut lots = Lots::new(mark, 1, LARGEST);
            let to_next = inverse(lots.step as u64, LARGEST as u64);
            let places = Divisor::new(LARGEST as u64);
            for rank in [0, 1, 2, mark % LARGEST as u64, LARGEST as u64 - 1] {
                let at = (lots.start as u64 + rank * lots.step as u64) % LARGEST as u64;
                let at = usize::try_from(at).unwrap();
                assert_eq!(lots.rank_of(at, to_next, places, LARGEST), rank);
            }
            lots.rank = LARGEST as u64 - 1;
            lots.time();
        }
        for (number, prime) in [(1, 2), (1, 4_099), (4_098, 4_099), (2, 67_108_859)] {
            assert_eq!(number * inverse(number, prime) % prime, 1);
        }
    }

    #[test]
    fn of_two_with_one_mark_the_first_wins_visited_or_raffled() {
        // All times tie.
        let marks = [9, 9, 9, 4];
        assert_eq!(winners(4_099, &marks, &[2; 4]), one_by_one(4_099, &marks, &[2; 4]));
    }
}
