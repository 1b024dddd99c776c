//! The closed list of strategies that a configuration file knows.

use std::{fmt, str::FromStr};

use super::{
    BoundedLoad, ByBusyness, ByTraffic, Compat, First, HaproxyHash, IpHash, Jump, LeastConn,
    LeastTime, Maglev, NginxConsistent, NginxHash, P2c, PeakEwma, Prequal, Random, Rendezvous,
    ReportedLoad, Ring, RoundRobin, Strategy, StrategyOption, StrategyOptions, maglev::EnvoyMaglev,
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
        Self::PeakEwma,
        Self::LeastTime,
        Self::First,
        Self::ByTraffic,
        Self::ByBusyness,
        Self::ReportedLoad,
        Self::Prequal,
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
            Self::PeakEwma => "peak-ewma",
            Self::LeastTime => "least-time",
            Self::First => "first",
            Self::ByTraffic => "bytraffic",
            Self::ByBusyness => "bybusyness",
            Self::ReportedLoad => "reported-load",
            Self::Prequal => "prequal",
            Self::IpHash => "ip-hash",
            Self::Ring => "ring",
            Self::Hash => "hash",
            Self::HashConsistent => "hash-consistent",
            Self::HaproxyHash => "haproxy-hash",
            Self::Maglev => "maglev",
            Self::Rendezvous => "rendezvous",
            Self::Jump => "jump",
        }
    }

    /// The strategy that other programs call this, in any case.
    ///
    /// Where they give one name to two things it is the thing: Envoy's `LEAST_REQUEST`
    /// compares two backends, and is [`P2c`].
    #[must_use]
    pub fn from_alias(alias: &str) -> Option<Self> {
        match &*alias.to_ascii_lowercase() {
            "rr"
            | "wrr"
            | "roundrobin"
            | "round_robin"
            | "static-rr"
            | "byrequests"
            | "weighted_round_robin" => Some(Self::RoundRobin),
            "leastconn" | "least_conn" | "least-connections" | "least_connections" => {
                Some(Self::LeastConn)
            }
            "power-of-two"
            | "random-two"
            | "random two"
            | "random two least_conn"
            | "two-choices"
            | "least_request"
            | "random_choose" => Some(Self::P2c),
            "pick_first" => Some(Self::First),
            "ewma" | "peak_ewma" | "peakewma" => Some(Self::PeakEwma),
            "least_time" | "least_time header" | "leasttime" | "least-response-time" => {
                Some(Self::LeastTime)
            }
            "by-traffic" | "by_traffic" => Some(Self::ByTraffic),
            "by-busyness" | "by_busyness" => Some(Self::ByBusyness),
            "ip_hash" => Some(Self::IpHash),
            "ring_hash" | "ring-hash" => Some(Self::Ring),
            "hrw" => Some(Self::Rendezvous),
            "jump-hash" => Some(Self::Jump),
            "hash_consistent" | "hash consistent" | "ketama" => Some(Self::HashConsistent),
            "source" => Some(Self::HaproxyHash),
            own => own.parse().ok(),
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

    #[test]
    fn names_of_other_programs_are_known() {
        for (aliases, kind) in [
            ("rr wrr roundrobin static-rr byrequests ROUND_ROBIN", StrategyKind::RoundRobin),
            ("leastconn least_conn", StrategyKind::LeastConn),
            ("LEAST_REQUEST P2C", StrategyKind::P2c),
            ("RANDOM", StrategyKind::Random),
            ("ewma peakewma", StrategyKind::PeakEwma),
            ("least_time leasttime", StrategyKind::LeastTime),
            ("bytraffic", StrategyKind::ByTraffic),
            ("bybusyness", StrategyKind::ByBusyness),
            ("pick_first", StrategyKind::First),
            ("ip_hash", StrategyKind::IpHash),
            ("RING_HASH", StrategyKind::Ring),
            ("MAGLEV", StrategyKind::Maglev),
            ("ketama HASH_CONSISTENT", StrategyKind::HashConsistent),
            ("source", StrategyKind::HaproxyHash),
            ("hrw", StrategyKind::Rendezvous),
        ] {
            for alias in aliases.split(' ') {
                assert_eq!(StrategyKind::from_alias(alias), Some(kind), "{alias}");
            }
        }
        assert_eq!(StrategyKind::from_alias("random two"), Some(StrategyKind::P2c));
        assert_eq!(StrategyKind::from_alias("fastest"), None);
    }
}
