//! The command line.

use clap::{Parser, ValueEnum};

/// Prints ns per pick of lb-core, pingora-load-balancing, tower, maglev and hashring as
/// Markdown.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Rounds; all contenders take their turn in each
    #[arg(long, default_value_t = 10)]
    pub(crate) rounds: usize,
    /// The second argument of pingora's `select`; its own examples pass 256
    #[arg(long, default_value_t = 256)]
    pub(crate) max_iterations: usize,
    /// Which tables
    #[arg(long, value_enum, default_value_t)]
    pub(crate) table: Tables,
    /// Only those in whose name this is
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) only: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tables {
    /// Everybody: one thread, two, and nine of ten backends down
    #[default]
    All,
    /// The ratios that the README quotes, of one thread
    Readme,
    /// Two threads against one: what each thread still gets done
    Threads,
    /// Nine of ten backends down
    Down,
}
