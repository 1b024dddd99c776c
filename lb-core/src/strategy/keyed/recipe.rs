//! What the strategies that end in rendezvous hashing are told, and keep between builds.

use super::{Bound, ByKey, Cache, Hosts, Marks, Table};
use crate::{
    cluster::View,
    hash::Secret,
    strategy::{BoundedLoad, BuildCx, Picker},
};

/// A secret, a bound on loads, and each group's last table.
#[derive(Debug)]
pub(in crate::strategy) struct Recipe<T> {
    secret: Option<Secret>,
    bound: Option<Bound>,
    tables: Cache<T>,
}

impl<T> Recipe<T> {
    /// With the usual bound, and this secret instead of the cluster's.
    pub(in crate::strategy) fn new(secret: Secret) -> Self {
        Self { secret: Some(secret), ..Self::default() }
    }

    /// With at most this times a share, or any.
    pub(in crate::strategy) fn bounded(self, factor: Option<f64>) -> Self {
        Self { bound: factor.map(Bound::new), ..self }
    }
}

impl<T> Default for Recipe<T> {
    fn default() -> Self {
        let bound = Some(Bound::new(BoundedLoad::USUAL));
        Self { secret: None, bound, tables: Cache::default() }
    }
}

impl<T: Table + 'static> Recipe<T> {
    /// Picks among these hosts by the table that `make` makes of their marks, if there is
    /// none yet.
    pub(in crate::strategy) fn picker(
        &mut self,
        hosts: &Hosts,
        view: View<'_>,
        cx: &BuildCx,
        make: impl FnOnce(&Marks, Secret) -> T,
    ) -> Box<dyn Picker> {
        let secret = self.secret.unwrap_or(cx.secret);
        let marks = Marks::new(&hosts.list, secret);
        let build = || make(&marks, secret);
        let table = self.tables.table(cx.group(), &hosts.list, secret, build);
        Box::new(ByKey::ours(table, &hosts.slots, marks, view).bounded(self.bound, view))
    }
}
