//! Backends of which no two share a name or an address.
//!
//! A name twice is no membership. An address twice would be one machine with two
//! shares, two health verdicts and two ceilings; a larger share is what weights
//! are for.

use std::{collections::BTreeMap, sync::Arc};

use lb_core::{Backend, Membership};

/// Collects backends in order.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    backends: Vec<Backend>,
    /// Positions in `backends`.
    by_name: BTreeMap<Arc<str>, usize>,
    by_address: BTreeMap<Box<str>, usize>,
}

/// A backend that was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// With the same name; the position of the other one.
    Name(usize),
    /// Under another name, but with the same address.
    Address(usize),
}

impl Distinct {
    /// Adds a backend at the end, unless its name or its address is taken.
    /// O(log n).
    pub(crate) fn add(&mut self, backend: Backend) -> Result<(), Taken> {
        if let Some(at) = self.by_name.get(backend.name()) {
            return Err(Taken::Name(*at));
        }
        if let Some(at) = self.by_address.get(backend.address()) {
            return Err(Taken::Address(*at));
        }
        let at = self.backends.len();
        self.by_name.insert(Arc::clone(backend.shared_name()), at);
        self.by_address.insert(backend.address().into(), at);
        self.backends.push(backend);
        Ok(())
    }

    /// How many there are.
    #[cfg(feature = "gossip")]
    pub(crate) fn len(&self) -> usize {
        self.backends.len()
    }

    /// What stands at a position.
    pub(crate) fn at(&self, position: usize) -> &Backend {
        &self.backends[position]
    }

    /// All of them, in the order of their names.
    #[cfg(any(feature = "announce", feature = "file"))]
    pub(crate) fn into_membership_by_name(mut self) -> Membership {
        self.backends.sort_by(|one, other| one.name().cmp(other.name()));
        self.into_membership()
    }

    /// All of them, in the order they were added.
    pub(crate) fn into_membership(self) -> Membership {
        Membership::new(self.backends).expect("no name was added twice")
    }
}

impl Taken {
    /// Says what the two have in common.
    pub(crate) fn explain(self, other: &Distinct) -> String {
        match self {
            Self::Name(at) => format!("`{}` is there already", other.at(at).name()),
            Self::Address(at) => {
                let first = other.at(at);
                format!("`{}` has the same address {}", first.name(), first.address())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_an_address_is_taken_once_and_the_first_stays() {
        let mut distinct = Distinct::default();
        assert_eq!(distinct.add(Backend::new("10.0.0.1:80").named("a")), Ok(()));
        assert_eq!(distinct.add(Backend::new("10.0.0.2:80")), Ok(()));
        let taken = distinct.add(Backend::new("10.0.0.3:80").named("a")).unwrap_err();
        assert_eq!(taken.explain(&distinct), "`a` is there already");
        let taken = distinct.add(Backend::new("10.0.0.1:80").named("b")).unwrap_err();
        let text = taken.explain(&distinct);
        assert_eq!(text, "`a` has the same address 10.0.0.1:80");
        assert_eq!(distinct.into_membership().len(), 2);
    }
}
