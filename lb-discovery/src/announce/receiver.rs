//! From datagrams to the set of those who are there. Pure: the time is an argument.
//!
//! What makes a datagram true is checked in the order of what it costs: the rate, the
//! key, the HMAC, the clock, the grant, the numbers. Of each sender it is remembered
//! which life of it was heard last and how far, for as long as the clock would let an
//! old datagram pass, also when it has gone: nothing that was heard is heard again.
//!
//! The hard decision is what silence means. One node that is silent for its time is
//! gone. When *all* of them fall silent (and they are two at least), it is more likely
//! that nothing arrives here: that is an error, and all of them stay until somebody is
//! heard, whose voice proves that the others could be heard too.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use lb_core::{Membership, Tick};

use super::{
    complaints::Complaints,
    datagram::Sealed,
    grant::Grant,
    key::{Key, KeyId},
    limits::Limits,
    record::State,
    refusal::{Refusal, Refusals},
    sender::{Life, Sender, describe},
    window::Order,
};
use crate::{
    distinct::Distinct,
    source::{Report, Warning},
};

/// Who may announce what to one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The cluster.
    pub cluster: Box<str>,
    /// Whose word is taken, and for what.
    pub keys: Vec<(Key, Grant)>,
    /// How far the clock of a sender may be from the one here.
    pub max_skew: Duration,
}

/// The time by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The one that only goes on.
    pub tick: Tick,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

/// What a receiver says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Those are there.
    Report(Report),
    /// Nobody is heard any more, of so many.
    Deaf(usize),
}

/// Those who announced themselves to one cluster.
#[derive(Debug)]
pub struct Receiver {
    policy: Policy,
    /// By name, so that the report is in this order.
    senders: BTreeMap<(Arc<str>, KeyId), Sender>,
    limits: Limits,
    refusals: Arc<Refusals>,
    complaints: Complaints,
    /// Backends that were there before anybody was listened to, for a while.
    presumed: Membership,
    /// Until when an empty set is not taken for the truth, since nobody can have been
    /// heard yet.
    listens_until: Tick,
    /// When something was first and last changed that was not answered yet.
    changed: Option<(Tick, Tick)>,
    said: Option<Answer>,
    is_deaf: bool,
    /// When somebody's time may be over.
    check_at: Option<Tick>,
}

impl Receiver {
    /// Begins to listen.
    #[must_use]
    pub fn new(policy: Policy, now: Tick) -> Self {
        Self {
            policy,
            senders: BTreeMap::new(),
            limits: Limits::default(),
            refusals: Arc::default(),
            complaints: Complaints::default(),
            presumed: Membership::default(),
            listens_until: now + LISTEN,
            changed: Some((now, now)),
            said: None,
            is_deaf: false,
            check_at: Some(now + LISTEN),
        }
    }

    /// Goes on from what another one knows, as far as it is still permitted.
    pub(super) fn adopt(&mut self, other: &Self) {
        self.refusals.resume(&other.refusals);
        self.listens_until = other.listens_until;
        for ((name, key), sender) in &other.senders {
            let Some((_, grant)) = self.policy.key(*key) else { continue };
            let mut sender = sender.clone();
            sender.life = sender.life.filter(|life| grant.permits(&life.backend));
            self.limits.know(sender.from);
            self.senders.insert((Arc::clone(name), *key), sender);
        }
        self.check_at = Some(Tick::ZERO);
    }

    /// Takes these backends to be there until they had the time to say so.
    pub(super) fn presume(&mut self, set: &Membership, now: Tick) {
        if self.senders.is_empty() {
            self.presumed = set.clone();
            self.listens_until = now + PRESUME;
            self.check_at = Some(self.listens_until);
        }
    }

    /// Which cluster it listens for.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.policy.cluster
    }

    /// What it has ignored.
    #[must_use]
    pub fn refusals(&self) -> Arc<Refusals> {
        Arc::clone(&self.refusals)
    }

    /// Takes a datagram that came from there, or ignores and counts it.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: nothing has changed.
    pub fn hear(&mut self, sealed: &Sealed<'_>, from: IpAddr, now: Moment) -> Result<(), Refusal> {
        let heard = self.judge(sealed, from, now);
        if let Err(refusal) = heard {
            self.refuse(refusal, from, now.tick);
        }
        heard
    }

    /// Counts a datagram that was ignored.
    pub(super) fn refuse(&mut self, refusal: Refusal, from: IpAddr, now: Tick) {
        self.refusals.count(refusal);
        // What comes twice does no harm, and some networks do it all the time.
        if refusal != Refusal::Replay && self.complaints.add(refusal, from, now) {
            self.change(now);
            self.check_by(now + Complaints::LAST);
        }
    }

    fn judge(&mut self, sealed: &Sealed<'_>, from: IpAddr, now: Moment) -> Result<(), Refusal> {
        if !self.limits.admit(from, now.tick) {
            return Err(Refusal::Rate);
        }
        let (key, grant) = self.policy.key(sealed.key_id()).ok_or(Refusal::Key)?;
        let datagram = sealed.open(key).ok_or(Refusal::Mac)?;
        if u128::from(datagram.sent_ms.abs_diff(now.unix_ms)) > self.policy.max_skew.as_millis() {
            return Err(Refusal::Skew);
        }
        let address = grant.place(&datagram.record, from)?;
        let backend = describe(&datagram.record, address);
        let id = (Arc::clone(backend.shared_name()), key.id());
        let known = self.senders.get(&id);
        let (order, window) = Sender::order(known, datagram)?;
        let was = known.and_then(|sender| sender.life.as_ref());
        if known.is_some_and(|sender| sender.has_outlived(datagram)) {
            return Ok(());
        }
        if known.is_some_and(|sender| sender.is_another(datagram, &backend)) || self.is_taken(&id) {
            return Err(Refusal::Taken);
        }
        if known.is_none() && self.senders.len() >= MAX_SENDERS
            || was.is_none() && self.is_full(key.id(), grant, from)
        {
            return Err(Refusal::Full);
        }
        self.limits.know(from);
        let sender = self.senders.entry(id).or_insert_with(|| Sender::new(datagram, from));
        sender.window = window;
        if order == Order::Late {
            return Ok(());
        }
        (sender.boot_id, sender.from) = (datagram.boot_id, from);
        sender.sent_ms = sender.sent_ms.max(datagram.sent_ms);
        let ttl = datagram.ttl;
        let life = match datagram.record.state {
            State::Down => None,
            State::Up | State::Draining => Some(Life { backend, heard: now.tick, ttl }),
        };
        let before = std::mem::replace(&mut sender.life, life);
        let is_same = before.map(|life| life.backend)
            == sender.life.as_ref().map(|life| life.backend.clone());
        if !is_same {
            self.change(now.tick);
        }
        // A voice after silence may prove that others are gone.
        self.check_by(if self.is_deaf { now.tick } else { now.tick + ttl });
        Ok(())
    }

    /// Whether another sender has this name now.
    fn is_taken(&self, (name, key): &(Arc<str>, KeyId)) -> bool {
        let same = self.senders.range((Arc::clone(name), KeyId::MIN)..);
        let mut same = same.take_while(|((other, _), _)| other == name);
        same.any(|((_, other), sender)| other != key && sender.life.is_some())
    }

    fn is_full(&self, key: KeyId, grant: &Grant, from: IpAddr) -> bool {
        let living = || self.senders.iter().filter(|(_, sender)| sender.life.is_some());
        living().filter(|((_, other), _)| *other == key).count() >= grant.max_backends
            || !grant.relay
                && living().filter(|(_, sender)| sender.from == from).count() >= MAX_AT_ADDRESS
    }

    /// What is to be said now, if anything. Says nothing twice.
    pub fn answer(&mut self, now: Moment) -> Option<Answer> {
        if self.check_at.is_some_and(|at| at <= now.tick) {
            self.check(now);
        }
        if self.due_at()? > now.tick {
            return None;
        }
        self.changed = None;
        let living = self.senders.values().filter(|sender| sender.life.is_some()).count();
        let answer =
            if self.is_deaf { Answer::Deaf(living) } else { Answer::Report(self.report()) };
        if self.said.as_ref() == Some(&answer) {
            return None;
        }
        self.said = Some(answer.clone());
        Some(answer)
    }

    /// Says everything once more: what was said was lost, or an error was said instead.
    pub(super) fn repeat(&mut self, now: Tick) {
        self.said = None;
        self.change(now);
    }

    /// When to ask for an answer again, if nothing is heard.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Tick> {
        self.due_at().into_iter().chain(self.check_at).min()
    }

    /// When what has changed is to be said: those who come together are one set.
    fn due_at(&self) -> Option<Tick> {
        let (first, last) = self.changed?;
        let due = (last + QUIET).min(first + AT_MOST);
        let has_somebody = self.senders.values().any(|sender| sender.life.is_some());
        let may_speak = has_somebody || !self.presumed.is_empty() || self.said.is_some();
        Some(if may_speak { due } else { due.max(self.listens_until) })
    }

    /// Lets those go whose time is over, and forgets what nobody can repeat.
    fn check(&mut self, now: Moment) {
        if now.tick >= self.listens_until && !self.presumed.is_empty() {
            self.presumed = Membership::default();
            self.change(now.tick);
        }
        if self.complaints.expire(now.tick) {
            self.change(now.tick);
        }
        let lives = || self.senders.values().filter_map(|sender| sender.life.as_ref());
        let is_somebody_over = lives().any(|life| life.is_over(now.tick));
        let is_nobody_here = lives().count() > 1 && lives().all(|life| life.is_late(now.tick));
        let is_deaf = is_somebody_over && is_nobody_here;
        if is_deaf != self.is_deaf {
            self.is_deaf = is_deaf;
            self.change(now.tick);
        }
        if is_somebody_over && !is_deaf {
            for sender in self.senders.values_mut() {
                sender.life.take_if(|life| life.is_over(now.tick));
            }
            self.change(now.tick);
        }
        let skew = u64::try_from(self.policy.max_skew.as_millis()).unwrap_or(u64::MAX);
        self.senders.retain(|_, sender| {
            sender.life.is_some() || sender.sent_ms.saturating_add(skew) >= now.unix_ms
        });
        let present: BTreeSet<_> = self.senders.values().map(|sender| sender.from).collect();
        self.limits.know_only(&present);
        self.check_at = self.next_check(now.tick);
    }

    fn next_check(&self, now: Tick) -> Option<Tick> {
        let lives = self.senders.values().filter_map(|sender| sender.life.as_ref());
        let ends = lives.map(Life::ends_at).filter(|end| *end > now);
        let gone = self.senders.values().any(|sender| sender.life.is_none());
        let sweep = gone.then(|| now + SWEEP);
        let listening = Some(self.listens_until).filter(|until| *until > now);
        ends.chain(sweep).chain(listening).chain(self.complaints.ends_at()).min()
    }

    fn report(&self) -> Report {
        let (mut distinct, mut warnings) = (Distinct::default(), Vec::new());
        let lives = self.senders.values().filter_map(|sender| sender.life.as_ref());
        for backend in lives.map(|life| &life.backend) {
            if let Err(taken) = distinct.add(backend.clone()) {
                let name = Arc::clone(backend.shared_name());
                warnings.push(Warning::about(name, taken.explain(&distinct)));
            }
        }
        for backend in self.presumed.iter() {
            // Whoever has spoken is known better.
            let _ = distinct.add((**backend).clone());
        }
        warnings.extend(self.complaints.warnings());
        let set = distinct.into_membership_by_name();
        Report { set, warnings: Warning::at_most(warnings) }
    }

    fn change(&mut self, now: Tick) {
        self.changed = Some((self.changed.map_or(now, |(first, _)| first), now));
    }

    fn check_by(&mut self, at: Tick) {
        self.check_at = Some(self.check_at.map_or(at, |other| other.min(at)));
    }
}

impl Policy {
    fn key(&self, id: KeyId) -> Option<&(Key, Grant)> {
        self.keys.iter().find(|(key, _)| key.id() == id)
    }
}

/// Those who come within this time of each other are one set,
const QUIET: Duration = Duration::from_millis(10);
/// which is not put off for longer.
const AT_MOST: Duration = Duration::from_millis(50);
/// By then, most of those who send once a second were heard. Nothing is lost that was
/// there before, and a start waits no longer.
const LISTEN: Duration = Duration::from_secs(1);
/// By then, whoever sends every three seconds was heard.
const PRESUME: Duration = Duration::from_secs(10);
/// How often those who have gone are looked through.
const SWEEP: Duration = Duration::from_secs(10);

const MAX_SENDERS: usize = 4_096;
const MAX_AT_ADDRESS: usize = 32;
