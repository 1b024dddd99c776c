//! Logs: to stderr, filtered by `LB_LOG`, or else as the caller says.

use std::io::stderr;

use lb_proxy::config::level_problem;
use tracing_subscriber::EnvFilter;

use super::{print, queue, variable::variable};

type Setter = Box<dyn Fn(&str)>;

/// What is logged, for the rest of the process.
pub(super) struct Level {
    /// `None`: `LB_LOG` says, and it wins.
    set: Option<Setter>,
}

impl Level {
    /// Logs by another filter from now on, unless `LB_LOG` is set.
    pub(super) fn set(&self, filter: &str) {
        if let Some(set) = &self.set {
            set(filter);
        }
    }
}

/// Starts logging for the rest of the process.
pub(super) fn start(default: &str) -> anyhow::Result<Level> {
    let said = variable("LB_LOG", |filter| match level_problem(filter) {
        None => Ok(filter.to_owned()),
        Some(problem) => Err(format!("not a filter, like `info` or `lb_proxy=debug`: {problem}")),
    });
    let said = said.map_err(anyhow::Error::msg)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(said.as_deref().unwrap_or(default)))
        .with_writer(|| queue::Lines)
        // It would complain on stderr, and panic if that is closed.
        .log_internal_errors(false)
        .with_ansi(print::colour(&stderr()))
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.init();
    let set: Setter = Box::new(move |filter| {
        // It fails only when nothing logs any more.
        let _ = handle.reload(EnvFilter::new(filter));
    });
    Ok(Level { set: Some(set).filter(|_| said.is_none()) })
}
