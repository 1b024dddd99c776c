//! The closed list of strategies that a configuration file knows.

use std::{fmt, str::FromStr};

use super::{
    BoundedLoad, Compat, First, HaproxyHash, IpHash, Jump, LeastConn, Maglev, NginxConsistent,
    NginxHash, P2c, Random, Rendezvous, Ring, RoundRobin, Strategy, StrategyOption,
    StrategyOptions, maglev::EnvoyMaglev,
};

/// A strategy by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StrategyKind {
    /// [`RoundRobin`]
    RoundRobin,
    /// [`Random`]
    Random,
    /// [`LeastConn`]
    #[default]
    LeastConn,
    /// [`P2c`]
    P2c,
    /// [`First`]
    First,
    /// [`IpHash`]
    IpHash,
    /// [`NginxHash`]
    Hash,
    /// [`NginxConsistent`]
    HashConsistent,
    /// [`HaproxyHash`]
    HaproxyHash,
    /// [`Ring`]
    Ring,
    /// [`Maglev`]
    Maglev,
    /// [`Rendezvous`]
    Rendezvous,
    /// [`Jump`]
    Jump,
}

/// No strategy is called that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no strategy is called `{name}`")]
pub struct UnknownStrategy {
    /// What was asked for.
    pub name: String,
}

impl StrategyKind {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::RoundRobin,
        Self::Random,
        Self::LeastConn,
        Self::P2c,
        Self::First,
        Self::IpHash,
        Self::Hash,
        Self::HashConsistent,
        Self::HaproxyHash,
        Self::Ring,
        Self::Maglev,
        Self::Rendezvous,
        Self::Jump,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::Random => "random",
            Self::LeastConn => "least-conn",
            Self::P2c => "p2c",
            Self::First => "first",
            Self::IpHash => "ip-hash",
            Self::Hash => "hash",
            Self::HashConsistent => "hash-consistent",
            Self::HaproxyHash => "haproxy-hash",
            Self::Ring => "ring",
            Self::Maglev => "maglev",
            Self::Rendezvous => "rendezvous",
            Self::Jump => "jump",
        }
    }

    /// The strategy that other programs call this.
    #[must_use]
    pub fn from_alias(alias: &str) -> Option<Self> {
        match alias {
            "rr" | "wrr" | "roundrobin" | "round_robin" | "byrequests" => Some(Self::RoundRobin),
            "leastconn" | "least_conn" | "least-connections" | "least_request" => {
                Some(Self::LeastConn)
            }
            "power-of-two" | "random-two" | "two-choices" => Some(Self::P2c),
            "ip_hash" => Some(Self::IpHash),
            "hash_consistent" | "ketama" => Some(Self::HashConsistent),
            "ring_hash" | "ring-hash" => Some(Self::Ring),
            "hrw" => Some(Self::Rendezvous),
            "jump-hash" => Some(Self::Jump),
            _ => None,
        }
    }

    /// The options that mean something to it.
    #[must_use]
    pub fn options(self) -> &'static [StrategyOption] {
        match self {
            Self::RoundRobin | Self::Random | Self::LeastConn | Self::P2c | Self::First => &[],
            // Its key is the client's address, and nothing else.
            Self::IpHash => &[StrategyOption::Key],
            Self::Hash | Self::HashConsistent => {
                &[StrategyOption::Key, StrategyOption::BoundedLoad]
            }
            Self::HaproxyHash => &[
                StrategyOption::Key,
                StrategyOption::HashType,
                StrategyOption::Function,
                StrategyOption::Avalanche,
                StrategyOption::BoundedLoad,
            ],
            // Its hashes are Envoy's, which have no secret.
            Self::Ring => &[StrategyOption::Key, StrategyOption::BoundedLoad],
            Self::Maglev => &[
                StrategyOption::Key,
                StrategyOption::BoundedLoad,
                StrategyOption::Secret,
                StrategyOption::Compat,
            ],
            Self::Rendezvous | Self::Jump => {
                &[StrategyOption::Key, StrategyOption::BoundedLoad, StrategyOption::Secret]
            }
        }
    }

    /// Whether picks go by a key.
    #[must_use]
    pub fn needs_key(self) -> bool {
        self.options().contains(&StrategyOption::Key)
    }

    /// The factor of [`BoundedLoad::Usual`]; `None` where loads are not bounded unless
    /// said.
    #[must_use]
    pub fn usual_bound(self) -> Option<f64> {
        matches!(self, Self::Maglev | Self::Rendezvous | Self::Jump).then_some(BoundedLoad::USUAL)
    }

    /// A strategy of this kind with default options.
    #[must_use]
    pub fn build(self) -> Box<dyn Strategy> {
        self.build_with(&StrategyOptions::default())
    }

    /// A strategy of this kind with these options.
    #[must_use]
    pub fn build_with(self, options: &StrategyOptions) -> Box<dyn Strategy> {
        let bound = options.bounded_load.or_usual(self.usual_bound());
        match self {
            Self::RoundRobin => Box::new(RoundRobin::default()),
            Self::Random => Box::new(Random),
            Self::LeastConn => Box::new(LeastConn::default()),
            Self::P2c => Box::new(P2c),
            Self::First => Box::new(First),
            Self::IpHash => Box::new(IpHash::default()),
            Self::Hash => Box::new(NginxHash::default().bounded(bound)),
            Self::HashConsistent => Box::new(NginxConsistent::default().bounded(bound)),
            Self::HaproxyHash => Box::new(HaproxyHash::new(options)),
            Self::Ring => Box::new(Ring::default().bounded(bound)),
            Self::Maglev if options.compat == Some(Compat::Envoy) => {
                Box::new(EnvoyMaglev::bounded(options.bounded_load.or_usual(None)))
            }
            Self::Maglev => {
                let maglev = options.secret.map_or_else(Maglev::default, Maglev::new);
                Box::new(maglev.bounded(bound))
            }
            Self::Rendezvous => {
                let rendezvous = options.secret.map_or_else(Rendezvous::default, Rendezvous::new);
                Box::new(rendezvous.bounded(bound))
            }
            Self::Jump => {
                let jump = options.secret.map_or_else(Jump::default, Jump::new);
                Box::new(jump.bounded(bound))
            }
        }
    }
}

impl FromStr for StrategyKind {
    type Err = UnknownStrategy;

    /// By exact name; aliases are not names.
    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        let kind = Self::ALL.iter().copied().find(|kind| kind.name() == name);
        kind.ok_or_else(|| UnknownStrategy { name: name.to_owned() })
    }
}

impl fmt::Display for StrategyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_the_name_of_what_it_builds() {
        for kind in StrategyKind::ALL {
            assert_eq!(kind.build().name(), kind.name());
            assert_eq!(kind.name().parse(), Ok(*kind));
        }
        assert!("rr".parse::<StrategyKind>().is_err());
    }
}
