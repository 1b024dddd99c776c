//! The crates `maglev` and `hashring`: tables of keys, looked up as their users do.
//!
//! They know nothing of backends that are down or full, and count nothing.

use std::{hint::black_box, sync::Arc};

use hashring::HashRing;
use lb_benches::{Entropy, address};
use maglev::{ConsistentHasher as _, Maglev};

use crate::contender::Contender;

/// Points per backend on a ring, as many as nginx and ketama have.
const POINTS: u32 = 160;

pub(crate) fn all(size: usize) -> Vec<Contender> {
    let maglev = Maglev::new((0..size).map(address));
    let mut ring = HashRing::new();
    for number in 0..size {
        ring.batch_add((0..POINTS).map(|point| (address(number), point)).collect());
    }
    vec![
        contender("maglev crate", move |key| maglev.get(key).is_none()),
        contender("hashring crate", move |key| ring.get(key).is_none()),
    ]
}

fn contender(name: &str, misses: impl Fn(&[u8; 4]) -> bool + Send + Sync + 'static) -> Contender {
    let misses = Arc::new(misses);
    Contender::new(name, move |thread| {
        let (misses, entropy) = (Arc::clone(&misses), Entropy::new(thread as u64));
        Box::new(move |picks| {
            let miss = |pick| misses(black_box(&entropy.address(pick)));
            (0..picks).filter(|pick| black_box(miss(*pick))).count() as u64
        })
    })
}
