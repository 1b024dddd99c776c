//! The command line.

use clap::Parser;

/// Prints ns per pick of lb-core, pingora-load-balancing and tower as Markdown.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Rounds; all contenders take their turn in each
    #[arg(long, default_value_t = 10)]
    pub(crate) rounds: usize,
    /// The second argument of pingora's `select`; its own examples pass 256
    #[arg(long, default_value_t = 256)]
    pub(crate) max_iterations: usize,
}
