//! Nodes that tell each other who is there, all in one process.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use lb_core::Membership;
use lb_discovery::{
    Source,
    announce::{Grant, Key, Place, Record, State},
    gossip::{Gossiped, Gossiper, Meshes, Policy, Profile, Ring, Settings},
};

use crate::benches::Bench;

/// The nodes that are there, by the address of their backend, and whom they join.
#[derive(Debug, Default)]
pub(crate) struct Gossiping {
    set: Membership,
    nodes: BTreeMap<String, Gossiper>,
    join: Option<SocketAddr>,
}

fn settings(join: Option<SocketAddr>) -> Settings {
    Settings {
        bind: ([127, 0, 0, 1], 0).into(),
        advertise: None,
        join: join.into_iter().map(|join| join.to_string().into()).collect(),
        ring: Ring::new([Key::new([7; Key::LENGTH])]),
        insecure: false,
        profile: Profile::Fast,
        max_skew: Duration::from_secs(30),
    }
}

impl Bench for Gossiping {
    fn write(&mut self, set: &Membership) {
        self.set = set.clone();
        if self.join.is_none() {
            return;
        }
        let is_meant = |address: &str| set.iter().any(|backend| backend.address() == address);
        let gone: Vec<_> = self.nodes.keys().filter(|node| !is_meant(node)).cloned().collect();
        for mut node in gone.iter().filter_map(|address| self.nodes.remove(address)) {
            tokio::spawn(async move { node.leave().await });
        }
        for backend in set.iter() {
            let address = backend.address().to_owned();
            let place = Place::Address(address.parse().unwrap());
            let node = self.nodes.entry(address).or_insert_with(|| {
                Gossiper::new(settings(self.join), Record::new("web", place)).unwrap()
            });
            node.say(State::Up).unwrap();
        }
    }

    fn source(&mut self) -> Box<dyn Source> {
        let grant = Grant { relay: true, ..Grant::default() };
        let policy = Policy { cluster: "web".into(), grant };
        let mut source = Gossiped::new(&Meshes::default(), settings(None), policy);
        source.open().unwrap();
        self.join = source.address();
        self.nodes.clear();
        self.write(&self.set.clone());
        Box::new(source)
    }

    /// Silence of the others is no error as long as one can tell that it is theirs.
    fn destroy(&mut self) -> bool {
        false
    }
}
