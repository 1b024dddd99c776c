//! Logs: to stderr, filtered by `LB_LOG`.

use std::io::stderr;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use super::print;

/// Starts logging for the rest of the process.
pub(super) fn start(default: &str) -> anyhow::Result<()> {
    let filter = match std::env::var("LB_LOG") {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(&filter).with_context(|| {
            format!("`LB_LOG={filter}` is not a filter, like `info` or `lb_proxy=debug`")
        })?,
        _ => EnvFilter::new(default),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(print::colour(&stderr()))
        .init();
    Ok(())
}
