//! What can be said about a strategy besides its name.
//!
//! One flat set for all strategies: a configuration file is read into it without
//! knowing who reads what. [`StrategyKind::options`](super::StrategyKind::options)
//! says which of them mean something to a strategy, so that one that means nothing
//! is an error where it was written.

use std::time::Duration;

use crate::hash::Secret;

/// Options of strategies; each reads those that mean something to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StrategyOptions {
    /// How many requests in flight more than its share a backend may have.
    pub bounded_load: BoundedLoad,
    /// The secret of hashes; derived from the cluster's name unless said.
    pub secret: Option<Secret>,
    /// How many backends are compared, 2 to 8; what is usual for the strategy unless said.
    pub draws: Option<u8>,
    /// Whether the best backend of the last pick is compared again.
    pub memory: bool,
    /// In which time an average forgets all but 1/e of what it was.
    pub decay: Duration,
    /// How turns are handed out.
    pub tickets: Tickets,
    /// What a response time is.
    pub measure: Measure,
    /// Whose tables are to be the same, bit by bit.
    pub compat: Option<Compat>,
    /// How HAProxy's `hash-type` maps a hash to a server.
    pub hash_type: HashType,
    /// HAProxy's hash function; what is usual for the key unless said.
    pub function: Option<HashFunction>,
    /// Whether HAProxy mixes the bits of a hash once more; with
    /// [`HashType::Consistent`] and no function said, unless said.
    pub avalanche: Option<bool>,
    /// What kind of bytes keys are.
    pub key_form: KeyForm,
    /// After this time what a backend reported of itself means nothing any more.
    pub stale_after: Duration,
}

impl Default for StrategyOptions {
    fn default() -> Self {
        Self {
            bounded_load: BoundedLoad::Usual,
            secret: None,
            draws: None,
            memory: false,
            decay: Duration::from_secs(10),
            tickets: Tickets::Exact,
            measure: Measure::FirstByte,
            compat: None,
            hash_type: HashType::MapBased,
            function: None,
            avalanche: None,
            key_form: KeyForm::Text,
            stale_after: Duration::from_secs(10),
        }
    }
}

impl StrategyOptions {
    /// With which of HAProxy's functions keys are hashed.
    #[must_use]
    pub fn hash_function(&self) -> HashFunction {
        self.function.unwrap_or(HashFunction::Sdbm)
    }

    /// Whether HAProxy mixes the bits of a hash once more.
    #[must_use]
    pub fn mixes(&self) -> bool {
        let is_usual_ring = self.hash_type == HashType::Consistent && self.function.is_none();
        self.avalanche.unwrap_or(is_usual_ring)
    }
}

/// How many requests in flight more than its share a backend may have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum BoundedLoad {
    /// What is usual: 1.25 times where the strategy is nobody else's, any where it
    /// must agree with another program.
    #[default]
    Usual,
    /// Any.
    Off,
    /// So many times its share by weight; less than 1 is taken for 1.
    Factor(f64),
}

impl BoundedLoad {
    /// The usual factor.
    pub const USUAL: f64 = 1.25;

    /// The factor, where `usual` is what is meant unless said.
    #[must_use]
    pub fn or_usual(self, usual: Option<f64>) -> Option<f64> {
        match self {
            Self::Usual => usual,
            Self::Off => None,
            Self::Factor(factor) => Some(factor),
        }
    }
}

/// How turns are handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tickets {
    /// One after the other, over all workers.
    #[default]
    Exact,
    /// In blocks, one worker after the other.
    Blocks,
}

/// What a response time is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// Until the first byte of the answer.
    #[default]
    FirstByte,
    /// Until its last byte.
    LastByte,
}

/// Whose tables are to be the same, bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// Envoy's.
    Envoy,
}

/// HAProxy's `hash-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashType {
    /// A table of as many places as there is weight. Most keys move when it changes.
    #[default]
    MapBased,
    /// A ring of points. Few keys move.
    Consistent,
}

/// HAProxy's hash functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFunction {
    /// sdbm
    Sdbm,
    /// djb2
    Djb2,
    /// wt6
    Wt6,
    /// CRC-32
    Crc32,
    /// The key itself, as a number in decimal digits.
    None,
}

/// What kind of bytes keys are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyForm {
    /// Anything.
    #[default]
    Text,
    /// A client's address, as 4 or 16 octets.
    Address,
}

/// An option by name, as a configuration file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StrategyOption {
    /// What picks go by; not in [`StrategyOptions`], as it is read from requests.
    Key,
    /// [`StrategyOptions::bounded_load`]
    BoundedLoad,
    /// [`StrategyOptions::secret`]
    Secret,
    /// [`StrategyOptions::draws`]
    Draws,
    /// [`StrategyOptions::memory`]
    Memory,
    /// [`StrategyOptions::decay`]
    Decay,
    /// [`StrategyOptions::tickets`]
    Tickets,
    /// [`StrategyOptions::measure`]
    Measure,
    /// [`StrategyOptions::compat`]
    Compat,
    /// [`StrategyOptions::hash_type`]
    HashType,
    /// [`StrategyOptions::function`]
    Function,
    /// [`StrategyOptions::avalanche`]
    Avalanche,
    /// [`StrategyOptions::stale_after`]
    StaleAfter,
    /// In which header backends report their load; read from answers, like the next.
    Header,
    /// Which of the numbers in a report is the load.
    Metric,
    /// How backends are asked for their load; a matter of whoever sends requests.
    Probes,
}

impl StrategyOption {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Key,
        Self::BoundedLoad,
        Self::Secret,
        Self::Draws,
        Self::Memory,
        Self::Decay,
        Self::Tickets,
        Self::Measure,
        Self::Compat,
        Self::HashType,
        Self::Function,
        Self::Avalanche,
        Self::StaleAfter,
        Self::Header,
        Self::Metric,
        Self::Probes,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::BoundedLoad => "bounded_load",
            Self::Secret => "secret",
            Self::Draws => "draws",
            Self::Memory => "memory",
            Self::Decay => "decay",
            Self::Tickets => "tickets",
            Self::Measure => "measure",
            Self::Compat => "compat",
            Self::HashType => "type",
            Self::Function => "function",
            Self::Avalanche => "avalanche",
            Self::StaleAfter => "stale_after",
            Self::Header => "header",
            Self::Metric => "metric",
            Self::Probes => "probes",
        }
    }
}
