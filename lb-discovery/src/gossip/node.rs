//! One member, without a socket and without a clock: foca, and what it leaves to others.
//!
//! foca decides who is a member. Beside it a table says what each member offers, which
//! is another matter: it changes without the membership, and whoever joins later must
//! learn it as well. So whatever is new is passed on, as rumours are; whoever joins
//! compares its table with that of another, and everybody does so now and then, which
//! repairs what rumours have missed.
//!
//! Time is an argument, and chance a seed: a cluster runs in a test as it does outside,
//! only faster.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use foca::{AccumulatingRuntime, Foca, NoCustomBroadcast, OwnedNotification, PostcardCodec};
use lb_core::Tick;
use rand::{SeedableRng as _, rngs::SmallRng};

use super::{
    body::{Body, Entry, Version},
    identity::Identity,
    profile::Profile,
    rumours::Rumours,
    table::Table,
    timers::Timers,
};

type Swim = Foca<Identity, PostcardCodec, SmallRng, NoCustomBroadcast>;
type Effects = AccumulatingRuntime<Identity>;

/// One member.
pub(super) struct Node {
    swim: Swim,
    profile: Profile,
    me: SocketAddr,
    own: Version,
    table: Table,
    members: BTreeMap<SocketAddr, Identity>,
    seeds: Vec<SocketAddr>,
    timers: Timers,
    rumours: Rumours,
    /// When rumours are passed on, the table is compared, and seeds are knocked at.
    spreads_at: Tick,
    compares_at: Tick,
    knocks_at: Tick,
    /// Goodbyes that are still to be said, and to whom.
    goodbyes: u8,
    mourners: Vec<SocketAddr>,
    has_left: bool,
    out: Vec<(SocketAddr, Body)>,
    news: Vec<News>,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Somebody is a member now.
    Came(SocketAddr),
    /// The others have given somebody up, or it has left.
    Went(SocketAddr),
    /// Somebody offers something else.
    Says(SocketAddr),
}

impl Node {
    /// A member that is reached there and knows nobody but its seeds. `boot` is the time
    /// in milliseconds since 1970, higher than in any life of it before.
    pub(super) fn new(
        me: SocketAddr,
        boot: u64,
        profile: Profile,
        seeds: Vec<SocketAddr>,
        entropy: u64,
        now: Tick,
    ) -> Self {
        let rng = SmallRng::seed_from_u64(entropy);
        let identity = Identity { address: me, bump: boot };
        let own = Version { node: me, boot, number: 1 };
        let mut table = Table::default();
        table.learn(Entry { version: own, record: None });
        Self {
            swim: Foca::new(identity, profile.config(1), rng, PostcardCodec),
            profile,
            me,
            own,
            table,
            members: BTreeMap::new(),
            seeds,
            timers: Timers::default(),
            rumours: Rumours::new(entropy),
            spreads_at: now,
            compares_at: now,
            knocks_at: now,
            goodbyes: 0,
            mourners: Vec::new(),
            has_left: false,
            out: Vec::new(),
            news: Vec::new(),
        }
    }

    /// Whom to ask for the others.
    pub(super) fn set_seeds(&mut self, seeds: Vec<SocketAddr>, now: Tick) {
        if self.seeds != seeds {
            self.seeds = seeds;
            self.knocks_at = now;
        }
    }

    /// Offers this from now on, and tells everybody at once. It is told to everybody by
    /// name, since few changes matter more than that somebody wants no more requests.
    pub(super) fn offer(&mut self, record: Option<Box<str>>) {
        if self.has_left || self.table.of(self.me).is_some_and(|own| own.record == record) {
            return;
        }
        self.own.number += 1;
        self.learn(Entry { version: self.own, record }, None);
        let everybody = self.members.keys().copied().collect::<Vec<_>>();
        self.tell(&everybody);
    }

    /// Offers this as its last word, and is a member no longer. The word is said three
    /// times within [`FAREWELL`].
    pub(super) fn leave(&mut self, last: Option<Box<str>>, now: Tick) {
        if self.has_left {
            return;
        }
        self.offer(last);
        self.mourners = self.members.keys().copied().collect();
        self.run(now, |swim, effects| swim.leave_cluster(effects));
        self.has_left = true;
        (self.goodbyes, self.spreads_at) = (2, now + BETWEEN);
    }

    /// Takes what came from there.
    pub(super) fn hear(&mut self, from: SocketAddr, body: Body, now: Tick) {
        if self.has_left {
            return;
        }
        match body {
            Body::Swim(packet) => {
                self.run(now, |swim, effects| swim.handle_data(&packet, effects));
            }
            Body::Ask => self.out.push((from, Body::Here)),
            Body::Here => {}
            Body::Entries(entries) => {
                for entry in entries {
                    self.learn(entry, Some(from));
                }
            }
            Body::Digest(digest) => {
                let (newer, wanted) = self.table.compare(&digest, |node| self.is_present(node));
                self.send_entries(from, newer);
                if !wanted.is_empty() {
                    self.out.push((from, Body::Want(wanted)));
                }
            }
            Body::Want(nodes) => {
                let entries = nodes.iter().filter_map(|node| self.table.of(*node)).cloned();
                let entries = entries.collect();
                self.send_entries(from, entries);
            }
        }
    }

    /// Does what is due.
    pub(super) fn turn(&mut self, now: Tick) {
        while let Some(timer) = self.timers.take(now) {
            self.run(now, |swim, effects| swim.handle_timer(timer, effects));
        }
        if self.has_left {
            if self.goodbyes > 0 && self.spreads_at <= now {
                self.goodbyes -= 1;
                self.spreads_at = now + BETWEEN;
                let mourners = self.mourners.clone();
                self.tell(&mourners);
            }
            return;
        }
        if self.knocks_at <= now {
            self.knock(now);
        }
        if self.spreads_at <= now {
            self.spreads_at = now + self.profile.gossip();
            self.spread();
        }
        if self.compares_at <= now {
            // Whoever is a member has an entry. One that is not known was missed.
            let is_whole = self.members.keys().all(|node| self.table.of(*node).is_some());
            self.compares_at = now + if is_whole { COMPARE } else { RETRY };
            for _ in 0..if is_whole { 1 } else { 2 } {
                self.compare_with_somebody();
            }
        }
    }

    /// When to come back, if nothing is heard.
    pub(super) fn wakes_at(&self) -> Tick {
        let timer = self.timers.next_at();
        let spreads = (!self.rumours.is_empty() || self.goodbyes > 0).then_some(self.spreads_at);
        let rest = [self.compares_at, self.knocks_at].into_iter().filter(|_| !self.has_left);
        let far = self.compares_at + COMPARE;
        rest.chain(timer).chain(spreads).min().unwrap_or(far)
    }

    /// What is to be sent.
    pub(super) fn take_letters(&mut self) -> Vec<(SocketAddr, Body)> {
        std::mem::take(&mut self.out)
    }

    /// What has changed since the last time.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    #[cfg(test)]
    pub(super) fn is_member(&self, node: SocketAddr) -> bool {
        self.members.contains_key(&node)
    }

    pub(super) fn members(&self) -> usize {
        self.members.len()
    }

    /// Whether it knows of every member what it offers.
    pub(super) fn is_informed(&self) -> bool {
        self.members.keys().all(|node| self.table.of(*node).is_some())
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Forgets those who have gone, unless they are to be kept.
    pub(super) fn forget(&mut self, keep: impl Fn(SocketAddr) -> bool) {
        let (members, me) = (&self.members, self.me);
        self.table.forget(|node| node != me && !members.contains_key(&node), keep);
    }

    fn is_present(&self, node: SocketAddr) -> bool {
        node == self.me || self.members.contains_key(&node)
    }

    fn learn(&mut self, entry: Entry, from: Option<SocketAddr>) {
        let node = entry.version.node;
        if node == self.me && from.is_some() {
            // An earlier life of it may be remembered; a later one is somebody else.
            return;
        }
        if !self.table.learn(entry) {
            return;
        }
        self.news.push(News::Says(node));
        self.rumours.start(node, self.members.len());
        if from.is_some() {
            // Passed on at once to a few: what is new should be everywhere soon.
            let few = self.some_members(FEW);
            let few: Vec<_> =
                few.into_iter().filter(|one| *one != node && Some(*one) != from).collect();
            if let Some(entry) = self.table.of(node).cloned() {
                few.into_iter().for_each(|to| self.send_entries(to, vec![entry.clone()]));
            }
            if !self.is_present(node) {
                self.knock_at(node);
            }
        }
    }

    /// Asks for the others: every second while it is alone, and now and then those of its
    /// seeds that are no members.
    fn knock(&mut self, now: Tick) {
        let is_alone = self.members.is_empty();
        self.knocks_at = now + if is_alone { RETRY } else { KNOCK };
        for seed in self.seeds.clone() {
            if seed != self.me && !self.members.contains_key(&seed) {
                self.knock_at(seed);
                if is_alone {
                    self.tell(&[seed]);
                    self.compare_with(seed);
                }
            }
        }
    }

    fn knock_at(&mut self, address: SocketAddr) {
        // Sends one packet; sets no timer.
        let now = self.knocks_at;
        self.run(now, |swim, effects| swim.announce(Identity::whoever(address), effects));
    }

    fn spread(&mut self) {
        if self.rumours.is_empty() || self.members.is_empty() {
            return;
        }
        let nodes = self.rumours.round();
        let entries = nodes.iter().filter_map(|node| self.table.of(*node));
        let entries: Vec<_> = entries.cloned().collect();
        for to in self.some_members(FEW) {
            self.send_entries(to, entries.clone());
        }
    }

    fn compare_with_somebody(&mut self) {
        if let Some(somebody) = self.some_members(1).pop() {
            self.compare_with(somebody);
        }
    }

    fn compare_with(&mut self, other: SocketAddr) {
        for digest in self.table.digests(|node| self.is_present(node)) {
            self.out.push((other, Body::Digest(digest)));
        }
    }

    /// Tells them its own entry.
    fn tell(&mut self, whom: &[SocketAddr]) {
        if let Some(own) = self.table.of(self.me).cloned() {
            whom.iter().for_each(|to| self.send_entries(*to, vec![own.clone()]));
        }
    }

    fn send_entries(&mut self, to: SocketAddr, entries: Vec<Entry>) {
        self.out.extend(Body::entries(entries).into_iter().map(|body| (to, body)));
    }

    fn some_members(&mut self, count: usize) -> Vec<SocketAddr> {
        self.rumours.some(self.members.keys().copied(), count)
    }

    /// Has foca do something, and does what it asks for.
    fn run(
        &mut self,
        now: Tick,
        what: impl FnOnce(&mut Swim, &mut Effects) -> Result<(), foca::Error>,
    ) {
        let mut effects = Effects::new();
        // What foca refuses has changed nothing that it does not say.
        let _ = what(&mut self.swim, &mut effects);
        while let Some((to, packet)) = effects.to_send() {
            self.out.push((to.address, Body::Swim(packet.to_vec())));
        }
        while let Some((after, timer)) = effects.to_schedule() {
            self.timers.set(timer, now + after);
        }
        let before = self.members.len();
        while let Some(note) = effects.to_notify() {
            self.note(&note, now);
        }
        if self.members.len() != before {
            // Periods are the same for any number of nodes.
            let _ = self.swim.set_config(self.profile.config(self.members.len() + 1));
        }
    }

    fn note(&mut self, note: &OwnedNotification<Identity>, now: Tick) {
        match note {
            OwnedNotification::MemberUp(member) => {
                if self.members.is_empty() {
                    // Whoever joins asks for everything soon, and tells of itself.
                    self.compares_at = now;
                    self.rumours.start(self.me, 1);
                    self.spreads_at = self.spreads_at.min(now);
                }
                if self.table.of(member.address).is_none() {
                    self.compares_at = self.compares_at.min(now + self.profile.gossip());
                }
                self.members.insert(member.address, *member);
                self.news.push(News::Came(member.address));
            }
            OwnedNotification::MemberDown(member) => {
                self.members.remove(&member.address);
                self.news.push(News::Went(member.address));
                if self.members.is_empty() {
                    self.knocks_at = self.knocks_at.min(now + RETRY);
                }
            }
            OwnedNotification::Rename(_, after) => {
                if let Some(member) = self.members.get_mut(&after.address) {
                    *member = *after;
                }
            }
            OwnedNotification::Active
            | OwnedNotification::Idle
            | OwnedNotification::Defunct
            | OwnedNotification::Rejoin(_) => {}
        }
    }
}

/// How many are told at a time.
const FEW: usize = 3;
/// How long a goodbye takes.
pub(super) const FAREWELL: Duration = Duration::from_millis(30);
/// What comes within a burst that is lost is lost with it.
const BETWEEN: Duration = Duration::from_millis(15);
/// While it is alone, or knows of somebody too little.
const RETRY: Duration = Duration::from_secs(1);
const COMPARE: Duration = Duration::from_secs(30);
const KNOCK: Duration = Duration::from_secs(30);
