//! Logs: to stderr, filtered by `LB_LOG`.

use std::io::stderr;

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{print, queue};

/// Starts logging for the rest of the process.
pub(super) fn start(default: &str) -> anyhow::Result<()> {
    let filter = match std::env::var("LB_LOG") {
        Ok(filter) if !filter.is_empty() => read(&filter).with_context(|| {
            format!("`LB_LOG={filter}` is not a filter, like `info` or `lb_proxy=debug`")
        })?,
        _ => EnvFilter::new(default),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| queue::Lines)
        // It would complain on stderr, and panic if that is closed.
        .log_internal_errors(false)
        .with_ansi(print::colour(&stderr()))
        .init();
    Ok(())
}

/// A filter. A word alone has to be a level: taken as the name of a module, as
/// `EnvFilter` takes it, a misspelt level would switch all logs off.
fn read(filter: &str) -> anyhow::Result<EnvFilter> {
    for part in filter.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let is_level = part.parse::<LevelFilter>().is_ok();
        anyhow::ensure!(is_level || part.contains(['=', '[']), "`{part}` is not a level");
    }
    Ok(EnvFilter::try_new(filter)?)
}
