//! What checks have found, kept for people: the last few of each backend.
//!
//! A verdict needs none of it, so it is no part of one. It is written by the prober, once
//! per check and backend, and read when somebody asks, under a lock that no request takes.
//! Per backend that is [`KEPT`] results; texts that are the same as those of the check
//! before are kept once.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lb_core::{Tick, backend::IncarnationId};

/// How many results of a backend are kept.
pub(super) const KEPT: usize = 20;

/// What one check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// When it ended.
    pub at: Tick,
    /// How long it took, from the connection to the verdict.
    pub took: Duration,
    /// What was done: `GET http://10.0.0.1:80/healthz`, or `connect to 10.0.0.1:80`.
    pub request: Arc<str>,
    /// The status of the answer, if one came.
    pub status: Option<u16>,
    /// How its body begins, where it was looked at: of failed checks, and of those that
    /// somebody asked for. It is what the backend sent, without control characters.
    pub excerpt: Option<Arc<str>>,
    /// Whether it passed; if not, why, as the end of a sentence.
    pub verdict: Result<(), Arc<str>>,
    /// Whether somebody asked for it.
    pub is_asked_for: bool,
    /// Whether it is evidence; it is not where this process itself stood still.
    pub counts: bool,
}

/// The last results of all backends, by cluster and incarnation.
#[derive(Debug, Default)]
pub(super) struct Found(Mutex<HashMap<Of, VecDeque<CheckResult>>>);

type Of = (Box<str>, IncarnationId);

impl Found {
    pub(super) fn add(&self, cluster: &str, incarnation: IncarnationId, mut result: CheckResult) {
        let mut all = self.lock();
        let results = all.entry((cluster.into(), incarnation)).or_default();
        if let Some(last) = results.back() {
            share(&mut result, last);
        }
        if results.len() == KEPT {
            results.pop_front();
        }
        results.push_back(result);
    }

    /// The last ones, oldest first.
    pub(super) fn of(&self, cluster: &str, incarnation: IncarnationId) -> Vec<CheckResult> {
        let all = self.lock();
        let results = all.get(&(Box::from(cluster), incarnation));
        results.map(|results| results.iter().cloned().collect()).unwrap_or_default()
    }

    /// Forgets all but these.
    pub(super) fn keep<'c>(&self, stay: impl Iterator<Item = (&'c str, IncarnationId)>) {
        let stay: HashSet<(&str, IncarnationId)> = stay.collect();
        self.lock().retain(|(cluster, incarnation), _| stay.contains(&(&**cluster, *incarnation)));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Of, VecDeque<CheckResult>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Backends mostly answer what they answered before.
fn share(result: &mut CheckResult, last: &CheckResult) {
    if result.request == last.request {
        result.request = Arc::clone(&last.request);
    }
    if result.excerpt == last.excerpt {
        result.excerpt.clone_from(&last.excerpt);
    }
    if result.verdict == last.verdict {
        result.verdict.clone_from(&last.verdict);
    }
}

#[cfg(test)]
mod tests {
    use lb_core::{Backend, Cluster, Membership};

    use super::*;

    fn result(number: u64) -> CheckResult {
        CheckResult {
            at: Tick::from_millis(number),
            took: Duration::ZERO,
            request: "connect to a:1".into(),
            status: None,
            excerpt: None,
            verdict: Ok(()),
            is_asked_for: false,
            counts: true,
        }
    }

    #[test]
    fn the_last_twenty_are_kept_of_those_who_are_there() {
        let set = Membership::new(["a:1", "b:1"].map(Backend::new)).unwrap();
        let cluster = Cluster::builder("web").membership(set).build();
        let snapshot = cluster.snapshot();
        let view = snapshot.view();
        let [a, b] = view.slots().map(|slot| view.incarnation(slot)).collect::<Vec<_>>()[..] else {
            panic!("two backends")
        };
        let found = Found::default();
        for number in 1..=25 {
            found.add("web", a, result(number));
            found.add("web", b, result(number));
        }
        let of_a = found.of("web", a);
        let times: Vec<Tick> = of_a.iter().map(|one| one.at).collect();
        assert_eq!(times, (6..=25).map(Tick::from_millis).collect::<Vec<_>>());
        assert!(Arc::ptr_eq(&of_a[0].request, &of_a[19].request));
        found.keep([("web", a)].into_iter());
        assert_eq!((found.of("web", a).len(), found.of("web", b).len()), (20, 0));
        assert_eq!(found.of("api", a), []);
    }
}
