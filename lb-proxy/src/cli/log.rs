//! Logs: to stderr, filtered by `LB_LOG`, or else as the caller says.

use std::io::stderr;

use lb_proxy::config::level_problem;
use tracing_subscriber::EnvFilter;

use super::{print, queue, variable::variable};
use crate::control::LogLevel;

/// Starts logging for the rest of the process.
pub(super) fn start(default: &str) -> anyhow::Result<LogLevel> {
    let said = variable("LB_LOG", |filter| match level_problem(filter) {
        None => Ok(filter.to_owned()),
        Some(problem) => Err(format!("not a filter, like `info` or `lb_proxy=debug`: {problem}")),
    });
    let said = said.map_err(anyhow::Error::msg)?;
    let usual = said.as_deref().unwrap_or(default);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(usual))
        .with_writer(|| queue::Lines)
        // It would complain on stderr, and panic if that is closed.
        .log_internal_errors(false)
        .with_ansi(print::colour(&stderr()))
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.init();
    Ok(LogLevel::new(usual, said.is_some(), move |filter| {
        // It fails only when nothing logs any more.
        let _ = handle.reload(EnvFilter::new(filter));
    }))
}
