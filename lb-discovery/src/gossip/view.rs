//! What one cluster makes of what nodes offer: its backends, and what a person should
//! know. Pure: the time is an argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use lb_core::{Backend, Membership, Tick};

use super::{body::Entry, table::Table, watch::Watch};
use crate::{
    announce::{Grant, Record, Refusal, State, sender::describe},
    distinct::Distinct,
    source::{Report, Warning},
};

/// Who may offer what to one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The cluster.
    pub cluster: Box<str>,
    /// What its members may offer.
    pub grant: Grant,
}

/// What is said of one cluster, and when.
#[derive(Debug)]
pub(super) struct View {
    pub(super) policy: Policy,
    /// When something was first and last changed that was not said yet.
    changed: Option<(Tick, Tick)>,
    said: Option<Said>,
    /// Backends that were there before anybody was listened to, for a while.
    presumed: Membership,
    /// Until when an empty set is not taken for the truth.
    listens_until: Tick,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Report(Report),
    /// Nobody is heard any more, of so many.
    Deaf(usize),
}

/// What a cluster looks at.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) table: &'a Table,
    pub(super) watch: &'a Watch,
    /// Whether all is known that can be by now.
    pub(super) is_informed: bool,
    pub(super) warnings: &'a [Warning],
    pub(super) now: Tick,
}

impl View {
    pub(super) fn new(policy: Policy, now: Tick) -> Self {
        Self {
            policy,
            changed: Some((now, now)),
            said: None,
            presumed: Membership::default(),
            listens_until: now + LISTEN,
        }
    }

    /// Takes these backends to be there until they had the time to say so.
    pub(super) fn presume(&mut self, set: &Membership, now: Tick) {
        self.presumed = set.clone();
        self.listens_until = now + PRESUME;
    }

    /// Something may have to be said.
    pub(super) fn change(&mut self, now: Tick) {
        self.changed = Some((self.changed.map_or(now, |(first, _)| first), now));
    }

    /// Says everything once more: an error was said instead.
    pub(super) fn repeat(&mut self, now: Tick) {
        self.said = None;
        self.change(now);
    }

    /// Where the backends of those are that matter, by their node.
    pub(super) fn places(&self, table: &Table) -> BTreeMap<SocketAddr, SocketAddr> {
        let offers = table.iter().filter_map(|entry| self.offer(entry)?.ok());
        offers.filter(|offer| !offer.is_last).map(|offer| (offer.node, offer.address)).collect()
    }

    /// Why what this entry offers to the cluster is not taken.
    pub(super) fn refusal(&self, entry: &Entry) -> Option<Refusal> {
        self.offer(entry)?.err()
    }

    /// What is to be said now, if anything. Says nothing twice.
    pub(super) fn answer(&mut self, sight: Sight<'_>) -> Option<Said> {
        if sight.now >= self.listens_until && !self.presumed.is_empty() {
            self.presumed = Membership::default();
            self.change(sight.now);
        }
        if self.due_at(sight.is_informed)? > sight.now {
            return None;
        }
        self.changed = None;
        let said = match sight.watch.deaf(sight.now) {
            Some(count) => Said::Deaf(count),
            None => Said::Report(self.report(sight)),
        };
        if self.said.as_ref() == Some(&said) {
            return None;
        }
        self.said = Some(said.clone());
        Some(said)
    }

    /// When to ask for an answer again, if nothing changes.
    pub(super) fn wakes_at(&self, is_informed: bool) -> Option<Tick> {
        let presumed = (!self.presumed.is_empty()).then_some(self.listens_until);
        self.due_at(is_informed).into_iter().chain(presumed).min()
    }

    /// Those who come together are one set; the first one waits for all there are.
    fn due_at(&self, is_informed: bool) -> Option<Tick> {
        let (first, last) = self.changed?;
        let is_first = self.said.is_none() && self.presumed.is_empty();
        Some(match is_first {
            false => (last + QUIET).min(first + AT_MOST),
            true if is_informed => (last + AT_MOST).min(self.listens_until),
            true => self.listens_until,
        })
    }

    fn report(&self, sight: Sight<'_>) -> Report {
        let (mut distinct, mut warnings) = (Distinct::default(), Vec::new());
        let mut known = BTreeSet::new();
        for entry in sight.table.iter() {
            let node = entry.version.node;
            match self.offer(entry) {
                Some(Ok(offer)) => {
                    let name = Arc::clone(offer.backend.shared_name());
                    known.insert(Arc::clone(&name));
                    if offer.is_last || sight.watch.is_lost(node) {
                        continue;
                    }
                    if distinct.len() >= self.policy.grant.max_backends {
                        warnings.push(Warning::about(name, Refusal::Full.explain()));
                    } else if let Err(taken) = distinct.add(offer.backend) {
                        warnings.push(Warning::about(name, taken.explain(&distinct)));
                    }
                }
                Some(Err(refusal)) => {
                    warnings.push(Warning::about(node.to_string(), refusal.explain()));
                }
                None => {}
            }
        }
        // Whoever has spoken is known better, also one that has gone since.
        for backend in self.presumed.iter().filter(|one| !known.contains(one.shared_name())) {
            let _ = distinct.add((**backend).clone());
        }
        warnings.extend(sight.warnings.iter().cloned());
        let set = distinct.into_membership_by_name();
        Report { set, warnings: Warning::at_most(warnings) }
    }

    /// What an entry offers to this cluster; `None`: nothing.
    fn offer(&self, entry: &Entry) -> Option<Result<Offer, Refusal>> {
        let Ok(record) = Record::parse(entry.record.as_ref()?.as_bytes()) else {
            return Some(Err(Refusal::Malformed));
        };
        if record.cluster != self.policy.cluster {
            return None;
        }
        let node = entry.version.node;
        let place = self.policy.grant.place(&record, node.ip().to_canonical());
        Some(place.map(|address| {
            let backend = describe(&record, address);
            Offer { node, address, backend, is_last: record.state == State::Down }
        }))
    }
}

/// A backend, and whose.
struct Offer {
    node: SocketAddr,
    address: SocketAddr,
    backend: Backend,
    /// It says goodbye.
    is_last: bool,
}

/// Those who come within this time of each other are one set,
const QUIET: Duration = Duration::from_millis(10);
/// which is not put off for longer.
const AT_MOST: Duration = Duration::from_millis(50);
/// By then, somebody has answered who is asked once a second.
const LISTEN: Duration = Duration::from_millis(1_500);
/// By then, all who are there were heard.
const PRESUME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gossip::body::Version;

    #[test]
    fn one_that_was_there_before_is_presumed_until_it_has_spoken_even_to_say_goodbye() {
        let at = Tick::from_millis;
        let policy = Policy { cluster: "c".into(), grant: Grant::default() };
        let mut view = View::new(policy, at(0));
        let presumed = ["10.0.0.1:80", "10.0.0.2:80"].map(Backend::new);
        view.presume(&Membership::new(presumed).unwrap(), at(0));
        let (mut table, watch) = (Table::default(), Watch::new(Duration::from_secs(1), at(0)));
        let mut names = |table: &Table, now: u64| {
            view.change(at(now - 20));
            let sight = |now| {
                let now = at(now);
                Sight { table, watch: &watch, is_informed: true, warnings: &[], now }
            };
            // The end of presumption is a change as well.
            let said = view.answer(sight(now)).or_else(|| view.answer(sight(now + 20)));
            match said {
                Some(Said::Report(report)) => {
                    report.set.iter().map(|one| one.name().to_owned()).collect::<Vec<_>>()
                }
                said => panic!("{said:?}"),
            }
        };
        assert_eq!(names(&table, 100), ["10.0.0.1:80", "10.0.0.2:80"]);
        let version = Version { node: ([10, 0, 0, 1], 7946).into(), boot: 1, number: 1 };
        let record = Some("cluster=c port=80 state=down".into());
        assert!(table.learn(Entry { version, record }));
        assert_eq!(names(&table, 200), ["10.0.0.2:80"]);
        assert_eq!(names(&table, 10_000), [""; 0], "the other one had the time to speak");
    }
}
