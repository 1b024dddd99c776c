//! Among whom is chosen, where that is not everybody: one tier, the own zone, a subset.

use std::fmt;

use lb_core::cluster::{GroupId, Place, Policy, Zone};
use serde_json::{Value, json};

/// Those who take requests while all backends are up.
pub(super) struct Among {
    used: usize,
    total: usize,
    tier: u8,
    /// In words, where zones are told apart.
    zone: Option<String>,
    is_subset: bool,
}

impl Among {
    /// `None` where everybody does, or nobody.
    pub(super) fn new(built: &lb_core::Cluster, policy: &Policy) -> Option<Self> {
        let snapshot = built.snapshot();
        // Where all are up, the first takes everything.
        let (group, _) = snapshot.groups().next()?;
        let (used, total) = (snapshot.view().new_set().len(), snapshot.view().len());
        let zone = policy.zone.as_ref().and_then(|zone| zone_of(group, zone));
        let is_subset = policy.subset.is_some();
        (used < total).then(|| Self { used, total, tier: group.tier(), zone, is_subset })
    }

    pub(super) fn json(&self) -> Value {
        let Self { used, total, tier, zone, is_subset } = self;
        json!({ "used": used, "total": total, "tier": tier, "zone": zone, "subset": is_subset })
    }
}

fn zone_of(group: GroupId, zone: &Zone) -> Option<String> {
    match group.place() {
        Place::Own => Some(format!("zone {}", zone.own)),
        Place::Others => Some(format!("outside of zone {}", zone.own)),
        _ => None,
    }
}

impl fmt::Display for Among {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} backends: tier {}", self.used, self.total, self.tier)?;
        if let Some(zone) = &self.zone {
            write!(f, ", {zone}")?;
        }
        f.write_str(if self.is_subset { ", this balancer's subset" } else { "" })
    }
}
