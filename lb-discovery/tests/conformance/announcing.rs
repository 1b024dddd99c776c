//! Nodes that announce themselves, all by way of one machine.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lb_core::Membership;
use lb_discovery::{
    Source,
    announce::{Announced, Datagram, Grant, Inboxes, Key, Place, Policy, Record, State},
};

use crate::benches::Bench;

/// What was announced last, and to whom.
#[derive(Debug, Default)]
pub(crate) struct Announcing {
    set: Membership,
    to: Option<SocketAddr>,
    number: u64,
}

impl Announcing {
    fn say(&mut self, address: &str, state: State) {
        let (Some(to), Ok(address)) = (self.to, address.parse()) else { return };
        self.number += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let datagram = Datagram {
            boot_id: 1,
            number: self.number,
            sent_ms: u64::try_from(now.as_millis()).unwrap(),
            // Nobody repeats it.
            ttl: Duration::from_secs(600),
            record: Record { state, ..Record::new("web", Place::Address(address)) },
        };
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&datagram.seal(&key()).unwrap(), to).unwrap();
    }
}

fn key() -> Key {
    Key::new([7; Key::LENGTH])
}

impl Bench for Announcing {
    fn write(&mut self, set: &Membership) {
        let before = std::mem::replace(&mut self.set, set.clone());
        for gone in before.iter().filter(|one| !set.iter().any(|two| two.name() == one.name())) {
            self.say(gone.address(), State::Down);
        }
        for backend in set.iter() {
            self.say(backend.address(), State::Up);
        }
    }

    fn source(&mut self) -> Box<dyn Source> {
        let grant = Grant { relay: true, ..Grant::default() };
        let policy = Policy {
            cluster: "web".into(),
            keys: vec![(key(), grant)],
            max_skew: Duration::from_secs(30),
        };
        let bind = ([127, 0, 0, 1], 0).into();
        let source = Announced::new(&Inboxes::default(), bind, Vec::new(), policy);
        source.open().unwrap();
        self.to = source.address();
        self.write(&self.set.clone());
        Box::new(source)
    }

    /// Silence is no error as long as the time of the last words is not over.
    fn destroy(&mut self) -> bool {
        false
    }
}
