//! The set of backends as a source reports it: complete, ordered, without
//! duplicates.
//!
//! A source always reports the whole set, never a difference. Lost or reordered
//! differences need repair protocols; a lost set is repaired by the next one.
//! [`Diff`] recovers what changed between two sets, for the journal and for
//! people.
//!
//! The order is the order of the file or the source's list, because `first`,
//! smooth round-robin and the hashes of nginx and HAProxy depend on it.

use std::{collections::BTreeMap, sync::Arc};

use crate::backend::Backend;

/// Two backends of one set have the same name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two backends are called `{name}`")]
pub struct DuplicateName {
    /// The name that occurs twice.
    pub name: Arc<str>,
}

/// All backends of a cluster, in order. Cloning is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    backends: Arc<[Arc<Backend>]>,
}

impl Membership {
    /// The set of these backends, in this order. An empty set is legal: it says
    /// that nobody is there.
    ///
    /// # Errors
    ///
    /// [`DuplicateName`] when two of them share a name.
    pub fn new(backends: impl IntoIterator<Item = Backend>) -> Result<Self, DuplicateName> {
        let backends: Vec<_> = backends.into_iter().map(Arc::new).collect();
        let mut seen = BTreeMap::new();
        for backend in &backends {
            if seen.insert(backend.name(), ()).is_some() {
                return Err(DuplicateName { name: Arc::clone(backend.shared_name()) });
            }
        }
        Ok(Self { backends: backends.into() })
    }

    /// The backends in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Backend>> {
        self.backends.iter()
    }

    /// How many backends there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.backends.len()
    }

    /// Whether nobody is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }
}

/// What one set has that another has not, by name, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// In the new set only.
    pub joined: Vec<Arc<str>>,
    /// In the old set only.
    pub left: Vec<Arc<str>>,
    /// In both, with the same address and source instance, described differently.
    pub changed: Vec<Arc<str>>,
    /// In both, but with another address or source instance: a new incarnation.
    pub replaced: Vec<Arc<str>>,
    /// The backends that stayed are in another order.
    pub reordered: bool,
}

impl Diff {
    /// What turns `old` into `new`.
    #[must_use]
    pub fn between(old: &Membership, new: &Membership) -> Self {
        let before: BTreeMap<_, _> = old.iter().map(|backend| (backend.name(), backend)).collect();
        let after: BTreeMap<_, _> = new.iter().map(|backend| (backend.name(), backend)).collect();
        let mut diff = Self::default();
        for backend in new.iter() {
            let name = Arc::clone(backend.shared_name());
            match before.get(backend.name()) {
                None => diff.joined.push(name),
                Some(old) if !backend.is_same_incarnation_as(old) => diff.replaced.push(name),
                Some(old) if *old != backend => diff.changed.push(name),
                Some(_) => {}
            }
        }
        diff.left = old
            .iter()
            .filter(|backend| !after.contains_key(backend.name()))
            .map(|backend| Arc::clone(backend.shared_name()))
            .collect();
        let stayed_old = old.iter().map(|b| b.name()).filter(|name| after.contains_key(name));
        let stayed_new = new.iter().map(|b| b.name()).filter(|name| before.contains_key(name));
        diff.reordered = !stayed_old.eq(stayed_new);
        diff
    }

    /// Whether the two sets were equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Weight;

    fn set(names: &[&str]) -> Membership {
        Membership::new(names.iter().map(Backend::new)).unwrap()
    }

    fn names(list: &[Arc<str>]) -> Vec<&str> {
        list.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn a_name_may_occur_once() {
        let error = Membership::new(["a", "b", "a"].map(Backend::new)).unwrap_err();
        assert_eq!(error.to_string(), "two backends are called `a`");
    }

    #[test]
    fn a_diff_names_who_joined_left_changed_and_was_replaced() {
        let old = Membership::new([
            Backend::new("a"),
            Backend::new("b"),
            Backend::new("1:1").named("c"),
            Backend::new("d"),
        ])
        .unwrap();
        let new = Membership::new([
            Backend::new("b").weighted(Weight::new(3).unwrap()),
            Backend::new("1:2").named("c"),
            Backend::new("d"),
            Backend::new("e"),
        ])
        .unwrap();
        let diff = Diff::between(&old, &new);
        assert_eq!(names(&diff.joined), ["e"]);
        assert_eq!(names(&diff.left), ["a"]);
        assert_eq!(names(&diff.changed), ["b"]);
        assert_eq!(names(&diff.replaced), ["c"]);
        assert!(!diff.reordered);
    }

    #[test]
    fn order_alone_is_a_difference() {
        let diff = Diff::between(&set(&["a", "b"]), &set(&["b", "a"]));
        assert!(diff.reordered && diff.joined.is_empty() && diff.left.is_empty());
        assert!(Diff::between(&set(&["a", "b"]), &set(&["a", "b"])).is_empty());
    }
}
