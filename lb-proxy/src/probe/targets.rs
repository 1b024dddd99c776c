//! Who is to be asked what, from the clusters as they are now.
//!
//! A target is an address and a check. Several backends may share one: the same
//! machine in two clusters, say, or under an old and a new name.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lb_core::{
    Cluster, ClusterHandle, Tick,
    backend::IncarnationId,
    cluster::{Slot, Standing},
};

use super::{
    names::{Names, Place},
    schedule::{Schedule, TargetId, phase_of},
    settings::HealthCheck,
};

/// A cluster whose backends are checked, as the prober sees it.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) cluster: Cluster,
    pub(super) check: Arc<HealthCheck>,
    /// Its view of the cluster. It counts as a worker that takes up snapshots.
    pub(super) handle: ClusterHandle,
}

/// A backend that a target stands for.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) cluster: Cluster,
    pub(super) incarnation: IncarnationId,
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) id: TargetId,
    pub(super) check: Arc<HealthCheck>,
    pub(super) place: Place,
    pub(super) members: Vec<Member>,
    phase: u64,
    checked: u64,
    /// When the last check began.
    started: Tick,
    /// Everybody it stands for is down.
    is_down: bool,
    /// The same when the next check was planned.
    was_down: bool,
}

/// All targets, by address.
#[derive(Debug, Default)]
pub(super) struct Targets {
    by_address: BTreeMap<Arc<str>, Vec<Target>>,
    addresses: BTreeMap<TargetId, Arc<str>>,
    named: u64,
    names: Names,
}

impl Targets {
    /// Makes the targets those of `subjects`. Those that stay keep their place in
    /// `schedule`, unless they are down now or not any more, which may have an interval
    /// of its own; it is told about new ones.
    pub(super) fn update(&mut self, subjects: &[Subject], schedule: &mut Schedule, now: Tick) {
        let mut before = std::mem::take(&mut self.by_address);
        self.addresses.clear();
        for (subject, slot) in subjects.iter().flat_map(backends) {
            let view = subject.handle.snapshot().view();
            let address = address_of(view.backend(slot).address(), subject.check.port);
            let member =
                Member { cluster: subject.cluster.clone(), incarnation: view.incarnation(slot) };
            let is_down = view.standing(slot) == Standing::Down;
            let same = |target: &Target| *target.check == *subject.check;
            let here = self.by_address.entry(Arc::clone(&address)).or_default();
            if let Some(target) = here.iter_mut().find(|target| same(target)) {
                target.members.push(member);
                target.is_down &= is_down;
                continue;
            }
            let kept = before.get_mut(&address).and_then(|targets| {
                let position = targets.iter().position(same)?;
                Some(targets.swap_remove(position))
            });
            let mut target = kept.unwrap_or_else(|| {
                self.named += 1;
                let (id, phase) = (TargetId(self.named), phase_of(&address));
                schedule.first(id, phase, subject.check.interval, now);
                let check = Arc::clone(&subject.check);
                Target {
                    id,
                    check,
                    place: self.names.place(&address),
                    members: Vec::new(),
                    phase,
                    checked: 0,
                    started: now,
                    is_down,
                    was_down: is_down,
                }
            });
            target.members.clear();
            target.members.push(member);
            target.is_down = is_down;
            self.addresses.insert(target.id, address);
            here.push(target);
        }
        for target in self.by_address.values_mut().flatten() {
            let has_changed = target.is_down != target.was_down;
            // Under way, its next check is planned when this one has ended.
            if has_changed && target.checked > 0 && schedule.has(target.id) {
                target.plan(schedule);
            }
        }
    }

    /// How many checks a second all targets want.
    pub(super) fn wanted_rate(&self) -> f64 {
        let targets = self.by_address.values().flatten();
        targets.map(|target| 1.0 / target.interval().as_secs_f64()).sum()
    }

    /// A target and where it is, unless it is no target any more.
    pub(super) fn get(&self, id: TargetId) -> Option<(&Arc<str>, &Target)> {
        let address = self.addresses.get(&id)?;
        let target = self.by_address.get(address)?.iter().find(|target| target.id == id)?;
        Some((address, target))
    }

    /// The target that stands for a backend.
    pub(super) fn of_member(&self, cluster: &str, incarnation: IncarnationId) -> Option<TargetId> {
        let is_it =
            |member: &Member| member.incarnation == incarnation && member.cluster.name() == cluster;
        let mut targets = self.by_address.values().flatten();
        targets.find(|target| target.members.iter().any(is_it)).map(|target| target.id)
    }

    /// Everybody whom the targets stand for.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, IncarnationId)> {
        let members = self.by_address.values().flatten().flat_map(|target| &target.members);
        members.map(|member| (member.cluster.name(), member.incarnation))
    }

    /// Says that a check of a target has ended, which plans the next. From start to
    /// start: a backend that hangs is not asked less often.
    pub(super) fn checked(&mut self, id: TargetId, schedule: &mut Schedule, started: Tick) {
        let Some(address) = self.addresses.get(&id) else { return };
        let targets = self.by_address.get_mut(address).into_iter().flatten();
        for target in targets.filter(|target| target.id == id) {
            target.checked += 1;
            target.started = started;
            target.plan(schedule);
        }
    }
}

impl Target {
    fn plan(&mut self, schedule: &mut Schedule) {
        self.was_down = self.is_down;
        schedule.again(self.id, self.phase, self.interval(), self.checked, self.started);
    }

    fn interval(&self) -> Duration {
        self.check.interval_down.filter(|_| self.is_down).unwrap_or(self.check.interval)
    }
}

fn backends(subject: &Subject) -> impl Iterator<Item = (&Subject, Slot)> {
    subject.handle.snapshot().view().slots().map(move |slot| (subject, slot))
}

/// The address to check: that of the backend, on another port if there is one for
/// checks.
fn address_of(backend: &str, port: Option<u16>) -> Arc<str> {
    let host = backend.rsplit_once(':').map(|(host, _)| host);
    match (host, port) {
        (Some(host), Some(port)) => format!("{host}:{port}").into(),
        _ => backend.into(),
    }
}

#[cfg(test)]
mod tests {
    use lb_core::{Backend, Cause, Change, Health, Membership, cluster::CauseKind};

    use super::*;

    fn subject(name: &str, addresses: &[&str], check: &HealthCheck) -> Subject {
        let backends = addresses.iter().map(|address| Backend::new(*address));
        let cluster = Cluster::builder(name).membership(Membership::new(backends).unwrap()).build();
        let handle = cluster.handle();
        Subject { cluster, check: Arc::new(check.clone()), handle }
    }

    fn due(schedule: &mut Schedule) -> Vec<TargetId> {
        let mut taken = Vec::new();
        while let Some(at) = schedule.next() {
            taken.extend(schedule.take(at));
        }
        taken
    }

    #[test]
    fn an_address_that_two_clusters_check_alike_is_one_target() {
        let check = HealthCheck::default();
        let subjects =
            [subject("a", &["h:1", "h:2"], &check), subject("b", &["h:2", "h:3"], &check)];
        let (mut targets, mut schedule) = (Targets::default(), Schedule::default());
        targets.update(&subjects, &mut schedule, Tick::ZERO);
        let due = due(&mut schedule);
        assert_eq!(due.len(), 3);
        let shared = due.iter().filter_map(|id| targets.get(*id)).find(|(at, _)| &***at == "h:2");
        assert_eq!(shared.unwrap().1.members.len(), 2);
    }

    #[test]
    fn an_address_that_two_clusters_check_differently_is_two_targets() {
        let other = HealthCheck { timeout: Duration::from_millis(1), ..HealthCheck::default() };
        let subjects =
            [subject("a", &["h:1"], &HealthCheck::default()), subject("b", &["h:1"], &other)];
        let (mut targets, mut schedule) = (Targets::default(), Schedule::default());
        targets.update(&subjects, &mut schedule, Tick::ZERO);
        assert_eq!(due(&mut schedule).len(), 2);
    }

    #[test]
    fn who_stays_is_not_scheduled_twice_and_who_leaves_is_forgotten() {
        let mut subjects = [subject("a", &["h:1", "h:2"], &HealthCheck::default())];
        let (mut targets, mut schedule) = (Targets::default(), Schedule::default());
        targets.update(&subjects, &mut schedule, Tick::ZERO);
        let before = due(&mut schedule);
        let backends = ["h:2", "h:3"].map(Backend::new);
        let change = Change::Membership(Membership::new(backends).unwrap());
        subjects[0].cluster.apply(change, Cause::new(CauseKind::File, "test")).unwrap();
        subjects[0].cluster.drive(&|| Tick::from_millis(1_000));
        assert!(subjects[0].handle.refresh());
        targets.update(&subjects, &mut schedule, Tick::ZERO);
        let after = due(&mut schedule);
        assert_eq!(after.len(), 1, "only the newcomer is new");
        assert_eq!(&**targets.get(after[0]).unwrap().0, "h:3");
        let kept = before.iter().filter(|id| targets.get(**id).is_some());
        assert_eq!(kept.count(), 1);
    }

    #[test]
    fn who_falls_or_returns_is_checked_at_its_new_interval_from_the_last_check_on() {
        const SECOND: Duration = Duration::from_secs(1);
        let check = HealthCheck {
            interval: 60 * SECOND,
            interval_down: Some(SECOND),
            ..HealthCheck::default()
        };
        let mut subjects = [subject("a", &["h:1"], &check)];
        let (mut targets, mut schedule) = (Targets::default(), Schedule::default());
        targets.update(&subjects, &mut schedule, Tick::ZERO);
        let [id] = due(&mut schedule)[..] else { panic!("one target") };
        targets.checked(id, &mut schedule, Tick::ZERO);
        let at = Tick::from_millis;
        let mut say = |health, targets: &mut Targets, schedule: &mut Schedule, now| {
            let incarnation = subjects[0].handle.snapshot().view().incarnation(Slot::new(0));
            let change = Change::Health { incarnation, health };
            subjects[0].cluster.apply(change, Cause::new(CauseKind::File, "test")).unwrap();
            subjects[0].cluster.drive(&|| now);
            assert!(subjects[0].handle.refresh());
            targets.update(&subjects, schedule, now);
        };
        say(Health::Down, &mut targets, &mut schedule, at(1_000));
        assert!(schedule.next().unwrap() <= at(1_000));
        say(Health::Up, &mut targets, &mut schedule, at(2_000));
        assert!(schedule.next().unwrap() > at(20_000));
        // One that is checked just now is planned when that has ended.
        assert_eq!(due(&mut schedule), [id]);
        say(Health::Down, &mut targets, &mut schedule, at(100_000));
        assert_eq!(schedule.next(), None);
        targets.checked(id, &mut schedule, at(100_000));
        assert!(schedule.next().unwrap() <= at(101_000));
    }

    #[test]
    fn the_wanted_rate_is_that_of_all_targets() {
        let check = HealthCheck { interval: Duration::from_millis(500), ..HealthCheck::default() };
        let subjects = [subject("a", &["h:1", "h:2"], &check), subject("b", &["h:2"], &check)];
        let (mut targets, mut schedule) = (Targets::default(), Schedule::default());
        targets.update(&subjects, &mut schedule, Tick::ZERO);
        assert!((targets.wanted_rate() - 4.0).abs() < 1e-9, "{}", targets.wanted_rate());
    }

    #[test]
    fn a_port_of_its_own_replaces_the_one_for_requests() {
        assert_eq!(&*address_of("10.0.0.1:80", Some(8081)), "10.0.0.1:8081");
        assert_eq!(&*address_of("[::1]:80", Some(8081)), "[::1]:8081");
        assert_eq!(&*address_of("web:80", None), "web:80");
    }
}
