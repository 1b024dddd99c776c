//! The closed list of strategies that a configuration file knows.

use std::{fmt, str::FromStr};

use super::{
    BoundedLoad, ByBusyness, ByTraffic, Compat, First, IpHash, Jump, LeastConn, LeastTime, Maglev,
    P2c, PeakEwma, Prequal, Random, Rendezvous, ReportedLoad, Ring, RoundRobin, Strategy,
    StrategyOption, StrategyOptions, maglev::EnvoyMaglev,
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
    /// [`ReportedLoad`]
    ReportedLoad,
    /// [`Prequal`]
    Prequal,
    /// [`IpHash`]
    IpHash,
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
        Self::PeakEwma,
        Self::LeastTime,
        Self::First,
        Self::ByTraffic,
        Self::ByBusyness,
        Self::ReportedLoad,
        Self::Prequal,
        Self::IpHash,
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
            Self::PeakEwma => "peak-ewma",
            Self::LeastTime => "least-time",
            Self::First => "first",
            Self::ByTraffic => "bytraffic",
            Self::ByBusyness => "bybusyness",
            Self::ReportedLoad => "reported-load",
            Self::Prequal => "prequal",
            Self::IpHash => "ip-hash",
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
            "ewma" | "peak_ewma" | "peakewma" => Some(Self::PeakEwma),
            "least_time" | "leasttime" | "least-response-time" => Some(Self::LeastTime),
            "by-traffic" | "by_traffic" => Some(Self::ByTraffic),
            "by-busyness" | "by_busyness" => Some(Self::ByBusyness),
            "ip_hash" => Some(Self::IpHash),
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
            Self::RoundRobin => &[StrategyOption::Tickets],
            Self::P2c => &[StrategyOption::Draws, StrategyOption::Memory],
            Self::PeakEwma => &[StrategyOption::Decay],
            Self::LeastTime => &[StrategyOption::Measure],
            Self::Random | Self::LeastConn | Self::First | Self::ByTraffic | Self::ByBusyness => {
                &[]
            }
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
            Self::ReportedLoad => {
                let draws = options.draws.unwrap_or(ReportedLoad::DRAWS);
                Box::new(ReportedLoad::new(draws, options.stale_after))
            }
            Self::Prequal => Box::new(Prequal),
            Self::IpHash => Box::new(IpHash::default()),
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
