//! The closed list of strategies that a configuration file knows.

use std::{fmt, str::FromStr};

use super::{
    BoundedLoad, ByBusyness, ByTraffic, First, HaproxyHash, IpHash, LeastConn, LeastTime, Maglev,
    NginxConsistent, NginxHash, P2c, PeakEwma, Random, RoundRobin, Strategy, StrategyOption,
    StrategyOptions,
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
    /// [`PeakEwma`]
    PeakEwma,
    /// [`LeastTime`]
    LeastTime,
    /// [`First`]
    First,
    /// [`ByTraffic`]
    ByTraffic,
    /// [`ByBusyness`]
    ByBusyness,
    /// [`IpHash`]
    IpHash,
    /// [`NginxHash`]
    Hash,
    /// [`NginxConsistent`]
    HashConsistent,
    /// [`HaproxyHash`]
    HaproxyHash,
    /// [`Maglev`]
    Maglev,
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
        Self::PeakEwma,
        Self::LeastTime,
        Self::First,
        Self::ByTraffic,
        Self::ByBusyness,
        Self::IpHash,
        Self::Hash,
        Self::HashConsistent,
        Self::HaproxyHash,
        Self::Maglev,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::Random => "random",
            Self::LeastConn => "least-conn",
            Self::P2c => "p2c",
            Self::PeakEwma => "peak-ewma",
            Self::LeastTime => "least-time",
            Self::First => "first",
            Self::ByTraffic => "bytraffic",
            Self::ByBusyness => "bybusyness",
            Self::IpHash => "ip-hash",
            Self::Hash => "hash",
            Self::HashConsistent => "hash-consistent",
            Self::HaproxyHash => "haproxy-hash",
            Self::Maglev => "maglev",
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
            "ewma" | "peak_ewma" | "peakewma" => Some(Self::PeakEwma),
            "least_time" | "leasttime" | "least-response-time" => Some(Self::LeastTime),
            "by-traffic" | "by_traffic" => Some(Self::ByTraffic),
            "by-busyness" | "by_busyness" => Some(Self::ByBusyness),
            "ip_hash" => Some(Self::IpHash),
            "hash_consistent" | "ketama" => Some(Self::HashConsistent),
            _ => None,
        }
    }

    /// The options that mean something to it.
    #[must_use]
    pub fn options(self) -> &'static [StrategyOption] {
        match self {
            Self::RoundRobin => &[StrategyOption::Tickets],
            Self::P2c => &[StrategyOption::Draws, StrategyOption::Memory],
            Self::PeakEwma => &[StrategyOption::Decay],
            Self::LeastTime => &[StrategyOption::Measure],
            Self::Random | Self::LeastConn | Self::First | Self::ByTraffic | Self::ByBusyness => {
                &[]
            }
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
            Self::Maglev => {
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
        matches!(self, Self::Maglev).then_some(BoundedLoad::USUAL)
    }

    /// A strategy of this kind with default options.
    #[must_use]
    pub fn build(self) -> Box<dyn Strategy> {
        self.build_with(&StrategyOptions::default())
    }

    /// A strategy of this kind with these options.
    #[must_use]
    pub fn build_with(self, options: &StrategyOptions) -> Box<dyn Strategy> {
        match self {
            Self::RoundRobin => Box::new(RoundRobin::default().tickets(options.tickets)),
            Self::Random => Box::new(Random),
            Self::LeastConn => Box::new(LeastConn::default()),
            Self::P2c => {
                let p2c = P2c::default().remembering(options.memory);
                Box::new(options.draws.map_or(p2c, |draws| p2c.drawing(draws)))
            }
            Self::PeakEwma => Box::new(PeakEwma::new(options.decay)),
            Self::LeastTime => Box::new(LeastTime::by(options.measure)),
            Self::First => Box::new(First),
            Self::ByTraffic => Box::new(ByTraffic::default()),
            Self::ByBusyness => Box::new(ByBusyness::default()),
            Self::IpHash => Box::new(IpHash::default()),
            Self::Hash => {
                let hash = NginxHash::default();
                Box::new(hash.bounded(options.bounded_load.or_usual(self.usual_bound())))
            }
            Self::HashConsistent => {
                let hash = NginxConsistent::default();
                Box::new(hash.bounded(options.bounded_load.or_usual(self.usual_bound())))
            }
            Self::HaproxyHash => Box::new(HaproxyHash::new(options)),
            Self::Maglev => {
                let maglev = options.secret.map_or_else(Maglev::default, Maglev::new);
                Box::new(maglev.bounded(options.bounded_load.or_usual(self.usual_bound())))
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
