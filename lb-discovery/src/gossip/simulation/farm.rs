//! The world: a network, its nodes, and a balancer that looks at them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::SocketAddr,
};

use lb_core::{Tick, sample::mix};

use super::super::{
    body::Body,
    node::Node,
    profile::Profile,
    watch::{Answer, Step, Watch},
};
use crate::announce::Record;

/// When a node was started, by the clock on the wall.
const WALL: u64 = 1_790_000_000_000;

/// How badly a network carries.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    /// Of a hundred packets, so many are lost,
    pub(super) loss: u64,
    /// and so many come twice.
    pub(super) twice: u64,
    /// All are late by less than this, in milliseconds.
    pub(super) delay: u64,
}

pub(super) const CALM: Weather = Weather { loss: 0, twice: 0, delay: 2 };
pub(super) const ROUGH: Weather = Weather { loss: 5, twice: 2, delay: 10 };

/// What becomes of connections to the backend of a node that is dead.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Death {
    Refuses,
    BlackHole,
    /// Only the agent has died.
    Answers,
}

enum Event {
    Letter { from: usize, to: usize, body: Body },
    Tried { node: usize, begun: u64, answer: Answer },
}

pub(super) struct Farm {
    pub(super) now: u64,
    draws: u64,
    weather: Weather,
    profile: Profile,
    pub(super) nodes: Vec<Option<Node>>,
    wakes: Vec<u64>,
    deaths: BTreeMap<usize, Death>,
    /// Those in one half of a network that is cut in two.
    pub(super) apart: Vec<usize>,
    events: BinaryHeap<Reverse<(u64, u64, usize)>>,
    in_flight: Vec<Option<Event>>,
    pub(super) watch: Watch,
    pub(super) sent: u64,
}

pub(super) fn address(node: usize) -> SocketAddr {
    ([10, 0, 0, u8::try_from(node).unwrap()], 7946).into()
}

pub(super) fn record(node: usize) -> String {
    format!("cluster=c port=80 name=n{node}")
}

impl Farm {
    pub(super) fn new(count: usize, profile: Profile, weather: Weather, seed: u64) -> Self {
        let watch = Watch::new(profile.period(), Tick::ZERO);
        let mut farm = Self {
            now: 0,
            draws: mix(seed),
            weather,
            profile,
            nodes: Vec::new(),
            wakes: Vec::new(),
            deaths: BTreeMap::new(),
            apart: Vec::new(),
            events: BinaryHeap::new(),
            in_flight: Vec::new(),
            watch,
            sent: 0,
        };
        for node in 0..count {
            farm.nodes.push(None);
            farm.wakes.push(u64::MAX);
            farm.start(node);
        }
        farm
    }

    pub(super) fn start(&mut self, node: usize) {
        let seeds = if node == 0 { Vec::new() } else { vec![address(0)] };
        let entropy = self.draw(u64::MAX);
        let boot = WALL + self.now + self.draw(1_000);
        let mut member = Node::new(address(node), boot, self.profile, seeds, entropy, self.tick());
        if node > 0 {
            member.offer(Some(record(node).into()));
        }
        self.deaths.remove(&node);
        self.nodes[node] = Some(member);
        self.wakes[node] = self.now;
    }

    pub(super) fn kill(&mut self, node: usize, death: Death) {
        self.nodes[node] = None;
        self.wakes[node] = u64::MAX;
        self.deaths.insert(node, death);
    }

    pub(super) fn tick(&self) -> Tick {
        Tick::from_millis(self.now)
    }

    pub(super) fn draw(&mut self, below: u64) -> u64 {
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.draws) % below
    }

    pub(super) fn run(&mut self, millis: u64) {
        let until = self.now + millis;
        while self.now < until {
            self.step();
        }
    }

    /// Runs until this is so, and says how long it took.
    pub(super) fn until(&mut self, most: u64, what: impl Fn(&Self) -> bool) -> u64 {
        let begin = self.now;
        while !what(self) {
            assert!(self.now - begin < most, "not within {most} ms");
            self.step();
        }
        self.now - begin
    }

    /// One millisecond.
    fn step(&mut self) {
        self.now += 1;
        while self.events.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            let Some(Reverse((.., event))) = self.events.pop() else { break };
            match self.in_flight[event].take().unwrap() {
                Event::Letter { from, to, body } => self.deliver(from, to, body),
                Event::Tried { node, begun, answer } => {
                    let (begun, now) = (Tick::from_millis(begun), self.tick());
                    self.watch.tried(address(node), begun, answer, now);
                }
            }
        }
        for node in 0..self.nodes.len() {
            if self.wakes[node] <= self.now {
                let now = self.tick();
                self.nodes[node].as_mut().unwrap().turn(now);
                self.after(node);
            }
        }
        if self.now.is_multiple_of(10) {
            self.observe();
        }
    }

    fn deliver(&mut self, from: usize, to: usize, body: Body) {
        let now = self.tick();
        let Some(node) = &mut self.nodes[to] else { return };
        if to == 0 {
            self.watch.hear(address(from), now);
        }
        node.hear(address(from), body, now);
        self.after(to);
    }

    /// Sends what a node has to say.
    pub(super) fn after(&mut self, node: usize) {
        let member = self.nodes[node].as_mut().unwrap();
        let letters = member.take_letters();
        self.wakes[node] = member.wakes_at().as_nanos().div_ceil(1_000_000);
        let _ = member.take_news();
        for (to, body) in letters {
            let to = (0..self.nodes.len()).find(|other| address(*other) == to).unwrap();
            self.send(node, to, &body);
        }
    }

    fn send(&mut self, from: usize, to: usize, body: &Body) {
        self.sent += 1;
        let is_cut = self.apart.contains(&from) != self.apart.contains(&to);
        let copies = match self.draw(100) {
            _ if is_cut => 0,
            part if part < self.weather.loss => 0,
            part if part < self.weather.loss + self.weather.twice => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late = 1 + self.draw(self.weather.delay);
            self.later(late, Event::Letter { from, to, body: body.clone() });
        }
    }

    fn later(&mut self, late: u64, event: Event) {
        let order = self.in_flight.len();
        self.events.push(Reverse((self.now + late, order as u64, order)));
        self.in_flight.push(Some(event));
    }

    /// What the balancer does beside gossip.
    fn observe(&mut self) {
        let now = self.tick();
        let Some(balancer) = &self.nodes[0] else { return };
        let offers = balancer
            .table()
            .iter()
            .filter_map(|entry| entry.record.as_ref().map(|record| (entry, record)));
        let up = offers.filter(|(_, record)| !record.ends_with("state=down"));
        let backends = up.map(|(entry, _)| {
            let node = entry.version.node;
            (node, SocketAddr::new(node.ip(), 80))
        });
        let backends: BTreeMap<_, _> = backends.collect();
        self.watch.mind(&backends, now);
        for node in backends.keys() {
            self.watch.give_up(*node, !balancer.is_member(*node));
        }
        for step in self.watch.turn(now).0 {
            match step {
                Step::Ask(node) => {
                    let to = (0..self.nodes.len()).find(|other| address(*other) == node).unwrap();
                    self.send(0, to, &Body::Ask);
                }
                Step::Connect { node, .. } => {
                    let node = (0..self.nodes.len()).find(|other| address(*other) == node).unwrap();
                    self.connect(node);
                }
            }
        }
    }

    fn connect(&mut self, node: usize) {
        let is_lost = self.draw(100) < self.weather.loss || self.draw(100) < self.weather.loss;
        let is_cut = self.apart.contains(&0) != self.apart.contains(&node);
        let answer = match self.deaths.get(&node) {
            Some(Death::BlackHole) => return,
            Some(Death::Refuses) => Answer::Refused,
            Some(Death::Answers) | None => Answer::Accepted,
        };
        // A packet that is lost is sent again after a second.
        let late = if is_lost { 1_000 } else { 2 } + self.draw(self.weather.delay);
        if !is_cut {
            self.later(late, Event::Tried { node, begun: self.now, answer });
        }
    }

    /// Whom the balancer sends requests to.
    pub(super) fn backends(&self) -> Vec<usize> {
        let balancer = self.nodes[0].as_ref().unwrap();
        let is_there = |node: &usize| {
            let up = Record::parse(record(*node).as_bytes()).unwrap();
            let entry = balancer.table().of(address(*node));
            let said = entry.and_then(|entry| entry.record.as_deref());
            said == Some(&*up.to_string()) && !self.watch.is_lost(address(*node))
        };
        (1..self.nodes.len()).filter(is_there).collect()
    }

    /// Whether each that lives knows each other that lives, and what it offers.
    pub(super) fn is_whole(&self) -> bool {
        let living = || self.nodes.iter().flatten();
        let count = living().count();
        living().all(|node| node.members() == count - 1 && node.is_informed())
            && self.backends().len() == self.nodes.iter().skip(1).flatten().count()
    }
}
