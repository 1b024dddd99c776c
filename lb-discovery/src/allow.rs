//! What a source may say.
//!
//! A backend gets the requests of our clients, with their cookies. Whoever can make
//! us send them somewhere can read them, or reach through us what listens on
//! loopback only. So a source is believed as far as its author is: what the
//! operator wrote in a file may name anything, what arrives over a network only
//! what it was granted. What is refused is left out and explained; the rest of the
//! set is used.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use lb_core::{Backend, Weight};

use crate::endpoint::{Endpoint, Host};

/// The grant of one source. `default()` is for sources that listen to a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// Where backends may be; empty: anywhere.
    pub networks: Vec<IpNet>,
    /// The largest weight a backend may ask for.
    pub max_weight: Weight,
    /// How many backends there may be. Those beyond are left out from the end.
    pub max_backends: usize,
    /// Whether a host may be a name. It says nothing about the network, and may say
    /// something else tomorrow.
    pub host_names: bool,
    /// Whether backends may be on this machine's loopback.
    pub loopback: bool,
    /// Whether backends may have link-local addresses, which is where clouds keep
    /// the credentials of a machine.
    pub link_local: bool,
    /// Where this balancer itself listens: never a backend, requests would go round
    /// in circles.
    pub listeners: Vec<SocketAddr>,
}

impl Default for Allow {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            max_weight: Weight::MAX,
            max_backends: 10_000,
            host_names: false,
            loopback: false,
            link_local: false,
            listeners: Vec::new(),
        }
    }
}

impl Allow {
    /// The grant of what the operator of this machine wrote: files, folders,
    /// variables.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            max_backends: usize::MAX,
            host_names: true,
            loopback: true,
            link_local: true,
            ..Self::default()
        }
    }

    /// Why this backend is refused, as the end of a sentence; `None` if it is not.
    /// O(networks + listeners).
    #[must_use]
    pub fn refusal(&self, backend: &Backend) -> Option<String> {
        if backend.weight() > self.max_weight {
            let (weight, most) = (backend.weight(), self.max_weight);
            return Some(format!("weight {weight} is above {most}, the most this source may give"));
        }
        let address = backend.address();
        match Endpoint::parse(address, None) {
            Ok(Endpoint { host: Host::Ip(ip), port }) => self.refusal_of_ip(ip, port),
            Ok(Endpoint { host: Host::Name(name), .. }) => self.refusal_of_name(&name),
            Err(_) if self.believes_any_name() => None,
            Err(error) => Some(format!("`{address}` is not an address: {error}")),
        }
    }

    fn refusal_of_ip(&self, ip: IpAddr, port: u16) -> Option<String> {
        let is_link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        let is_us = |own: &SocketAddr| {
            own.port() == port && (own.ip() == ip || own.ip().is_unspecified() && ip.is_loopback())
        };
        if self.listeners.iter().any(is_us) {
            Some(format!("{ip} port {port} is this balancer itself"))
        } else if ip.is_loopback() && !self.loopback {
            Some(format!("{ip} is loopback, which this source may not use"))
        } else if is_link_local && !self.link_local {
            Some(format!("{ip} is link-local, which this source may not use"))
        } else if ip.is_multicast() || ip == IpAddr::from([255; 4]) {
            Some(format!("{ip} is no single host"))
        } else if !self.networks.is_empty() && !self.networks.iter().any(|net| net.contains(&ip)) {
            Some(format!("{ip} is outside the networks of this source"))
        } else {
            None
        }
    }

    fn refusal_of_name(&self, name: &str) -> Option<String> {
        let is_local = name == "localhost" || name.ends_with(".localhost");
        if !self.host_names {
            Some(format!("`{name}` is a name, and this source may use addresses only"))
        } else if is_local && !self.loopback {
            Some(format!("`{name}` is loopback, which this source may not use"))
        } else if !self.networks.is_empty() {
            Some(format!("`{name}` is a name, which is in no network"))
        } else {
            None
        }
    }

    fn believes_any_name(&self) -> bool {
        self.host_names && self.loopback && self.link_local && self.networks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(allow: &Allow, address: &str) -> String {
        allow.refusal(&Backend::new(address)).unwrap_or_default()
    }

    #[test]
    fn what_the_operator_wrote_may_name_anything_but_ourselves() {
        let own = ["0.0.0.0:8080".parse().unwrap(), "10.0.0.1:80".parse().unwrap()];
        let allow = Allow { listeners: own.to_vec(), ..Allow::everything() };
        for address in ["127.0.0.1:80", "[fe80::1]:80", "web:80", "10.0.0.1:81", "unix:/x"] {
            assert_eq!(refusal(&allow, address), "");
        }
        for address in ["127.0.0.1:8080", "10.0.0.1:80"] {
            assert!(refusal(&allow, address).contains("this balancer itself"), "{address}");
        }
    }

    #[test]
    fn what_a_network_says_names_no_host_that_only_we_can_reach() {
        let allow = Allow::default();
        for (address, reason) in [
            ("10.0.0.1:80", ""),
            ("[2001:db8::1]:80", ""),
            ("127.0.0.1:80", "loopback"),
            ("[::1]:80", "loopback"),
            ("[::ffff:127.0.0.1]:80", "loopback"),
            ("169.254.169.254:80", "link-local"),
            ("[fe80::1]:80", "link-local"),
            ("224.0.0.1:80", "no single host"),
            ("255.255.255.255:80", "no single host"),
            ("web:80", "addresses only"),
            ("unix:/run/docker.sock", "is not an address"),
        ] {
            let refused = refusal(&allow, address);
            assert!(refused.contains(reason), "{address}: {refused}");
            assert_eq!(refused.is_empty(), reason.is_empty(), "{address}: {refused}");
        }
    }

    #[test]
    fn a_grant_can_be_widened_or_narrowed_by_field() {
        let allow = Allow {
            networks: vec!["10.1.0.0/16".parse().unwrap(), "127.0.0.0/8".parse().unwrap()],
            max_weight: Weight::new(10).unwrap(),
            loopback: true,
            host_names: true,
            ..Allow::default()
        };
        assert_eq!(refusal(&allow, "10.1.2.3:80"), "");
        assert_eq!(refusal(&allow, "127.0.0.1:80"), "");
        assert!(refusal(&allow, "10.2.2.3:80").contains("outside the networks"));
        assert!(refusal(&allow, "web:80").contains("in no network"));
        let heavy = Backend::new("10.1.2.3:80").weighted(Weight::new(11).unwrap());
        assert!(allow.refusal(&heavy).unwrap().contains("weight 11 is above 10"));
        let named = Allow { host_names: true, ..Allow::default() };
        assert_eq!(refusal(&named, "web:80"), "");
        assert!(refusal(&named, "localhost:80").contains("loopback"));
        assert!(refusal(&named, "a.localhost:80").contains("loopback"));
    }
}
