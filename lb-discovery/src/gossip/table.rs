//! What is known of each node, and who of two knows better.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    ops::Bound,
};

use super::body::{Digest, Entry, MAX_RECORD, VERSIONS, Version};

/// The newest entry of each node.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<SocketAddr, Entry>,
    /// Those who had gone when it was looked last.
    gone: BTreeSet<SocketAddr>,
}

impl Table {
    /// Takes an entry that is newer than the one it had, and says whether it did.
    pub(super) fn learn(&mut self, entry: Entry) -> bool {
        let node = entry.version.node;
        let is_sound = entry.record.as_ref().is_none_or(|record| record.len() <= MAX_RECORD);
        let is_new = match self.entries.get(&node) {
            Some(known) => entry.version.is_newer_than(&known.version),
            None => self.entries.len() < MAX_NODES,
        };
        if is_sound && is_new {
            self.entries.insert(node, entry);
        }
        is_sound && is_new
    }

    pub(super) fn of(&self, node: SocketAddr) -> Option<&Entry> {
        self.entries.get(&node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Forgets those who have gone and had gone the last time, unless they are to be kept:
    /// until then, somebody may still repeat what they said before their last word.
    pub(super) fn forget(
        &mut self,
        is_gone: impl Fn(SocketAddr) -> bool,
        keep: impl Fn(SocketAddr) -> bool,
    ) {
        let gone = self.entries.keys().copied().filter(|node| is_gone(*node)).collect();
        let before = std::mem::replace(&mut self.gone, gone);
        let is_over = |node: &SocketAddr| before.contains(node) && self.gone.contains(node);
        self.entries.retain(|node, _| !is_over(node) || keep(*node));
    }

    /// The versions of these nodes, as many digests as they need, at least one.
    pub(super) fn digests(&self, is_meant: impl Fn(SocketAddr) -> bool) -> Vec<Digest> {
        let meant = self.entries.values().filter(|entry| is_meant(entry.version.node));
        let versions: Vec<Version> = meant.map(|entry| entry.version).collect();
        let mut digests: Vec<Digest> = Vec::new();
        for part in versions.chunks(VERSIONS) {
            let after = digests.last().and_then(|before| before.until);
            let until = part.last().map(|last| last.node);
            digests.push(Digest { after, until, versions: part.to_vec() });
        }
        match digests.last_mut() {
            Some(last) => last.until = None,
            None => digests.push(Digest { after: None, until: None, versions: Vec::new() }),
        }
        digests
    }

    /// What whoever sent this digest does not know, and what is not known here.
    pub(super) fn compare(
        &self,
        digest: &Digest,
        is_meant: impl Fn(SocketAddr) -> bool,
    ) -> (Vec<Entry>, Vec<SocketAddr>) {
        let theirs: BTreeMap<_, _> = digest.versions.iter().map(|one| (one.node, one)).collect();
        let after = digest.after.map_or(Bound::Unbounded, Bound::Excluded);
        let until = digest.until.map_or(Bound::Unbounded, Bound::Included);
        let is_range = match (digest.after, digest.until) {
            (Some(after), Some(until)) => after < until,
            _ => true,
        };
        let ours = is_range.then(|| self.entries.range((after, until))).into_iter().flatten();
        let newer = ours.filter(|(node, entry)| {
            is_meant(**node)
                && theirs.get(node).is_none_or(|their| entry.version.is_newer_than(their))
        });
        let newer = newer.map(|(_, entry)| entry.clone()).collect();
        let wanted = digest.versions.iter().filter(|their| {
            let known = self.entries.get(&their.node);
            known.is_none_or(|known| their.is_newer_than(&known.version))
        });
        (newer, wanted.map(|their| their.node).collect())
    }
}

const MAX_NODES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(node: u8, number: u64) -> Entry {
        let version = Version { node: ([10, 0, 0, node], 1).into(), boot: 1, number };
        Entry { version, record: None }
    }

    fn table(entries: impl IntoIterator<Item = (u8, u64)>) -> Table {
        let mut table = Table::default();
        for (node, number) in entries {
            assert!(table.learn(entry(node, number)));
        }
        table
    }

    #[test]
    fn only_what_is_newer_is_taken() {
        let mut table = table([(1, 5)]);
        assert!(!table.learn(entry(1, 5)) && !table.learn(entry(1, 4)));
        let mut next_life = entry(1, 1);
        next_life.version.boot = 2;
        assert!(table.learn(next_life), "another life begins anew");
        let long = Entry { record: Some("x".repeat(MAX_RECORD + 1).into()), ..entry(2, 1) };
        assert!(!table.learn(long));
    }

    #[test]
    fn two_tables_know_the_same_after_each_has_heard_the_digests_of_the_other() {
        let mut ours = table((1..=100).map(|node| (node, 2)));
        let mut theirs = table((50..=200).map(|node| (node, u64::from(node % 3) + 1)));
        let digests = ours.digests(|_| true);
        assert_eq!(digests.len(), 4);
        for digest in digests {
            let (newer, wanted) = theirs.compare(&digest, |_| true);
            for entry in newer {
                assert!(ours.learn(entry), "was asked for");
            }
            for node in wanted {
                assert!(theirs.learn(ours.of(node).unwrap().clone()), "is newer");
            }
        }
        assert_eq!(ours.entries, theirs.entries);
        assert_eq!(ours.entries.len(), 200);
    }

    #[test]
    fn who_has_gone_is_forgotten_the_second_time_unless_it_is_kept() {
        let mut table = table([(1, 1), (2, 1), (3, 1)]);
        let node = |node: u8| SocketAddr::from(([10, 0, 0, node], 1));
        let is_gone = |one: SocketAddr| one != node(1);
        table.forget(is_gone, |one| one == node(3));
        assert_eq!(table.iter().count(), 3);
        table.forget(is_gone, |one| one == node(3));
        let left: Vec<_> = table.iter().map(|entry| entry.version.node).collect();
        assert_eq!(left, [node(1), node(3)]);
    }

    #[test]
    fn an_empty_table_asks_for_everything() {
        let digests = Table::default().digests(|_| true);
        let (newer, wanted) = table([(1, 1), (2, 1)]).compare(&digests[0], |_| true);
        assert_eq!((newer.len(), wanted.len()), (2, 0));
    }

    #[test]
    fn a_range_that_is_turned_round_has_nobody() {
        let node = |node| Some(SocketAddr::from(([10, 0, 0, node], 1)));
        let turned = Digest { after: node(9), until: node(1), versions: Vec::new() };
        let (newer, _) = table([(1, 1), (5, 1), (9, 1)]).compare(&turned, |_| true);
        assert_eq!(newer, []);
    }
}
