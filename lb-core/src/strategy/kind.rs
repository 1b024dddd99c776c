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
            Self::Hash => "hash",
            Self::HashConsistent => "hash-consistent",
            Self::HaproxyHash => "haproxy-hash",
            Self::Ring => "ring",
            Self::Maglev => "maglev",
            Self::Rendezvous => "rendezvous",
            Self::Jump => "jump",
        }
    }

    /// The strategy that HAProxy, nginx, Apache, Envoy or Traefik call this, in small or
    /// capital letters.
    ///
    /// Where they give one name to two things it is the thing: Envoy's `LEAST_REQUEST`
    /// compares two backends, and is [`P2c`].
    #[must_use]
    pub fn from_alias(alias: &str) -> Option<Self> {
        Some(match &*alias.to_ascii_lowercase() {
            "rr"
            | "wrr"
            | "roundrobin"
            | "round_robin"
            | "static-rr"
            | "byrequests"
            | "weighted_round_robin" => Self::RoundRobin,
            "leastconn" | "least_conn" | "least-connections" | "least_connections" => {
                Self::LeastConn
            }
            "power-of-two"
            | "random-two"
            | "random two"
            | "random two least_conn"
            | "two-choices"
            | "least_request"
            | "random_choose" => Self::P2c,
            "ewma" | "peak_ewma" | "peakewma" => Self::PeakEwma,
            "least_time" | "least_time header" | "leasttime" | "least-response-time" => {
                Self::LeastTime
            }
            "by-traffic" | "by_traffic" => Self::ByTraffic,
            "by-busyness" | "by_busyness" => Self::ByBusyness,
            "pick_first" => Self::First,
            "ip_hash" => Self::IpHash,
            "hash_consistent" | "hash consistent" | "ketama" => Self::HashConsistent,
            "source" => Self::HaproxyHash,
            "ring_hash" | "ring-hash" => Self::Ring,
            "hrw" => Self::Rendezvous,
            "jump-hash" => Self::Jump,
            own => return own.parse().ok(),
        })
    }

    /// The options that mean something to it.
    #[must_use]
    pub fn options(self) -> &'static [StrategyOption] {
        use StrategyOption as Of;
        match self {
            Self::RoundRobin => &[Of::Tickets],
            Self::Random | Self::LeastConn | Self::First | Self::ByTraffic | Self::ByBusyness => {
                &[]
            }
            Self::P2c => &[Of::Draws, Of::Memory],
            Self::PeakEwma => &[Of::Decay],
            Self::LeastTime => &[Of::Measure],
            Self::ReportedLoad => &[Of::Header, Of::Metric, Of::StaleAfter, Of::Draws],
            Self::Prequal => &[Of::Header, Of::Metric, Of::Probes],
            // Its key is the client's address, and nothing else.
            Self::IpHash => &[Of::Key],
            // Theirs are the hashes of others, which have no secret.
            Self::Hash | Self::HashConsistent | Self::Ring => &[Of::Key, Of::BoundedLoad],
            Self::HaproxyHash => {
                &[Of::Key, Of::HashType, Of::Function, Of::Avalanche, Of::BoundedLoad]
            }
            Self::Maglev => &[Of::Key, Of::BoundedLoad, Of::Secret, Of::Compat],
            Self::Rendezvous | Self::Jump => &[Of::Key, Of::BoundedLoad, Of::Secret],
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
            Self::ByTraffic => Box::new(ByTraffic::default()),
            Self::ByBusyness => Box::new(ByBusyness::default()),
            Self::First => Box::new(First),
            Self::ReportedLoad => {
                let draws = options.draws.unwrap_or(ReportedLoad::DRAWS);
                Box::new(ReportedLoad::new(draws, options.stale_after))
            }
            Self::Prequal => Box::new(Prequal),
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
