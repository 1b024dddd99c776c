//! What is passed on because it is new, and to whom: each round to a few, by chance, so
//! often that everybody has heard it with near certainty.

use std::{collections::BTreeMap, net::SocketAddr};

use lb_core::sample::mix;

use super::profile::transmissions;

/// Whose entries are passed on, and how often yet.
#[derive(Debug)]
pub(super) struct Rumours {
    left: BTreeMap<SocketAddr, u8>,
    draws: u64,
}

impl Rumours {
    pub(super) fn new(entropy: u64) -> Self {
        Self { left: BTreeMap::new(), draws: entropy }
    }

    /// The entry of this node is new, among so many.
    pub(super) fn start(&mut self, node: SocketAddr, members: usize) {
        self.left.insert(node, transmissions(members));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Those that are passed on in this round.
    pub(super) fn round(&mut self) -> Vec<SocketAddr> {
        let nodes = self.left.keys().copied().collect();
        self.left.retain(|_, left| {
            *left -= 1;
            *left > 0
        });
        nodes
    }

    /// So many of these, or all of them.
    pub(super) fn some(
        &mut self,
        of: impl Iterator<Item = SocketAddr>,
        count: usize,
    ) -> Vec<SocketAddr> {
        let mut all: Vec<_> = of.collect();
        let count = count.min(all.len());
        for at in 0..count {
            self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let left = u64::try_from(all.len() - at).unwrap_or(1);
            let other = at + usize::try_from(mix(self.draws) % left).unwrap_or(0);
            all.swap(at, other);
        }
        all.truncate(count);
        all
    }
}
