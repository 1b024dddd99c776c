//! The closed list of strategies that a configuration file knows.

use std::{fmt, str::FromStr};

use super::{
    BoundedLoad, First, IpHash, LeastConn, Maglev, P2c, Prequal, Random, ReportedLoad, RoundRobin,
    Strategy, StrategyOption, StrategyOptions,
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
    /// [`ReportedLoad`]
    ReportedLoad,
    /// [`Prequal`]
    Prequal,
    /// [`IpHash`]
    IpHash,
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
        Self::First,
        Self::ReportedLoad,
        Self::Prequal,
        Self::IpHash,
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
            Self::First => "first",
            Self::ReportedLoad => "reported-load",
            Self::Prequal => "prequal",
            Self::IpHash => "ip-hash",
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
            "ip_hash" => Some(Self::IpHash),
            _ => None,
        }
    }

    /// The options that mean something to it.
    #[must_use]
    pub fn options(self) -> &'static [StrategyOption] {
        match self {
            Self::RoundRobin => &[StrategyOption::Tickets],
            Self::Random | Self::LeastConn | Self::P2c | Self::First => &[],
            Self::ReportedLoad => &[
                StrategyOption::Header,
                StrategyOption::Metric,
                StrategyOption::StaleAfter,
                StrategyOption::Draws,
            ],
            Self::Prequal => {
                &[StrategyOption::Header, StrategyOption::Metric, StrategyOption::Probes]
            }
            // Its key is the client's address, and nothing else.
            Self::IpHash => &[StrategyOption::Key],
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
            Self::P2c => Box::new(P2c),
            Self::First => Box::new(First),
            Self::ReportedLoad => {
                let draws = options.draws.unwrap_or(ReportedLoad::DRAWS);
                Box::new(ReportedLoad::new(draws, options.stale_after))
            }
            Self::Prequal => Box::new(Prequal),
            Self::IpHash => Box::new(IpHash::default()),
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
