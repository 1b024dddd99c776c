//! Of what a table is built.

use std::sync::Arc;

use super::super::tier_in_use;
use crate::cluster::{Slot, View};

/// A backend, as far as a table depends on it: what it is called there, and its
/// configured weight.
pub(in crate::strategy) type Host = (Arc<str>, u32);

/// All backends of the tier in use in the order of a table, whether they can be used or
/// not, and where each is in the snapshot.
#[derive(Debug)]
pub(in crate::strategy) struct Hosts {
    pub(in crate::strategy) list: Vec<Host>,
    pub(in crate::strategy) slots: Box<[Slot]>,
}

impl Hosts {
    /// By name, and in the order of names, so that balancers that list them in another
    /// order agree.
    pub(in crate::strategy) fn by_name(view: View<'_>) -> Self {
        let mut slots: Vec<Slot> = tier_in_use(view).collect();
        slots.sort_by_key(|slot| view.backend(*slot).name());
        Self::new(view, slots, |slot| view.backend(slot).shared_name())
    }

    /// By name, in the order of the list, where the order is what counts.
    pub(in crate::strategy) fn in_order(view: View<'_>) -> Self {
        Self::new(view, tier_in_use(view).collect(), |slot| view.backend(slot).shared_name())
    }

    /// By address, in the order of addresses.
    pub(in crate::strategy) fn by_sorted_address(view: View<'_>) -> Self {
        let mut slots: Vec<Slot> = tier_in_use(view).collect();
        slots.sort_by_key(|slot| view.backend(*slot).address());
        Self::new(view, slots, |slot| view.backend(slot).shared_address())
    }

    /// By address, and in the order of the list, as other programs see them.
    pub(in crate::strategy) fn by_address(view: View<'_>) -> Self {
        Self::new(view, tier_in_use(view).collect(), |slot| view.backend(slot).shared_address())
    }

    fn new<'v>(view: View<'_>, slots: Vec<Slot>, called: impl Fn(Slot) -> &'v Arc<str>) -> Self {
        let host = |slot: &Slot| (Arc::clone(called(*slot)), view.base_weight(*slot));
        Self { list: slots.iter().map(host).collect(), slots: slots.into() }
    }
}
