//! From which load on a backend is hot: a quantile of the loads seen last.
//!
//! The loads are kept twice, in the order they came and sorted, so that the quantile is
//! one look, and one more load costs two short moves.

/// So many are remembered. Of fewer, the quantile would be the largest more often than
/// not; more would remember a load of seconds ago.
const REMEMBERED: usize = 64;

/// The loads of the last probes.
#[derive(Debug)]
pub(super) struct Recent {
    /// As they came, the oldest at `next` once all places are taken.
    ring: [u64; REMEMBERED],
    sorted: [u64; REMEMBERED],
    count: usize,
    next: usize,
}

impl Recent {
    pub(super) const fn new() -> Self {
        Self { ring: [0; REMEMBERED], sorted: [0; REMEMBERED], count: 0, next: 0 }
    }

    pub(super) fn add(&mut self, load: u64) {
        if self.count == REMEMBERED {
            let place = self.sorted.partition_point(|known| *known < self.ring[self.next]);
            self.sorted.copy_within(place + 1.., place);
        } else {
            self.count += 1;
        }
        self.ring[self.next] = load;
        self.next = (self.next + 1) % REMEMBERED;
        let last = self.count - 1;
        let place = self.sorted[..last].partition_point(|known| *known < load);
        self.sorted.copy_within(place..last, place + 1);
        self.sorted[place] = load;
    }

    /// The load that so many of a thousand are not above; with none, any load is below.
    pub(super) fn quantile(&self, per_mille: usize) -> u64 {
        match (self.count * per_mille).div_ceil(1000) {
            0 => u64::MAX,
            rank => self.sorted[rank - 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::mix;

    #[test]
    fn a_quantile_is_that_of_the_last_loads() {
        let mut recent = Recent::new();
        assert_eq!(recent.quantile(840), u64::MAX);
        let mut all = Vec::new();
        for n in 0..300 {
            let load = mix(n) % 50;
            recent.add(load);
            all.push(load);
            let mut last = all[all.len().saturating_sub(REMEMBERED)..].to_vec();
            last.sort_unstable();
            for per_mille in [1, 500, 840, 1000] {
                let rank = (last.len() * per_mille).div_ceil(1000);
                assert_eq!(recent.quantile(per_mille), last[rank - 1]);
            }
        }
    }
}
