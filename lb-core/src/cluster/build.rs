//! From what is known to a snapshot.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Inputs,
    change::Version,
    eligibility::{Facts, judge},
    generation::{Generation, Journal, Stamp},
    pace::Pace,
    slots::Slot,
    snapshot::{Hot, Member, Roster, Snapshot},
    view::View,
};
use crate::{
    backend::{AdminState, Backend, IncarnationId, load::Load, seat::Seats},
    membership::{Diff, Membership},
    strategy::{BuildCx, Strategy},
    sync,
    time::Tick,
};

/// The single owner of what outlives snapshots.
#[derive(Debug)]
pub(super) struct Builder {
    strategy: Box<dyn Strategy>,
    panic_threshold: u8,
    entropy: u64,
    seats: Seats,
    /// The incarnations that are there, by name.
    lives: BTreeMap<Arc<str>, Life>,
    born: u64,
    /// What the last snapshot was built from.
    built: Version,
    membership: Membership,
    stamp: Stamp,
    publications: u64,
    journal: Journal,
    pace: Pace,
    /// When the next drain ends.
    next_drain: Option<Tick>,
    /// Time alone made the last snapshot untrue.
    stale: bool,
    next_sweep: Tick,
}

#[derive(Debug, Clone)]
struct Life {
    backend: Arc<Backend>,
    incarnation: IncarnationId,
    load: sync::Arc<Load>,
}

impl Builder {
    /// How often idle bits are put right.
    const SWEEP: std::time::Duration = std::time::Duration::from_secs(1);

    pub(super) fn new(strategy: Box<dyn Strategy>, entropy: u64, panic_threshold: u8) -> Self {
        Self {
            strategy,
            panic_threshold,
            entropy,
            seats: Seats::default(),
            lives: BTreeMap::new(),
            born: 0,
            built: Version::default(),
            membership: Membership::default(),
            stamp: Stamp::default(),
            publications: 0,
            journal: Journal::default(),
            pace: Pace::default(),
            next_drain: None,
            stale: false,
            next_sweep: Tick::ZERO,
        }
    }

    /// Builds the snapshot of `inputs`. O(n log n), plus what the strategy takes.
    pub(super) fn build(&mut self, mut inputs: Inputs, now: Tick) -> Snapshot {
        if let Some(strategy) = inputs.strategy.take() {
            self.strategy = strategy;
        }
        self.seats.track(self.strategy.needs().idle_bits);
        self.record(&mut inputs, now);
        self.live_on(&inputs.membership);
        let roster = self.roster(&inputs, now);
        let view = View::new(&roster);
        let picker = self.strategy.build(view, &BuildCx::new(self.entropy));
        self.publications += 1;
        Snapshot {
            roster,
            picker,
            stamp: self.stamp,
            version: self.built,
            publication: self.publications,
        }
    }

    /// Notes that a drain has run out; says whether a rebuild is due to time.
    pub(super) fn expire_drains(&mut self, now: Tick) -> bool {
        self.stale |= self.next_drain.is_some_and(|deadline| now >= deadline);
        self.stale
    }

    pub(super) fn may_build(&self, now: Tick) -> bool {
        self.pace.allows(now)
    }

    pub(super) fn pace(&mut self, started: Tick, finished: Tick) {
        self.pace.built(started, finished);
    }

    /// Puts right the idle bits of `snapshot`, once a second, if anybody reads
    /// them.
    pub(super) fn sweep(&mut self, snapshot: &Snapshot, now: Tick) {
        if self.seats.is_tracked() && now >= self.next_sweep {
            snapshot.loads().for_each(|(_, load)| load.sweep());
            self.next_sweep = now + Self::SWEEP;
        }
    }

    pub(super) fn next_deadline(&self, behind: bool) -> Option<Tick> {
        let build = behind.then(|| self.pace.not_before());
        let sweep = self.seats.is_tracked().then_some(self.next_sweep);
        [build, sweep, self.next_drain].into_iter().flatten().min()
    }

    pub(super) fn built(&self) -> Version {
        self.built
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    pub(super) fn generations(&self) -> Vec<Generation> {
        self.journal.to_vec()
    }

    /// Numbers what is about to be built: a generation if something caused it, a
    /// revision if time did.
    fn record(&mut self, inputs: &mut Inputs, now: Tick) {
        self.built = inputs.version;
        self.stale = false;
        if inputs.causes.is_empty() {
            self.stamp.revision += 1;
            return;
        }
        self.stamp = Stamp { generation: self.stamp.generation + 1, revision: 0 };
        self.journal.push(Generation {
            number: self.stamp.generation,
            at: now,
            causes: std::mem::take(&mut inputs.causes),
            diff: Diff::between(&self.membership, &inputs.membership),
        });
        self.membership = inputs.membership.clone();
    }

    /// Carries over the lives that go on, begins new ones, forgets the rest.
    fn live_on(&mut self, membership: &Membership) {
        let mut before = std::mem::take(&mut self.lives);
        for backend in membership.iter() {
            let going_on = before
                .remove(backend.name())
                .filter(|life| life.backend.is_same_incarnation_as(backend))
                .map(|life| Life { backend: Arc::clone(backend), ..life });
            let life = going_on.unwrap_or_else(|| self.begin(backend));
            self.lives.insert(Arc::clone(backend.shared_name()), life);
        }
    }

    fn begin(&mut self, backend: &Arc<Backend>) -> Life {
        self.born += 1;
        Life {
            backend: Arc::clone(backend),
            incarnation: IncarnationId::from_number(self.born),
            load: sync::Arc::new(Load::new(self.seats.take())),
        }
    }

    fn roster(&mut self, inputs: &Inputs, now: Tick) -> Roster {
        let lives: Vec<&Life> =
            inputs.membership.iter().filter_map(|backend| self.lives.get(backend.name())).collect();
        let facts: Vec<Facts> = lives
            .iter()
            .map(|life| Facts {
                admin: inputs.admin_state(life.backend.name()),
                tier: life.backend.tier(),
                health: inputs.health.get(&life.incarnation).copied().unwrap_or_default(),
            })
            .collect();
        self.next_drain = facts.iter().filter_map(|facts| pending_drain(facts.admin, now)).min();
        let judgement = judge(&facts, self.panic_threshold, now);
        let hot = lives.iter().map(|life| Hot {
            load: sync::Arc::clone(&life.load),
            weight: inputs
                .weights
                .get(life.backend.name())
                .copied()
                .unwrap_or_else(|| life.backend.weight())
                .get(),
            limit: life.backend.max_in_flight(),
        });
        let members = lives.iter().zip(&judgement.standings).map(|(life, standing)| Member {
            backend: Arc::clone(&life.backend),
            incarnation: life.incarnation,
            standing: *standing,
        });
        let mut by_name: Vec<Slot> = (0..lives.len()).map(Slot::new).collect();
        by_name.sort_by_key(|slot| lives[slot.index()].backend.name());
        Roster {
            hot: hot.collect(),
            members: members.collect(),
            by_name: by_name.into(),
            new: judgement.new,
            bound: judgement.bound,
            blocks: self.seats.blocks(),
        }
    }
}

fn pending_drain(state: AdminState, now: Tick) -> Option<Tick> {
    match state {
        AdminState::Draining { until: Some(until) } if until > now => Some(until),
        _ => None,
    }
}
