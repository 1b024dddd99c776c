//! From what is known to a snapshot.

use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

use super::{
    Inputs,
    change::Version,
    eligibility::{Facts, Judgement, Standing, judge},
    feedback::Feedback,
    generation::{Generation, Journal, Stamp},
    groups::{Place, Split},
    pace::Pace,
    ramp::{Ramp, Share},
    slots::Slot,
    snapshot::{Hot, Member, Pickers, Roster, Snapshot},
    view::View,
};
use crate::{
    backend::{
        AdminState, Backend, Health, IncarnationId, Weight, load::Load, meters::Means, seat::Seats,
        tallies::Tallies,
    },
    hash::Secret,
    health::Outlier,
    membership::{Diff, Membership},
    sticky::Routes,
    strategy::{BuildCx, Needs, Picker, Strategy},
    sync,
    time::Tick,
};

/// The single owner of what outlives snapshots.
#[derive(Debug)]
pub(super) struct Builder {
    strategy: Box<dyn Strategy>,
    cx: BuildCx,
    seats: Seats,
    /// What the last snapshot has kept up, and the means of it.
    feedback: Feedback,
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
    /// When the next drain ends, or the next step of a slow start is due.
    next_revision: Option<Tick>,
    /// Time alone made the last snapshot untrue.
    stale: bool,
    next_sweep: Tick,
}

/// What comes of a build.
pub(super) struct Built {
    pub(super) snapshot: Snapshot,
    /// How many of the inputs' causes it took in.
    pub(super) causes: usize,
    /// The strategy that was used before.
    pub(super) replaced: Option<Box<dyn Strategy>>,
}

#[derive(Debug, Clone)]
struct Life {
    backend: Arc<Backend>,
    incarnation: IncarnationId,
    load: sync::Arc<Load>,
    /// Where outliers are looked for.
    tallies: Option<sync::Arc<Tallies>>,
}

impl Builder {
    /// How often idle bits and means are put right.
    const SWEEP: Duration = Duration::from_secs(1);

    pub(super) fn new(strategy: Box<dyn Strategy>, cx: BuildCx) -> Self {
        Self {
            strategy,
            cx,
            seats: Seats::default(),
            feedback: Feedback { needs: Needs::default(), means: Arc::new(Means::new()) },
            lives: BTreeMap::new(),
            born: 0,
            built: Version::default(),
            membership: Membership::default(),
            stamp: Stamp::default(),
            publications: 0,
            journal: Journal::default(),
            pace: Pace::default(),
            next_revision: None,
            stale: false,
            next_sweep: Tick::ZERO,
        }
    }

    /// Builds the snapshot of `inputs`. O(n log n), plus what the strategy takes.
    ///
    /// The strategy's code runs before anything that lasts is changed: if it
    /// panics, the next call finds everything as it was.
    pub(super) fn build(&mut self, mut inputs: Inputs, now: Tick) -> Built {
        let mut candidate = inputs.strategy.take();
        let lives = self.lives(&inputs.membership, inputs.policy.outlier);
        let (mut roster, next_step) = self.roster(&inputs, &lives, now);
        let strategy = candidate.as_mut().unwrap_or(&mut self.strategy);
        let (pickers, needs) = pickers(&mut **strategy, &roster, self.cx);

        let replaced = candidate.map(|strategy| mem::replace(&mut self.strategy, strategy));
        let revisions = [next_drain(&inputs, &lives, now), next_step];
        self.next_revision = revisions.into_iter().flatten().min();
        self.lives = lives;
        self.stale = false;
        self.built = inputs.version;
        self.publications += 1;
        self.keep_up(needs);
        roster.feedback = self.feedback.clone();
        let causes = inputs.causes.len();
        self.record(inputs, now);
        let snapshot = Snapshot {
            roster,
            pickers,
            split: Split::new(self.cx.secret, needs),
            stamp: self.stamp,
            version: self.built,
            publication: self.publications,
        };
        Built { snapshot, causes, replaced }
    }

    /// Notes that a drain has run out or a slow start has got further; says whether a
    /// rebuild is due to time.
    pub(super) fn expire(&mut self, now: Tick) -> bool {
        self.stale |= self.next_revision.is_some_and(|deadline| now >= deadline);
        self.stale
    }

    pub(super) fn may_build(&self, now: Tick) -> bool {
        self.pace.allows(now)
    }

    pub(super) fn pace(&mut self, started: Tick, finished: Tick) {
        self.pace.built(started, finished);
    }

    /// Puts right the idle bits of `snapshot` and takes the means of its backends, once
    /// a second, if anybody reads them.
    pub(super) fn sweep(&mut self, snapshot: &Snapshot, now: Tick) {
        if !self.is_swept() || now < self.next_sweep {
            return;
        }
        if self.seats.is_tracked() {
            snapshot.loads().for_each(|(_, load)| load.sweep(now));
        }
        let Feedback { needs, means } = &self.feedback;
        if needs.is_metered() {
            means.refresh(snapshot.loads().map(|(_, load)| load.meters()), needs.peak, now);
        }
        self.next_sweep = now + Self::SWEEP;
    }

    fn is_swept(&self) -> bool {
        self.seats.is_tracked() || self.feedback.needs.is_metered()
    }

    /// When the next call is due; `behind`: there are changes not built yet.
    pub(super) fn next_deadline(&self, behind: bool) -> Option<Tick> {
        let build = (behind || self.stale).then(|| self.pace.not_before());
        let sweep = self.is_swept().then_some(self.next_sweep);
        // What has run out already waits for the build.
        let revision = self.next_revision.filter(|_| !self.stale);
        [build, sweep, revision].into_iter().flatten().min()
    }

    pub(super) fn built(&self) -> Version {
        self.built
    }

    pub(super) fn generations(&self) -> Vec<Generation> {
        self.journal.to_vec()
    }

    /// Numbers what was built: a generation if something caused it, a revision if
    /// time did.
    fn record(&mut self, inputs: Inputs, now: Tick) {
        if inputs.causes.is_empty() {
            self.stamp.revision += 1;
            return;
        }
        self.stamp = Stamp { generation: self.stamp.generation + 1, revision: 0 };
        self.journal.push(Generation {
            number: self.stamp.generation,
            at: now,
            causes: inputs.causes,
            diff: Diff::between(&self.membership, &inputs.membership),
        });
        self.membership = inputs.membership;
    }

    /// Has kept up what the pickers just built read. What was not until now is put
    /// right with the next sweep, which is due at once.
    fn keep_up(&mut self, needs: Needs) {
        if needs.idle_bits && !self.seats.is_tracked()
            || needs.is_metered() && !self.feedback.needs.is_metered()
        {
            self.next_sweep = Tick::ZERO;
        }
        self.seats.track(needs.idle_bits);
        self.feedback.needs = needs;
    }

    /// The lives of `membership`: those that go on, and new ones.
    fn lives(
        &mut self,
        membership: &Membership,
        outlier: Option<Outlier>,
    ) -> BTreeMap<Arc<str>, Life> {
        let mut lives = BTreeMap::new();
        for backend in membership.iter() {
            let before = self.lives.get(backend.name());
            let mut life = match before.filter(|life| life.backend.is_same_incarnation_as(backend))
            {
                // Described as before, it stays the very same for workers' holds.
                Some(life) if life.backend == *backend => life.clone(),
                Some(life) => Life { backend: Arc::clone(backend), ..life.clone() },
                None => self.begin(backend),
            };
            life.tally(outlier);
            lives.insert(Arc::clone(backend.shared_name()), life);
        }
        lives
    }

    fn begin(&mut self, backend: &Arc<Backend>) -> Life {
        self.born += 1;
        Life {
            backend: Arc::clone(backend),
            incarnation: IncarnationId::from_number(self.born),
            load: sync::Arc::new(Load::new(self.seats.take())),
            tallies: None,
        }
    }

    /// Who is there, and when time will change that.
    fn roster(
        &self,
        inputs: &Inputs,
        lives: &BTreeMap<Arc<str>, Life>,
        now: Tick,
    ) -> (Roster, Option<Tick>) {
        let name = |backend: &Arc<Backend>| lives.get(backend.name());
        let lives: Vec<&Life> = inputs.membership.iter().filter_map(name).collect();
        let facts: Vec<Facts> =
            lives.iter().map(|life| inputs.facts(life, self.cx.secret)).collect();
        let judgement = judge(&facts, &inputs.policy, now);
        let ramp = self.ramp(inputs, &lives, &judgement, now);
        let hot = lives.iter().zip(&ramp.weights).map(|(life, weight)| Hot {
            load: sync::Arc::clone(&life.load),
            weight: *weight,
            limit: life.backend.max_in_flight(),
        });
        let members = lives.iter().zip(&judgement.standings).map(|(life, standing)| Member {
            backend: Arc::clone(&life.backend),
            incarnation: life.incarnation,
            standing: *standing,
            base_weight: inputs.weight(&life.backend).get(),
            tallies: life.tallies.clone(),
        });
        let mut by_name: Box<[Slot]> = (0..lives.len()).map(Slot::new).collect();
        let mut by_incarnation = by_name.clone();
        by_name.sort_by_key(|slot| lives[slot.index()].backend.name());
        by_incarnation.sort_by_key(|slot| lives[slot.index()].incarnation);
        let roster = Roster {
            hot: hot.collect(),
            members: members.collect(),
            by_name,
            by_incarnation,
            routes: Routes::of(inputs.ring.as_ref(), &inputs.membership).0,
            secret: self.cx.secret,
            panic: judgement.panic,
            groups: judgement.groups,
            bound: judgement.bound,
            weight_scale: ramp.scale,
            trials: judgement.trials,
            reserves: judgement.reserves,
            blocks: self.seats.blocks(),
            feedback: self.feedback.clone(),
        };
        (roster, ramp.next_step)
    }

    /// The weights in force. Who is not watched yet joins with this build, and those of
    /// the first build joined nobody.
    fn ramp(&self, inputs: &Inputs, lives: &[&Life], judgement: &Judgement, now: Tick) -> Ramp {
        let joined = (self.publications > 0).then_some(now);
        let share = |(index, (life, standing)): (usize, (&&Life, &Standing))| Share {
            weight: inputs.weight(&life.backend).get(),
            group: judgement.groups.home(Slot::new(index)),
            in_use: *standing == Standing::In,
            ramps_since: inputs.verdicts.get(&life.incarnation).map_or(joined, |it| it.ramps_since),
        };
        let shares: Vec<Share> =
            lives.iter().zip(&judgement.standings).enumerate().map(share).collect();
        Ramp::at(&shares, inputs.policy.slow_start, now)
    }
}

impl Life {
    /// Has tallies kept as `outlier` needs them; those that go on are the same ones.
    fn tally(&mut self, outlier: Option<Outlier>) {
        let wanted = outlier.map(|outlier| outlier.counts());
        if self.tallies.as_ref().map(|tallies| tallies.counted()) != wanted {
            self.tallies = wanted.map(|counted| sync::Arc::new(Tallies::new(counted)));
        }
    }
}

impl Inputs {
    fn facts(&self, life: &Life, secret: Secret) -> Facts {
        let backend = &life.backend;
        let place = match &self.policy.zone {
            None => Place::Any,
            Some(zone) if backend.zone() == Some(&*zone.own) => Place::Own,
            Some(_) => Place::Others,
        };
        let mark = |_| secret.derive(b"ring", "").spread(backend.name().as_bytes());
        Facts {
            admin: self.admin_state(backend),
            tier: backend.tier(),
            health: self.verdicts.get(&life.incarnation).map_or(Health::Unknown, |it| it.health),
            weight: self.weight(backend).get(),
            place,
            is_spare: backend.is_spare(),
            is_called: true,
            mark: self.policy.subset.map_or(0, mark),
        }
    }

    fn weight(&self, backend: &Backend) -> Weight {
        self.weights.get(backend.name()).copied().unwrap_or_else(|| backend.weight())
    }
}

/// A picker for each group, and what they need.
fn pickers(strategy: &mut dyn Strategy, roster: &Roster, cx: BuildCx) -> (Pickers, Needs) {
    let mut needs = Needs::default();
    let mut build = |position| -> Box<dyn Picker> {
        let group = roster.groups.get(position);
        let cx = cx.of_group(group.id.unwrap_or_default());
        let picker = strategy.build(View::of_group(roster, group), &cx);
        needs = needs.and(strategy.needs());
        picker
    };
    let first = build(0);
    let others = (1..roster.groups.len()).map(&mut build).collect();
    (Pickers { first, others }, needs)
}

/// When the first of the drains that go on at `now` ends.
fn next_drain(inputs: &Inputs, lives: &BTreeMap<Arc<str>, Life>, now: Tick) -> Option<Tick> {
    let present = inputs.admin.iter().filter(|(name, _)| lives.contains_key(*name));
    let ends = present.filter_map(|(_, state)| match state {
        AdminState::Draining { until: Some(until) } => Some(*until),
        _ => None,
    });
    ends.filter(|end| *end > now).min()
}
