//! How fast the death of a node is noticed, and what that costs.
//!
//! Faster means more datagrams, and more suspicions of nodes that are only slow. The
//! time from a suspicion to a verdict grows with the logarithm of the number of nodes:
//! the news that somebody is alive after all has further to go.

use std::{
    num::{NonZeroU8, NonZeroUsize},
    time::Duration,
};

use foca::{Config, PeriodicParams};

/// How fast the death of a node is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// For busy machines, or networks that lose much: 3 to 6 seconds.
    Lan,
    /// Within two seconds.
    #[default]
    Fast,
    /// Within about one second.
    Faster,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lan, Self::Fast, Self::Faster];

    /// What it is called in a file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Fast => "fast",
            Self::Faster => "faster",
        }
    }

    /// How often a member is asked whether it is there.
    pub(super) fn period(self) -> Duration {
        Duration::from_millis(match self {
            Self::Lan => 1_000,
            Self::Fast => 300,
            Self::Faster => 200,
        })
    }

    /// How often what is new is passed on.
    pub(super) fn gossip(self) -> Duration {
        Duration::from_millis(match self {
            Self::Lan => 200,
            Self::Fast => 100,
            Self::Faster => 50,
        })
    }

    fn rtt(self) -> Duration {
        Duration::from_millis(match self {
            Self::Lan => 500,
            Self::Fast => 100,
            Self::Faster => 60,
        })
    }

    fn suspicion(self) -> Duration {
        Duration::from_millis(match self {
            Self::Lan => 4_000,
            Self::Fast => 1_000,
            Self::Faster => 500,
        })
    }

    /// What foca is told, with so many nodes.
    pub(super) fn config(self, nodes: usize) -> Config {
        let every = |frequency, members| {
            let num_members = NonZeroUsize::new(members)?;
            Some(PeriodicParams { frequency, num_members })
        };
        Config {
            probe_period: self.period(),
            probe_rtt: self.rtt(),
            max_transmissions: NonZeroU8::new(transmissions(nodes)).unwrap_or(NonZeroU8::MIN),
            suspect_to_down_after: self.suspicion() * digits(nodes),
            // For longer than anybody goes on telling of the dead.
            remove_down_after: Some(Duration::from_secs(3_600)),
            max_packet_size: NonZeroUsize::new(SWIM_LENGTH).unwrap_or(NonZeroUsize::MIN),
            // One that was declared dead by mistake hears of it, and comes back.
            notify_down_members: true,
            periodic_announce: every(Duration::from_secs(30), 1),
            periodic_announce_to_down_members: every(Duration::from_secs(10), 2),
            periodic_gossip: every(self.gossip(), 3),
            ..Config::simple()
        }
    }
}

/// How often a piece of news is sent on by each who has it: 4 log10 of the nodes, at
/// least 4.
pub(super) fn transmissions(nodes: usize) -> u8 {
    let log10 = f64::from(u32::try_from(nodes).unwrap_or(u32::MAX).max(10)).log10();
    (4.0 * log10).ceil() as u8
}

/// 1 for up to ten nodes, 2 for up to a hundred, and so on.
fn digits(nodes: usize) -> u32 {
    nodes.saturating_sub(1).checked_ilog10().unwrap_or(0) + 1
}

/// What is left for foca in a datagram.
const SWIM_LENGTH: usize = 1_250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_a_verdict_grows_with_the_digits_of_the_number_of_nodes() {
        let after = |nodes| Profile::Fast.config(nodes).suspect_to_down_after.as_secs();
        assert_eq!([0, 1, 10, 11, 100, 101, 1_000].map(after), [1, 1, 1, 2, 2, 3, 3]);
        assert_eq!([0, 10, 100, 1_000].map(transmissions), [4, 4, 8, 12]);
    }
}
