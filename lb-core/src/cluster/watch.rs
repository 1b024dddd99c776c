//! What is observed of the incarnations of a cluster: one machine each, what follows
//! from its verdicts at once, and whom to tell.
//!
//! # When many fall at once
//!
//! Where checks would take down more than 30 % of the enabled backends of a tier
//! within one round of checks, and at least two, the fault is more likely between us
//! and them than in all of them. Then each backend beyond that must fail one check
//! more than `fall` says. That costs a round where they really are broken, and keeps
//! most of a cluster where a switch of ours blinked. What counts is who *fell* within
//! the round: the first thirty percent are not held back, because nobody can know
//! that more will follow.

use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

use super::{eligibility::Standing, policy::Policy, snapshot::Snapshot};
use crate::{
    backend::{Backend, Health, IncarnationId, load::Load, tallies::Tallies},
    health::{Condition, Input, Machine, Rules, Sample, Transition},
    sync,
    time::Tick,
};

/// All machines of a cluster.
#[derive(Debug, Default)]
pub(super) struct Watch {
    lives: BTreeMap<IncarnationId, Watched>,
    /// What was said from outside since the last time anybody knew how late it is.
    said: Vec<(IncarnationId, Health)>,
    /// Who was enabled again since then.
    enabled: Vec<Arc<str>>,
    /// What nobody was told yet.
    untold: Vec<Transition>,
    /// When outliers are looked for next; `None`: once a time is known.
    next_interval: Option<Tick>,
}

/// What a build needs to know of one incarnation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) health: Health,
    /// Since when it is to be given more and more, if ever.
    pub(super) ramps_since: Option<Tick>,
}

#[derive(Debug)]
struct Watched {
    backend: Arc<Backend>,
    load: sync::Arc<Load>,
    tallies: Option<sync::Arc<Tallies>>,
    machine: Machine,
    /// The right to try it that the gate gives out.
    period: u32,
    /// When it came or returned, if that was while others were there.
    ramps_since: Option<Tick>,
}

impl Watch {
    /// However short an interval is said to be.
    const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

    /// Feeds one machine. What comes of it is kept to be told, and returned.
    pub(super) fn feed(
        &mut self,
        incarnation: IncarnationId,
        input: Input,
        now: Tick,
    ) -> Option<&Transition> {
        let watched = self.lives.get_mut(&incarnation)?;
        let transition = watched.machine.on(input, now);
        watched.follow(transition.as_ref());
        self.untold.push(transition?);
        self.untold.last()
    }

    /// Notes a verdict from outside, and says whether it is another one than before.
    pub(super) fn say(&mut self, incarnation: IncarnationId, health: Health) -> bool {
        let said = self.said.iter().rev().find(|(about, _)| *about == incarnation);
        let before = said.map_or_else(|| self.health(incarnation), |(_, health)| *health);
        self.said.push((incarnation, health));
        before != health
    }

    /// Notes that a backend which was drained or disabled is not any more.
    pub(super) fn enable(&mut self, backend: Arc<str>) {
        self.enabled.push(backend);
    }

    /// Has what was said from outside take effect. Verdicts have causes of their own.
    pub(super) fn take_in_said(&mut self, now: Tick) {
        let enabled = mem::take(&mut self.enabled);
        for watched in self.lives.values_mut().filter(|_| !enabled.is_empty()) {
            if enabled.iter().any(|name| **name == *watched.backend.name()) {
                watched.ramps_since = Some(now);
            }
        }
        for (incarnation, health) in mem::take(&mut self.said) {
            self.feed(incarnation, Input::Verdict(health), now);
        }
    }

    /// The incarnations for which time alone has changed something.
    pub(super) fn due(&self, now: Tick) -> Vec<IncarnationId> {
        let due = |watched: &Watched| watched.machine.next_deadline().is_some_and(|at| at <= now);
        self.lives.iter().filter(|(_, watched)| due(watched)).map(|(id, _)| *id).collect()
    }

    /// When time alone will change something.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        let machines = self.lives.values().filter_map(|watched| watched.machine.next_deadline());
        machines.chain(self.next_interval).min()
    }

    /// Whether an interval is over and the next begins. The first begins as soon as
    /// somebody knows how late it is.
    pub(super) fn begins_interval(&mut self, length: Duration, now: Tick) -> bool {
        let due = self.next_interval.map(|due| now >= due);
        if due != Some(false) {
            self.next_interval = Some(now + length.max(Self::SHORTEST_INTERVAL));
        }
        due == Some(true)
    }

    /// What those who are in use and enabled did in the interval that is over; what the
    /// others did is forgotten.
    pub(super) fn samples(
        &self,
        is_enabled: impl Fn(&Backend) -> bool,
    ) -> Vec<(IncarnationId, Sample)> {
        let samples = self.lives.iter().filter_map(|(incarnation, watched)| {
            let sample = watched.tallies.as_ref()?.take();
            let is_used = watched.machine.health().is_usable() && is_enabled(&watched.backend);
            is_used.then_some((*incarnation, sample))
        });
        samples.collect()
    }

    pub(super) fn end_interval(&mut self, length: Duration, now: Tick) {
        for watched in self.lives.values_mut() {
            // No verdict changes by that.
            watched.machine.on(Input::IntervalOver(length), now);
        }
    }

    /// Begins new rows of failures, as what they led to is not to be.
    pub(super) fn set_aside(&self, incarnation: IncarnationId) {
        if let Some(watched) = self.lives.get(&incarnation) {
            watched.forget_rows();
        }
    }

    /// All who are watched, and what is thought of them.
    pub(super) fn members(&self) -> impl Iterator<Item = (&Backend, Health)> {
        self.lives.values().map(|watched| (&*watched.backend, watched.machine.health()))
    }

    pub(super) fn member(&self, incarnation: IncarnationId) -> Option<(&Backend, Health)> {
        let watched = self.lives.get(&incarnation)?;
        Some((&watched.backend, watched.machine.health()))
    }

    /// Whether a failed check of this incarnation needs another to confirm it; see
    /// the module's documentation. O(1), but for those about to fall.
    pub(super) fn must_confirm(
        &self,
        incarnation: IncarnationId,
        policy: &Policy,
        is_enabled: impl Fn(&Backend) -> bool,
        now: Tick,
    ) -> bool {
        const MOST: usize = 30;
        let falling = self.lives.get(&incarnation).filter(|it| it.machine.is_about_to_fall());
        let Some(falling) = falling else { return false };
        let (mut total, mut fallen) = (0, 1);
        for other in self.lives.values() {
            if other.backend.tier() != falling.backend.tier() || !is_enabled(&other.backend) {
                continue;
            }
            total += 1;
            let lately = |at: Tick| now.since(at) < policy.checks.round;
            fallen += usize::from(other.machine.fell_at().is_some_and(lately));
        }
        fallen >= 2 && fallen * 100 > total * MOST
    }

    /// Has all machines go by `policy`, which replaces `before`.
    pub(super) fn adopt(&mut self, policy: &Policy, before: &Policy) {
        if policy.outlier != before.outlier {
            self.next_interval = None;
        }
        for watched in self.lives.values_mut() {
            watched.machine.set_rules(rules(policy, &watched.backend));
            watched.set_alarms();
        }
    }

    /// Begins to watch those who are new in `snapshot`, ends it for those who are
    /// gone, and shuts or opens the gates as the standings demand.
    pub(super) fn take_up(&mut self, snapshot: &Snapshot, policy: &Policy, now: Tick) {
        let mut before = mem::take(&mut self.lives);
        let joins_others = snapshot.publication() > 1;
        for (member, hot) in snapshot.roster.members.iter().zip(&snapshot.roster.hot) {
            let rules = rules(policy, &member.backend);
            let mut watched = before.remove(&member.incarnation).unwrap_or_else(|| Watched {
                backend: Arc::clone(&member.backend),
                load: sync::Arc::clone(&hot.load),
                tallies: None,
                machine: Machine::new(
                    Arc::clone(member.backend.shared_name()),
                    member.incarnation,
                    rules,
                    now,
                ),
                period: 0,
                ramps_since: joins_others.then_some(now),
            });
            watched.backend = Arc::clone(&member.backend);
            watched.tallies.clone_from(&member.tallies);
            watched.machine.set_rules(rules);
            watched.set_alarms();
            watched.set_gate(member.standing);
            self.lives.insert(member.incarnation, watched);
        }
    }

    fn health(&self, incarnation: IncarnationId) -> Health {
        self.lives.get(&incarnation).map_or(Health::Unknown, |watched| watched.machine.health())
    }

    pub(super) fn condition(&self, incarnation: IncarnationId) -> Option<Condition> {
        Some(self.lives.get(&incarnation)?.machine.condition())
    }

    pub(super) fn watches(&self, incarnation: IncarnationId) -> bool {
        self.lives.contains_key(&incarnation)
    }

    /// The verdicts on all who are watched.
    pub(super) fn verdicts(&self) -> BTreeMap<IncarnationId, Verdict> {
        let verdict = |watched: &Watched| Verdict {
            health: watched.machine.health(),
            ramps_since: watched.ramps_since,
        };
        self.lives.iter().map(|(incarnation, watched)| (*incarnation, verdict(watched))).collect()
    }

    pub(super) fn take_untold(&mut self) -> Vec<Transition> {
        mem::take(&mut self.untold)
    }
}

impl Watched {
    /// What a verdict means for requests from now on, before any snapshot is built: at
    /// the pace of builds, dozens more could fail. It shuts no gate: in panic, this may
    /// be the only backend that is left.
    fn follow(&mut self, transition: Option<&Transition>) {
        if self.machine.period() != self.period {
            self.period = self.machine.period();
            self.load.gate().renew();
        }
        if let Some(transition) = transition {
            if transition.to.is_usable() {
                self.load.gate().open();
            }
            self.load.shun(matches!(transition.to, Health::Ejected | Health::Down));
            if transition.to.is_usable() && !transition.from.is_usable() {
                self.ramps_since = Some(transition.at);
            }
            // A new row begins.
            self.forget_rows();
        }
        self.set_alarms();
    }

    fn forget_rows(&self) {
        self.load.end_row();
        if let Some(tallies) = &self.tallies {
            tallies.forget_row();
        }
    }

    fn set_alarms(&self) {
        let alarms = self.machine.alarms();
        self.load.set_alarms(alarms);
        if let Some(tallies) = &self.tallies {
            tallies.set_alarm(alarms.errors);
        }
    }

    /// In panic everybody is let in. Otherwise a gate stays shut until the backend is
    /// up, so that what workers still pick from an older snapshot is held back too.
    fn set_gate(&self, standing: Standing) {
        // The snapshot knows, unless the verdict came while it was built.
        let is_out = matches!(self.machine.health(), Health::Ejected | Health::Down);
        self.load.shun(is_out && standing == Standing::In);
        match self.machine.health() {
            _ if standing == Standing::Panic => self.load.gate().open(),
            Health::HalfOpen => self.load.gate().shut(),
            Health::Up | Health::Unknown => self.load.gate().open(),
            Health::Ejected | Health::Down => {}
        }
    }
}

fn rules(policy: &Policy, backend: &Backend) -> Rules {
    Rules {
        passive: backend.passive().unwrap_or(policy.passive),
        checks: policy.checks,
        outlier: policy.outlier,
    }
}
