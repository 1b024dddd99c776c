//! `lb run`

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use lb_core::strategy::StrategyKind;
use lb_proxy::config::{Bind, Config, MOST_WORKERS, find_strategy};

use super::exit::Exit;
use super::source::{self, Source};
use super::target::read_targets;
use super::{log, print};
use crate::app::{App, Ending, Signals};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Configuration file; `-` reads the standard input. Without it, and without
    /// `--to`: ./lb.toml, $XDG_CONFIG_HOME/lb/lb.toml, /etc/lb/lb.toml.
    #[arg(long, short, env = "LB_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// A backend, instead of a configuration file; may be given several times.
    /// `127.0.0.1:9001`, `web:3000`, or with a larger share `'127.0.0.1:9001;weight=3'`.
    #[arg(long, env = "LB_TO", value_name = "ADDR")]
    to: Vec<String>,

    /// Where to listen instead: `127.0.0.1:8080`, or `:8080` for all interfaces.
    #[arg(long, short, env = "LB_LISTEN", value_name = "ADDR", value_parser = Bind::parse)]
    listen: Option<Bind>,

    /// How to choose a backend, for clusters that do not say so themselves:
    /// round-robin, random, least-conn (the default), p2c, first.
    #[arg(long, short, env = "LB_STRATEGY", value_name = "NAME", value_parser = find_strategy)]
    strategy: Option<StrategyKind>,

    /// How many worker threads; one per core unless said otherwise.
    #[arg(long, short, env = "LB_WORKERS", value_name = "N", value_parser = read_workers)]
    workers: Option<NonZeroUsize>,
}

/// Runs until a signal ends it.
pub(super) fn run(args: &RunArgs) -> Exit {
    let (mut config, origin) = match configuration(args) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    args.overlay(&mut config);
    if let Err(error) = log::start("info") {
        print::error(&error);
        return Exit::Usage;
    }
    match serve(&config, &origin) {
        Ok(ending) => ending.into(),
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}

impl RunArgs {
    /// Flags win over the file.
    fn overlay(&self, config: &mut Config) {
        if let Some(bind) = &self.listen {
            // The one listener is given what held for the first of the file.
            config.listeners.truncate(1);
            for listener in &mut config.listeners {
                listener.bind = bind.clone();
            }
        }
        config.strategy = self.strategy.or(config.strategy);
        config.workers = self.workers.or(config.workers);
    }
}

fn read_workers(text: &str) -> Result<NonZeroUsize, String> {
    let workers = text.parse().ok().filter(|workers| *workers <= MOST_WORKERS);
    workers
        .and_then(NonZeroUsize::new)
        .ok_or_else(|| format!("not a number from 1 to {MOST_WORKERS}"))
}

fn configuration(args: &RunArgs) -> Result<(Config, String), Exit> {
    if !args.to.is_empty() {
        if let Some(file) = &args.config {
            print::diagnostic(&format!(
                "error: backends come from `--to` or from a file, not from both: `{}` is named too\n",
                file.display()
            ));
            return Err(Exit::Usage);
        }
        return match read_targets(&args.to) {
            Ok(backends) => Ok((Config::to_backends(backends), "--to".to_owned())),
            Err(mistakes) => {
                for mistake in mistakes {
                    print::diagnostic(&format!("error: {mistake}\n"));
                }
                Err(Exit::Usage)
            }
        };
    }
    let Some(path) = source::search(args.config.as_deref()) else {
        print::diagnostic(&source::nothing_found());
        return Err(Exit::Usage);
    };
    let source = Source::read(&path).map_err(|error| {
        print::error(&error);
        Exit::Usage
    })?;
    let (config, diagnostics) = Config::parse(&source.name, &source.text);
    print::diagnostics(&diagnostics);
    Ok((config.ok_or(Exit::Usage)?, source.name))
}

fn serve(config: &Config, origin: &str) -> anyhow::Result<Ending> {
    let signals = Signals::listen()?;
    let app = App::start(config, origin)?;
    print::result(&format!("{}\n", app.start_line(config, origin)));
    Ok(app.serve(signals))
}
