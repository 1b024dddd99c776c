//! All that one address has to do with gossip, without its socket: the member, its post,
//! whom to watch, and the clusters that look at it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Weak,
    time::Duration,
};

use lb_core::Tick;

use super::{
    body::Body,
    mesh::Reader,
    node::{News, Node},
    post::Post,
    profile::Profile,
    view::{Said, Sight},
    watch::{Answer, Step, Watch},
};
use crate::{announce::Moment, source::Warning};

/// A member and those who look at it.
pub(super) struct Engine {
    pub(super) node: Node,
    pub(super) post: Post,
    watch: Watch,
    profile: Profile,
    readers: Vec<Weak<Reader>>,
    was_deaf: bool,
    forgets_at: Tick,
}

/// What is to be done outside.
#[derive(Debug, Default)]
pub(super) struct Errands {
    pub(super) datagrams: Vec<(SocketAddr, Vec<u8>)>,
    /// Backends that should be connected to, and their nodes.
    pub(super) connections: Vec<(SocketAddr, SocketAddr)>,
}

impl Engine {
    pub(super) fn new(node: Node, post: Post, profile: Profile, now: Tick) -> Self {
        Self {
            node,
            post,
            watch: Watch::new(profile.period(), now),
            profile,
            readers: Vec::new(),
            was_deaf: false,
            forgets_at: now + FORGET,
        }
    }

    /// Somebody looks at it from now on.
    pub(super) fn add(&mut self, reader: Weak<Reader>, now: Tick) {
        self.readers.push(reader);
        self.mind(now);
    }

    /// Takes a datagram that came from there.
    pub(super) fn hear(&mut self, bytes: &[u8], from: IpAddr, now: Moment) {
        match self.post.read(bytes, from, now) {
            Ok((sender, body)) => {
                if self.watch.hear(sender, now.tick) {
                    self.change(now.tick);
                }
                self.node.hear(sender, body, now.tick);
            }
            Err((_, true)) => self.change(now.tick),
            Err((_, false)) => {}
        }
    }

    /// What came of a connection to the backend of a node, begun then.
    pub(super) fn tried(&mut self, node: SocketAddr, begun: Tick, answer: Answer, now: Tick) {
        if self.watch.tried(node, begun, answer, now) {
            self.change(now);
        }
    }

    /// Does what is due, and says what is to be done outside.
    pub(super) fn turn(&mut self, now: Moment) -> Errands {
        let mut errands = Errands::default();
        self.node.turn(now.tick);
        self.take_news(now.tick);
        let (steps, is_news) = self.watch.turn(now.tick);
        let is_deaf = self.watch.deaf(now.tick).is_some();
        if is_news || std::mem::replace(&mut self.was_deaf, is_deaf) != is_deaf {
            self.change(now.tick);
        }
        for step in steps {
            match step {
                Step::Ask(node) => self.write(&mut errands, node, Body::Ask, now),
                Step::Connect { node, backend } => errands.connections.push((node, backend)),
            }
        }
        for (to, body) in self.node.take_letters() {
            self.write(&mut errands, to, body, now);
        }
        if self.post.expire(now.tick) {
            self.change(now.tick);
        }
        if self.forgets_at <= now.tick {
            self.forgets_at = now.tick + FORGET;
            self.node.forget(|node| self.watch.minds(node));
        }
        errands
    }

    /// When to come back, if nothing is heard.
    pub(super) fn wakes_at(&self, now: Tick) -> Tick {
        let node = self.node.wakes_at();
        if self.watch.is_idle() { node } else { node.min(now + self.profile.period() / 6) }
    }

    /// What a cluster has to say now, and if nothing, when it may have.
    pub(super) fn answer(&self, reader: &Reader, now: Tick) -> Result<Said, Option<Tick>> {
        let warnings: Vec<Warning> = self.post.complaints.warnings().collect();
        let is_informed = self.node.members() > 0 && self.node.is_informed();
        let sight = Sight {
            table: self.node.table(),
            watch: &self.watch,
            is_informed,
            warnings: &warnings,
            now,
        };
        let mut view = reader.view();
        view.answer(sight).ok_or_else(|| view.wakes_at(is_informed))
    }

    fn write(&mut self, errands: &mut Errands, to: SocketAddr, body: Body, now: Moment) {
        // One that is too long was made by nobody here.
        errands.datagrams.extend(self.post.write(body, now.unix_ms).map(|bytes| (to, bytes)));
    }

    fn take_news(&mut self, now: Tick) {
        let news = self.node.take_news();
        if news.is_empty() {
            return;
        }
        self.mind(now);
        for one in news {
            match one {
                News::Came(node) => self.watch.give_up(node, false),
                News::Went(node) => self.watch.give_up(node, true),
                News::Says(node) => self.count_refusals(node),
            }
        }
        self.change(now);
    }

    fn count_refusals(&self, node: SocketAddr) {
        let Some(entry) = self.node.table().of(node) else { return };
        let readers = self.readers.iter().filter_map(Weak::upgrade);
        for refusal in readers.filter_map(|reader| reader.view().refusal(entry)) {
            self.post.refusals.count(refusal);
        }
    }

    /// Watches those that offer something to one of the clusters.
    fn mind(&mut self, now: Tick) {
        self.readers.retain(|reader| reader.strong_count() > 0);
        let readers = self.readers.iter().filter_map(Weak::upgrade);
        let places: BTreeMap<_, _> =
            readers.flat_map(|reader| reader.view().places(self.node.table())).collect();
        self.watch.mind(&places, now);
    }

    fn change(&self, now: Tick) {
        for reader in self.readers.iter().filter_map(Weak::upgrade) {
            reader.view().change(now);
            reader.told.notify_one();
        }
    }
}

/// How often those are forgotten who have gone.
const FORGET: Duration = Duration::from_secs(60);
