//! What the holders of a key may announce.
//!
//! A node speaks for itself: it may announce the address its datagrams come from,
//! and more only where the operator wrote so. Loopback and link-local addresses are
//! open to nobody whose grant does not name a network of that kind.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use lb_core::{Backend, Weight};

use super::{
    record::{Place, Record},
    refusal::Refusal,
};

/// What the holders of one key may announce to one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where backends may be; empty: anywhere but on loopback and link-local.
    pub networks: Vec<IpNet>,
    /// The largest weight.
    pub max_weight: Weight,
    /// How many backends there may be at a time with this key.
    pub max_backends: usize,
    /// Whether they may announce other addresses than their own.
    pub relay: bool,
}

impl Default for Grant {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            max_weight: Weight::MAX,
            max_backends: usize::MAX,
            relay: false,
        }
    }
}

impl Grant {
    /// Where the backend of this record is, if that may be said from there.
    pub(crate) fn place(&self, record: &Record, from: IpAddr) -> Result<SocketAddr, Refusal> {
        let address = match record.place {
            Place::Address(address) => address,
            Place::Port(port) => SocketAddr::new(from, port),
        };
        if address.ip() != from && !self.relay {
            return Err(Refusal::Foreign);
        }
        if record.weight > self.max_weight || !self.reaches(address.ip()) {
            return Err(Refusal::Grant);
        }
        Ok(address)
    }

    /// Whether this backend, which was announced before, may still be.
    pub(super) fn permits(&self, backend: &Backend) -> bool {
        let address = backend.address().parse::<SocketAddr>();
        backend.weight() <= self.max_weight && address.is_ok_and(|at| self.reaches(at.ip()))
    }

    fn reaches(&self, ip: IpAddr) -> bool {
        let is_named = self.networks.iter().any(|net| {
            // A network that has all addresses is no word for those that are special.
            net.contains(&ip) && kind(net.addr()) == kind(ip)
        });
        is_named || self.networks.is_empty() && kind(ip) == Kind::Plain
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Loopback,
    LinkLocal,
}

fn kind(ip: IpAddr) -> Kind {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    match ip.is_loopback() {
        true => Kind::Loopback,
        false if is_link_local => Kind::LinkLocal,
        false => Kind::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(grant: &Grant, from: &str, record: &str) -> Result<String, Refusal> {
        let record = Record::parse(format!("cluster=c {record}").as_bytes()).unwrap();
        grant.place(&record, from.parse().unwrap()).map(|address| address.to_string())
    }

    #[test]
    fn a_node_speaks_for_itself_unless_its_key_relays() {
        let own = Grant::default();
        assert_eq!(place(&own, "10.0.0.1", "port=80"), Ok("10.0.0.1:80".to_owned()));
        assert_eq!(place(&own, "10.0.0.1", "address=10.0.0.1:80"), Ok("10.0.0.1:80".to_owned()));
        let other = "address=10.0.0.2:80";
        assert_eq!(place(&own, "10.0.0.1", other), Err(Refusal::Foreign));
        let relay = Grant { relay: true, ..Grant::default() };
        assert_eq!(place(&relay, "10.0.0.1", other), Ok("10.0.0.2:80".to_owned()));
    }

    #[test]
    fn special_addresses_need_a_network_of_their_kind() {
        let nets = |nets: &[&str]| Grant {
            networks: nets.iter().map(|net| net.parse().unwrap()).collect(),
            ..Grant::default()
        };
        for (networks, from, expected) in [
            (nets(&[]), "10.0.0.1", true),
            (nets(&[]), "127.0.0.1", false),
            (nets(&[]), "::1", false),
            (nets(&[]), "169.254.169.254", false),
            (nets(&["0.0.0.0/0"]), "127.0.0.1", false),
            (nets(&["0.0.0.0/0"]), "169.254.169.254", false),
            (nets(&["127.0.0.0/8"]), "127.0.0.1", true),
            (nets(&["127.0.0.0/8"]), "10.0.0.1", false),
            (nets(&["10.0.0.0/8", "::1/128"]), "::1", true),
            (nets(&["fe80::/10"]), "fe80::1", true),
        ] {
            let result = place(&networks, from, "port=80");
            assert_eq!(result.is_ok(), expected, "{networks:?} {from}");
        }
        let light = Grant { max_weight: Weight::new(3).unwrap(), ..Grant::default() };
        assert!(place(&light, "10.0.0.1", "port=80 weight=3").is_ok());
        assert_eq!(place(&light, "10.0.0.1", "port=80 weight=4"), Err(Refusal::Grant));
    }
}
