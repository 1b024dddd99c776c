//! What a strategy remembers from one build to the next, for each group.

use crate::cluster::GroupId;

/// Something for each group that a strategy has built a picker for: a cursor, or a table
/// that may still be right.
///
/// A group that has vanished may return (a tier is needed again), so nothing is dropped
/// with the snapshot that no longer has it, but only when sixteen others were asked for
/// since. O(16).
#[derive(Debug)]
pub struct PerGroup<T> {
    /// The one asked for last comes last.
    kept: Vec<(GroupId, T)>,
}

impl<T: Default> PerGroup<T> {
    const KEPT: usize = 16;

    /// What is kept for `group`; the default before anything was put there.
    pub fn of(&mut self, group: GroupId) -> &mut T {
        let found = self.kept.iter().position(|(other, _)| *other == group);
        let kept = match found {
            Some(position) => self.kept.remove(position),
            None => (group, T::default()),
        };
        if self.kept.len() == Self::KEPT {
            self.kept.remove(0);
        }
        self.kept.push(kept);
        let last = self.kept.len() - 1;
        &mut self.kept[last].1
    }
}

impl<T> Default for PerGroup<T> {
    fn default() -> Self {
        Self { kept: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Place;

    #[test]
    fn what_was_asked_for_lately_is_kept() {
        let group = |tier| GroupId::new(tier, Place::Any);
        let mut kept = PerGroup::<u32>::default();
        for tier in 0..16 {
            *kept.of(group(tier)) = 100 + u32::from(tier);
        }
        assert_eq!(*kept.of(group(0)), 100);
        assert_eq!(*kept.of(group(16)), 0, "in the place of tier 1");
        assert_eq!(*kept.of(group(1)), 0);
        assert_eq!(*kept.of(group(0)), 100);
    }
}
