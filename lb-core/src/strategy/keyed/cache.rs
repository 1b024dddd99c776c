//! A table outlives the snapshots it was not changed by.

use std::sync::Arc;

use super::hosts::Host;
use crate::{cluster::GroupId, hash::Secret, strategy::PerGroup};

/// Each group's last table, with what it was built of. Health, drains, and slow starts build
/// snapshots by the dozen, and change nothing in a table.
#[derive(Debug)]
pub(in crate::strategy) struct Cache<T> {
    last: PerGroup<Option<Last<T>>>,
}

type Last<T> = (Vec<Host>, Secret, Arc<T>);

impl<T> Cache<T> {
    /// The table of these hosts: the group's last one if it was built of the same. The secret of
    /// who has none may be any, if always the same.
    pub(in crate::strategy) fn table(
        &mut self,
        group: GroupId,
        hosts: &[Host],
        secret: Secret,
        build: impl FnOnce() -> T,
    ) -> Arc<T> {
        let last = self.last.of(group);
        match last {
            Some((of, with, table)) if of == hosts && *with == secret => Arc::clone(table),
            _ => {
                let table = Arc::new(build());
                // With nobody to pick there is nothing to keep, but somebody may return.
                if !hosts.is_empty() {
                    *last = Some((hosts.to_vec(), secret, Arc::clone(&table)));
                }
                table
            }
        }
    }
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self { last: PerGroup::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(weights: &[u32]) -> Vec<Host> {
        ["a", "b", "c"].map(Arc::from).into_iter().zip(weights.iter().copied()).collect()
    }

    #[test]
    fn a_table_is_built_again_only_for_other_hosts_weights_or_secrets() {
        let (secret, other) = (Secret::derived_from("one"), Secret::derived_from("other"));
        let mut builds = 0;
        let mut cache = Cache::default();
        let mut table = |weights: &[u32], secret| {
            *cache.table(GroupId::default(), &hosts(weights), secret, || {
                builds += 1;
                builds
            })
        };
        assert_eq!(table(&[1, 2, 3], secret), 1);
        assert_eq!(table(&[1, 2, 3], secret), 1);
        assert_eq!(table(&[1, 2, 4], secret), 2);
        assert_eq!(table(&[1, 2, 4], other), 3);
        assert_eq!(table(&[1, 2], other), 4);
        assert_eq!((table(&[], other), table(&[1, 2], other)), (5, 4), "nobody is not kept");
    }
}
