//! What can be said about a strategy besides its name.

use super::Maglev;
use crate::hash::Secret;

/// Options of strategies; each reads those that mean something to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StrategyOptions {
    /// How much more than its share of what is in flight a backend may have
    /// ([`Maglev::bounded`]); `None`: any.
    pub bounded_load: Option<f64>,
    /// The secret of hashes; derived from the cluster's name unless said.
    pub secret: Option<Secret>,
}

impl Default for StrategyOptions {
    fn default() -> Self {
        Self { bounded_load: Some(Maglev::BOUND), secret: None }
    }
}
