//! Several sets into one.
//!
//! The sources of a cluster stand in a list, and the earlier one wins: first what
//! the file says, then what was discovered. It wins the *whole* backend. A
//! description has no empty fields, weight 1 is said as much as weight 3, and a
//! mixture of two descriptions is one that nobody wrote. So a later source can
//! neither move a backend that an earlier one named, nor take a name from it.
//!
//! Pure: the same sets give the same set, and merging what was merged changes
//! nothing.

use std::{collections::BTreeMap, fmt, sync::Arc};

use lb_core::Membership;

use crate::{
    allow::Allow,
    distinct::{Distinct, Taken},
    source::Warning,
};

/// What one source says, and what it may say.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// What the source is called.
    pub source: &'a Arc<str>,
    /// Its set.
    pub set: &'a Membership,
    /// Its grant.
    pub allow: &'a Allow,
}

/// Something a person should know about what a source said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Which source.
    pub source: Arc<str>,
    /// What about it.
    pub warning: Warning,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.warning)
    }
}

/// One set, and what did not get into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// All backends: those of the first source in its order, then what the second
    /// adds, and so on. No two have a name or an address in common.
    pub set: Membership,
    /// What was left out, and why.
    pub notes: Vec<Note>,
}

/// Puts sets together in the order of their sources. O(n log n).
///
/// ```
/// use lb_core::{Backend, Membership};
/// use lb_discovery::{Allow, Part, merge};
///
/// let file = Membership::new([Backend::new("10.0.0.1:80").named("a")]).unwrap();
/// let env = Membership::new(["10.0.0.1:80", "10.0.0.2:80"].map(Backend::new)).unwrap();
/// let allow = Allow::everything();
/// let merged = merge([
///     Part { source: &"file".into(), set: &file, allow: &allow },
///     Part { source: &"env".into(), set: &env, allow: &allow },
/// ]);
/// let names: Vec<_> = merged.set.iter().map(|backend| backend.name()).collect();
/// assert_eq!(names, ["a", "10.0.0.2:80"]);
/// assert_eq!(merged.notes[0].to_string(), "env: 10.0.0.1:80: `a` of file has the same address");
/// ```
pub fn merge<'a>(parts: impl IntoIterator<Item = Part<'a>>) -> Merged {
    let mut merged = Distinct::default();
    let mut notes = Vec::new();
    let mut origins: BTreeMap<Arc<str>, &Arc<str>> = BTreeMap::new();
    for part in parts {
        let mut warnings = Vec::new();
        let (mut accepted, mut beyond) = (0, 0_usize);
        for backend in part.set.iter() {
            let name = backend.shared_name();
            if let Some(reason) = part.allow.refusal(backend) {
                warnings.push(Warning::about(Arc::clone(name), reason));
            } else if accepted == part.allow.max_backends {
                beyond += 1;
            } else if let Err(taken) = merged.add((**backend).clone()) {
                let (Taken::Name(at) | Taken::Address(at)) = taken;
                let first = merged.at(at);
                let origin = origins.get(first.name()).copied().unwrap_or(part.source);
                let text = match taken {
                    Taken::Name(_) if first == &**backend => format!("{origin} has it too"),
                    Taken::Name(_) => format!("{origin} has it too, and describes it otherwise"),
                    Taken::Address(_) => {
                        format!("`{}` of {origin} has the same address", first.name())
                    }
                };
                warnings.push(Warning::about(Arc::clone(name), text));
            } else {
                accepted += 1;
                origins.insert(Arc::clone(name), part.source);
            }
        }
        if beyond > 0 {
            let most = part.allow.max_backends;
            let text = format!("{beyond} more than the {most} backends it may name: left out");
            warnings.insert(0, Warning::general(text));
        }
        let warnings = Warning::at_most(warnings).into_iter();
        notes.extend(warnings.map(|warning| Note { source: Arc::clone(part.source), warning }));
    }
    Merged { set: merged.into_membership(), notes }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lb_core::{Backend, Weight};
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    fn backend(name: &str, address: &str) -> Backend {
        Backend::new(address).named(name)
    }

    fn merge_all(sets: &[(&str, Membership, Allow)]) -> Merged {
        let names: Vec<Arc<str>> = sets.iter().map(|(name, ..)| Arc::from(*name)).collect();
        let parts = sets.iter().zip(&names);
        merge(parts.map(|((_, set, allow), source)| Part { source, set, allow }))
    }

    fn notes(merged: &Merged) -> Vec<String> {
        merged.notes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_earlier_source_wins_the_whole_backend() {
        let heavy = backend("a", "10.0.0.1:80").weighted(Weight::new(3).unwrap());
        let file = Membership::new([heavy.clone()]).unwrap();
        let other = [
            backend("a", "10.0.0.9:80").in_tier(1),
            backend("b", "10.0.0.2:80"),
            backend("c", "10.0.0.1:80"),
        ];
        let other = Membership::new(other).unwrap();
        let all = Allow::everything();
        let merged =
            merge_all(&[("file", file.clone(), all.clone()), ("serf", other, all.clone())]);
        let set = Membership::new([heavy, backend("b", "10.0.0.2:80")]).unwrap();
        assert_eq!(merged.set, set);
        assert_eq!(
            notes(&merged),
            [
                "serf: a: file has it too, and describes it otherwise",
                "serf: c: `a` of file has the same address"
            ]
        );
        let twice = merge_all(&[("file", file.clone(), all.clone()), ("env", file, all)]);
        assert_eq!(notes(&twice), ["env: a: file has it too"]);
    }

    #[test]
    fn what_a_source_may_not_say_is_left_out_and_the_rest_is_used() {
        let set = ["127.0.0.1:80", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].map(Backend::new);
        let allow = Allow { max_backends: 2, ..Allow::default() };
        let merged = merge_all(&[("dns", Membership::new(set).unwrap(), allow)]);
        assert_eq!(merged.set.len(), 2);
        assert_eq!(
            notes(&merged),
            [
                "dns: 1 more than the 2 backends it may name: left out",
                "dns: 127.0.0.1:80: 127.0.0.1 is loopback, which this source may not use"
            ]
        );
    }

    fn some_set() -> impl Strategy<Value = Membership> {
        let one = (0..8_u8, 0..8_u8, 1..4_u32);
        proptest::collection::btree_map(0..8_u8, one, 0..8).prop_map(|backends| {
            Membership::new(backends.into_iter().map(|(name, (net, host, weight))| {
                backend(&format!("b{name}"), &format!("10.0.{net}.{host}:80"))
                    .weighted(Weight::new(weight).unwrap())
            }))
            .unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1b),
            ..ProptestConfig::default()
        })]

        #[test]
        fn merging_is_deterministic_idempotent_and_leaves_no_duplicates(
            sets in proptest::collection::vec(some_set(), 0..5), most in 0..10_usize
        ) {
            let allow = Allow { max_backends: most, ..Allow::default() };
            let sets: Vec<_> = sets.into_iter().map(|set| ("s", set, allow.clone())).collect();
            let merged = merge_all(&sets);
            prop_assert_eq!(&merge_all(&sets), &merged);
            let names: BTreeSet<_> = merged.set.iter().map(|b| b.name()).collect();
            let addresses: BTreeSet<_> = merged.set.iter().map(|b| b.address()).collect();
            prop_assert_eq!(names.len(), merged.set.len());
            prop_assert_eq!(addresses.len(), merged.set.len());
            let again = merge_all(&[("all", merged.set.clone(), Allow::everything())]);
            prop_assert_eq!(&again.set, &merged.set);
            prop_assert_eq!(again.notes, []);
            let said: usize = sets.iter().map(|(_, set, _)| set.len()).sum();
            if most == 0 {
                prop_assert!(merged.set.is_empty());
            } else if most > 8 {
                prop_assert_eq!(merged.set.len() + merged.notes.len(), said);
            }
        }
    }
}
