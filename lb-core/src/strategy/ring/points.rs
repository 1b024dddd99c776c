//! Points on a circle of 64-bit hashes.

use crate::{
    hash::xx64,
    strategy::keyed::{Host, Owners},
};

/// The points in order, whose each is, and where to begin to look.
#[derive(Debug)]
pub(super) struct Points {
    hashes: Box<[u64]>,
    owners: Owners,
    /// By the first bits of a hash: the first point that has them, or comes after. There
    /// are as many of these as points, or a little more, so that few are met in vain.
    starts: Box<[u32]>,
    shift: u32,
}

impl Points {
    /// Between `min` and `max` for these hosts, in Envoy's way: as many that the lightest
    /// host has a whole number, of which there may be more than `min`; the others' parts
    /// are rounded so that their sums stay right. In floating point, because Envoy's
    /// roundings are part of the ring.
    #[expect(clippy::cast_possible_truncation, reason = "the first bits are fewer than points")]
    pub(super) fn new(hosts: &[Host], min: u32, max: u32) -> Self {
        let points = points(hosts, f64::from(min), f64::from(max));
        let bits = points.len().next_power_of_two().trailing_zeros().max(1);
        let shift = u64::BITS - bits;
        let part = |hash: u64| (hash >> shift) as usize;
        // How many have these first bits, and then where they begin.
        let mut starts = vec![0_u32; 1 << bits];
        points.iter().for_each(|(hash, _)| starts[part(*hash)] += 1);
        let mut end = 0;
        for start in &mut starts {
            end += std::mem::replace(start, end);
        }
        // Hashes spread evenly, so that once they are in their parts, little is left to sort.
        let mut next = starts.clone();
        let mut sorted = vec![(0, 0); points.len()];
        for point in points {
            let next = &mut next[part(point.0)];
            sorted[*next as usize] = point;
            *next += 1;
        }
        for (start, end) in starts.iter().zip(&next) {
            sorted[*start as usize..*end as usize].sort_unstable();
        }
        let (hashes, owners): (Vec<u64>, Vec<u32>) = sorted.into_iter().unzip();
        let owners = Owners::from(Box::<[u32]>::from(owners));
        Self { hashes: hashes.into(), owners, starts: starts.into(), shift }
    }

    /// The first point at or after `hash`. O(1), expected.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "only the first bits are left")]
    pub(super) fn find(&self, hash: u64) -> usize {
        let start = self.starts[(hash >> self.shift) as usize] as usize;
        let in_vain = self.hashes[start..].iter().take_while(|point| **point < hash).count();
        let point = start + in_vain;
        if point < self.hashes.len() { point } else { 0 }
    }

    /// The one behind it.
    #[inline]
    pub(super) fn after(&self, point: usize) -> usize {
        if point + 1 < self.hashes.len() { point + 1 } else { 0 }
    }

    /// Whose it is; `None` where there are no points.
    #[inline]
    pub(super) fn owner(&self, point: usize) -> Option<usize> {
        self.owners.get(point)
    }
}

fn points(hosts: &[Host], min: f64, max: f64) -> Vec<(u64, u32)> {
    let total: f64 = hosts.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let lightest = hosts.iter().map(|(_, weight)| *weight).min().unwrap_or(1);
    let lightest = f64::from(lightest) / total;
    let scale = ((lightest * min).ceil() / lightest).min(max);
    let mut points = Vec::new();
    let (mut present, mut target) = (0.0_f64, 0.0_f64);
    let mut text = Vec::new();
    for (host, (address, weight)) in (0..).zip(hosts) {
        target += scale * (f64::from(*weight) / total);
        text.clear();
        text.extend_from_slice(address.as_bytes());
        text.extend_from_slice(b"_0");
        let number = text.len() - 1;
        while present < target {
            points.push((xx64(&text, 0), host));
            add_one(&mut text, number);
            present += 1.0;
        }
    }
    points
}

/// To the number that begins there, in decimal digits.
fn add_one(text: &mut Vec<u8>, start: usize) {
    for digit in text[start..].iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    text.insert(start, b'1');
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sample;

    fn hosts(count: usize) -> Vec<Host> {
        (0..count).map(|n| (format!("10.0.{}.{}:80", n / 256, n % 256).into(), 1)).collect()
    }

    #[test]
    fn the_ring_is_envoys() {
        let file = include_str!("../../../tests/vectors/envoy_maglev_ring.json");
        let file: Value = serde_json::from_str(file).unwrap();
        let (mut points, mut picks) = (0, 0);
        for row in file["ring_xxhash64"].as_array().unwrap() {
            let hosts: Vec<Host> =
                (90..96).map(|port| (format!("127.0.0.1:{port}").into(), 1)).collect();
            let min = u32::try_from(row["minimum_ring_size"].as_u64().unwrap()).unwrap();
            let ring = Points::new(&hosts, min, 8 << 20);
            let port = |point| 90 + ring.owner(point).unwrap() as u64;
            let ours: Vec<_> =
                (0..ring.hashes.len()).map(|it| (port(it), ring.hashes[it])).collect();
            let number = |value: &Value| value.as_u64().unwrap();
            let theirs = row["ring"].as_array().unwrap().iter();
            let theirs: Vec<_> = theirs.map(|it| (number(&it[0]), number(&it[1]))).collect();
            assert_eq!(ours, theirs, "{row}");
            points += theirs.len();
            for (hash, chosen) in row["picks"].as_object().unwrap() {
                assert_eq!(port(ring.find(hash.parse().unwrap())), number(chosen), "{hash}");
                picks += 1;
            }
        }
        println!("envoy ring: {points} points and {picks} picks exact");
        assert_eq!((points, picks), (12, 5));
    }

    #[test]
    fn a_search_finds_what_looking_at_all_finds() {
        for count in [1, 2, 3, 100] {
            let ring = Points::new(&hosts(count), 1, 8 << 20);
            let ends = ring.hashes.iter().flat_map(|hash| [hash - 1, *hash, hash + 1]);
            for hash in (0..1_000).map(sample::mix).chain(ends).chain([0, u64::MAX]) {
                let first = ring.hashes.iter().position(|point| *point >= hash).unwrap_or(0);
                assert_eq!(ring.find(hash), first, "{hash} of {count}");
            }
        }
        let nobody = Points::new(&[], 1_024, 8 << 20);
        assert_eq!(nobody.owner(nobody.find(7)), None);
    }

    #[test]
    fn the_lightest_has_a_whole_number_and_none_are_too_many() {
        let weighted = |weights: &[u32]| -> Vec<Host> {
            (0..).map(|n: u32| n.to_string().into()).zip(weights.iter().copied()).collect()
        };
        let counts = |weights: &[u32], min, max| {
            let mut counts = vec![0; weights.len()];
            let points = points(&weighted(weights), min, max);
            points.iter().for_each(|(_, host)| counts[*host as usize] += 1);
            counts
        };
        assert_eq!(counts(&[1, 2, 3], 12.0, 1e6), [2, 4, 6]);
        assert_eq!(counts(&[1, 2, 3], 13.0, 1e6), [3, 6, 9]);
        assert_eq!(counts(&[1, 1, 1, 1], 12.0, 6.0), [2, 1, 2, 1]);
    }

    /// The deviation of shares, relative to their mean, is 1 ÷ √points: a gap between points
    /// is exponential, and a share the sum of as many.
    #[test]
    fn shares_differ_by_as_much_as_points_are_few() {
        const HOSTS: u32 = 200;
        // Several, as the deviation itself deviates.
        const RINGS: u32 = 10;
        for (each, deviation, tolerance) in [
            (1, 0.999, 0.25),
            (10, 0.311, 0.15),
            (100, 0.106, 0.1),
            (160, 0.081, 0.1),
            (1_000, 0.031, 0.1),
        ] {
            let mut squares = 0.0;
            for ring in 0..RINGS {
                let named = |n| (format!("{ring}.{n}").into(), 1);
                let hosts: Vec<Host> = (0..HOSTS).map(named).collect();
                let ring = Points::new(&hosts, HOSTS * each, 8 << 20);
                let mut shares = vec![0_u64; HOSTS as usize];
                let mut before = *ring.hashes.last().unwrap();
                for (point, hash) in ring.hashes.iter().enumerate() {
                    shares[ring.owner(point).unwrap()] += hash.wrapping_sub(before);
                    before = *hash;
                }
                let mean = 2_f64.powi(64) / f64::from(HOSTS);
                let square = |share: &u64| (*share as f64 / mean - 1.0).powi(2);
                squares += shares.iter().map(square).sum::<f64>();
            }
            let measured = (squares / f64::from(HOSTS * RINGS)).sqrt();
            println!("{each} points each: deviation {measured:.3} for {deviation}");
            assert!((measured / deviation - 1.0).abs() < tolerance, "{each}: {measured}");
        }
    }

    #[test]
    fn numbers_count_up() {
        let mut text = b"a_0".to_vec();
        for number in 0..1_200 {
            assert_eq!(text, format!("a_{number}").as_bytes());
            add_one(&mut text, 2);
        }
    }
}
