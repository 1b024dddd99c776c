//! From what the file says of announcements to what listens for them.

use std::time::Duration;

use anyhow::Context as _;
use lb_core::Weight;
use lb_discovery::{
    Supervision,
    announce::{Grant, Group, Interface, Key, Policy},
};
use lb_proxy::config::{Allow, Announce};

/// Who may announce what to this cluster. A key without networks of its own has those
/// of its source.
pub(super) fn policy(cluster: &str, announce: &Announce, allow: &Allow) -> Policy {
    let keys = announce.keys.iter().map(|key| {
        let grant = Grant {
            networks: key.networks.clone().unwrap_or_else(|| allow.networks.clone()),
            max_weight: key.max_weight.and_then(Weight::new).unwrap_or(Weight::MAX),
            max_backends: key.max_backends.unwrap_or(usize::MAX),
            relay: key.relay,
        };
        (Key::new(key.secret.0), grant)
    });
    Policy { cluster: cluster.into(), keys: keys.collect(), max_skew: announce.max_skew }
}

/// The groups that are heard.
pub(super) fn groups(announce: &Announce) -> anyhow::Result<Vec<Group>> {
    let interface = announce.interface.as_deref().map(str::parse::<Interface>).transpose();
    let interface = interface.map_err(anyhow::Error::msg).context("`interface`")?;
    let group = |address: &_| Group { address: *address, interface: interface.clone() };
    Ok(announce.groups.iter().map(group).collect())
}

/// A node that leaves has said so itself, or was silent for its time: nothing is left to
/// confirm. Those that come together are one set each tenth of a second.
pub(super) fn prompt() -> Supervision {
    Supervision { confirm: None, burst: 20, interval: Duration::from_millis(100) }
}
