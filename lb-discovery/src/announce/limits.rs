//! How many datagrams of whom are looked at: asked before any work is done for one.
//!
//! Whoever can send can send much, from as many addresses as it likes to write. So all
//! addresses that nobody has announced himself from share one bucket: a flood of them
//! delays who is new, and does no harm to those that are there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use lb_core::Tick;

use crate::supervise::bucket::Bucket;

/// Who may still be heard.
#[derive(Debug)]
pub(crate) struct Limits {
    strangers: Bucket,
    /// Of addresses that have announced themselves with a key.
    known: BTreeMap<IpAddr, Bucket>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { strangers: bucket(), known: BTreeMap::new() }
    }
}

impl Limits {
    /// Whether one more datagram from there is looked at.
    pub(crate) fn admit(&mut self, from: IpAddr, now: Tick) -> bool {
        let bucket = self.known.get_mut(&from).unwrap_or(&mut self.strangers);
        let is_admitted = bucket.ready_at() <= now;
        if is_admitted {
            bucket.take(now);
        }
        is_admitted
    }

    /// Somebody there has a key.
    pub(crate) fn know(&mut self, from: IpAddr) {
        self.known.entry(from).or_insert_with(bucket);
    }

    /// Forgets all others.
    pub(crate) fn know_only(&mut self, present: &BTreeSet<IpAddr>) {
        self.known.retain(|from, _| present.contains(from));
    }
}

/// A thousand in a second, four thousand at once: what all nodes of a large cluster send
/// after they were started together. To check one takes about a microsecond.
fn bucket() -> Bucket {
    Bucket::new(Duration::from_millis(1), 4_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_strangers_takes_nothing_from_those_that_are_known() {
        let mut limits = Limits::default();
        let known = IpAddr::from([10, 0, 0, 1]);
        limits.know(known);
        let now = Tick::from_millis(60_000);
        let stranger = |n: u32| IpAddr::from(n.to_be_bytes());
        let admitted = (0..10_000).filter(|n| limits.admit(stranger(*n), now)).count();
        assert_eq!(admitted, 4_000);
        assert!(limits.admit(known, now));
        assert!(limits.admit(stranger(1), now + Duration::from_millis(1)), "one in a millisecond");
        limits.know_only(&BTreeSet::new());
        assert!(!limits.admit(known, now + Duration::from_millis(1)), "a stranger again");
    }
}
