//! From what the file says of gossip to a member.

use lb_core::Weight;
use lb_discovery::{
    announce::{Grant, Key},
    gossip::{Policy, Profile, Ring, Settings},
};
use lb_proxy::config::{Allow, Gossip, GossipProfile};

/// How to be a member.
pub(super) fn settings(gossip: &Gossip) -> Settings {
    Settings {
        bind: gossip.bind,
        advertise: gossip.advertise,
        join: gossip.join.clone(),
        ring: Ring::new(gossip.keys.iter().map(|key| Key::new(key.0))),
        insecure: gossip.insecure,
        profile: match gossip.profile {
            GossipProfile::Lan => Profile::Lan,
            GossipProfile::Fast => Profile::Fast,
            GossipProfile::Faster => Profile::Faster,
        },
        max_skew: gossip.max_skew,
    }
}

/// What members may offer to this cluster: each node itself, where the source permits.
pub(super) fn policy(cluster: &str, allow: &Allow) -> Policy {
    let grant = Grant {
        networks: allow.networks.clone(),
        max_weight: allow.max_weight.and_then(Weight::new).unwrap_or(Weight::MAX),
        max_backends: allow.max_backends.unwrap_or(usize::MAX),
        relay: false,
    };
    Policy { cluster: cluster.into(), grant }
}
