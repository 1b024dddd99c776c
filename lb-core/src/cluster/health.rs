//! What is seen of backends, on its way to verdicts and to those who want to know.

use std::sync::Arc;

use super::{Cause, CauseKind, ChangeError, Cluster, Inputs, Panic, Shared, lock};
use crate::{
    backend::{Backend, IncarnationId},
    cluster::observation::Observation,
    health::{Condition, Input, Transition, TransitionCounts},
    time::Tick,
};

/// Whoever wants to hear of transitions.
pub(super) type Listener = Arc<dyn Fn(&Transition) + Send + Sync>;

/// Whoever wants to hear of panic.
pub(super) type PanicListener = Arc<dyn Fn(Option<Panic>) + Send + Sync>;

impl Cluster {
    /// Takes in what somebody saw of one life of a backend. The verdict is in force
    /// after the next [`drive`](Self::drive), whose owner is woken if it changed.
    /// How requests ended need not be said here: their leases report it.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoSuchIncarnation`] when that life is over, or not yet built.
    pub fn observe(
        &self,
        incarnation: IncarnationId,
        observation: Observation,
        now: Tick,
    ) -> Result<(), ChangeError> {
        let news = {
            let mut inputs = self.shared.inputs();
            if !inputs.watch.watches(incarnation) {
                return Err(ChangeError::NoSuchIncarnation(incarnation));
            }
            let before = inputs.version;
            inputs.watch.take_in_said(now);
            let input = inputs.weigh(incarnation, observation, now);
            inputs.feed(incarnation, input, now);
            inputs.version != before
        };
        if news {
            self.shared.driver.wake();
        }
        Ok(())
    }

    /// Has `listener` called for each transition of a backend's health, in order, by
    /// whoever [drives](Self::drive). Several may listen, for as long as the cluster
    /// lives. Under no lock; must neither block nor panic.
    pub fn on_transition(&self, listener: Arc<dyn Fn(&Transition) + Send + Sync>) {
        lock(&self.shared.listeners).push(listener);
    }

    /// Has `listener` called when backends of a tier begin to be used for want of better
    /// ones, and with `None` when that is over. Of several such tiers it is told of the
    /// first. As [`on_transition`](Self::on_transition), and
    /// after the transitions that led to it.
    pub fn on_panic(&self, listener: Arc<dyn Fn(Option<Panic>) + Send + Sync>) {
        lock(&self.shared.panic_listeners).push(listener);
    }

    /// How many transitions were told since the cluster was built. The counts are the
    /// cluster's own and go on; kept, they outlive it.
    #[must_use]
    pub fn transitions(&self) -> Arc<TransitionCounts> {
        Arc::clone(&self.shared.transitions)
    }

    /// What is thought of each backend of the present snapshot, in order: the last
    /// transition of each, or that nothing was seen of it yet.
    #[must_use]
    pub fn conditions(&self) -> Vec<Condition> {
        let inputs = self.shared.inputs();
        let snapshot = self.shared.current.load();
        let members = snapshot.roster.members.iter();
        members.filter_map(|member| inputs.watch.condition(member.incarnation)).collect()
    }
}

impl Shared {
    /// Takes in what requests have reported and what time has brought.
    pub(super) fn look_after(&self, now: Tick) {
        let reports = self.driver.take_reports();
        let mut inputs = self.inputs();
        inputs.watch.take_in_said(now);
        inputs.take_in(reports);
        for incarnation in inputs.watch.due(now) {
            inputs.feed(incarnation, Input::TimePassed, now);
        }
        inputs.find_outliers(now);
    }

    /// Tells whoever listens. To be called under no lock.
    pub(super) fn tell(&self, transitions: &[Transition]) {
        if transitions.is_empty() {
            return;
        }
        let listeners: Vec<Listener> = lock(&self.listeners).clone();
        for transition in transitions {
            self.transitions.add(transition.to);
            listeners.iter().for_each(|listener| listener(transition));
        }
    }

    /// The same of panic.
    pub(super) fn tell_panic(&self, panic: Option<Panic>) {
        let listeners: Vec<PanicListener> = lock(&self.panic_listeners).clone();
        listeners.iter().for_each(|listener| listener(panic));
    }
}

impl Inputs {
    fn weigh(&self, incarnation: IncarnationId, observation: Observation, now: Tick) -> Input {
        let (reason, answered) = match observation {
            Observation::Check(Ok(_)) => return Input::CheckPassed,
            Observation::Check(Err(reason)) => (reason, true),
            Observation::NoAnswer(reason) => (reason, false),
        };
        let is_enabled = |backend: &Backend| self.is_enabled(backend);
        let confirm = self.watch.must_confirm(incarnation, &self.policy, is_enabled, now);
        Input::CheckFailed { reason, answered, confirm }
    }

    /// Feeds one machine; a transition is a cause of the next generation.
    pub(super) fn feed(
        &mut self,
        incarnation: IncarnationId,
        input: Input,
        now: Tick,
    ) -> Option<&Transition> {
        let transition = self.watch.feed(incarnation, input, now)?;
        self.causes.push(Cause::new(CauseKind::Health, transition.to_string()));
        self.version = self.version.next();
        Some(transition)
    }
}
