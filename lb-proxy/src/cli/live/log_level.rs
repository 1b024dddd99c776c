//! `lb log-level`: what a running `lb` logs.

use clap::Args;
use http::Method;

use super::{
    Connect, say, with,
    words::{moment, read_limit},
};
use crate::{
    admin::dto::{LogLevel, WantedLevel},
    cli::exit::Exit,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct LogLevelArgs {
    /// `error`, `warn`, `info`, `debug`, `trace`, a filter as in `LB_LOG`, or `default`,
    /// which is what that or the file says. Without it, what is logged now is told.
    #[arg(value_name = "LEVEL")]
    level: Option<String>,

    /// For how long; then it goes back by itself. Without it, until the process ends.
    #[arg(long = "for", value_name = "DURATION", value_parser = read_limit, requires = "level")]
    limit: Option<String>,

    #[command(flatten)]
    connect: Connect,
}

pub(in crate::cli) fn log_level(args: &LogLevelArgs) -> Exit {
    const PATH: &str = "/api/v1/log-level";
    let LogLevelArgs { level, limit, connect } = args;
    with(connect, async |client| {
        let answer = match level {
            None => client.get(PATH).await?,
            Some(level) => {
                let level = Some(level.clone()).filter(|level| level != "default");
                let limit = limit.clone();
                client.send(Method::PUT, PATH, &WantedLevel { level, limit }).await?
            }
        };
        let now: LogLevel = answer.read()?;
        say(connect, &answer, || told(&now))?;
        Ok(Exit::Done)
    })
}

fn told(now: &LogLevel) -> String {
    let LogLevel { level, usual, by, until } = now;
    let Some(by) = by else { return format!("{level}\n") };
    let until = match until {
        Some(until) => format!("until {}", moment(*until)),
        None => "until the process ends, or `lb log-level default`".to_owned(),
    };
    format!("{level}: set by {by} {until}; usual is {usual}\n")
}
