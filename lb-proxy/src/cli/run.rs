//! `lb run`

use std::{
    iter,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use lb_proxy::{
    KeyRule, StickySettings,
    config::{
        Bind, Cluster, Config, Instead, MOST_WORKERS, Strategy, Written, cookie_problem,
        find_strategy, read_key_rule,
    },
};

use super::{
    admin_place::{AdminPlace, read_admin},
    exit::Exit,
    log, memory, print,
    reading::{Reading, mistakes},
    source::{self, Source},
    target::read_targets,
    variable::{variable, warn_unknown},
};
use crate::{
    admin::{self, Process, RunningConfig},
    app::{App, Ending, ReadConfig, Reread, Signals, counted},
    control::{Ledger, LogLevel, Mistakes, Remembered, Texts},
    notify::Notifier,
};

#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct RunArgs {
    /// Configuration file; `-` reads the standard input. Without it, and without
    /// `--to`: ./lb.toml, $XDG_CONFIG_HOME/lb/lb.toml, /etc/lb/lb.toml.
    #[arg(long, short, value_name = "FILE", conflicts_with = "to")]
    config: Option<PathBuf>,

    /// A backend, instead of a configuration file; may be given several times.
    /// `127.0.0.1:9001`, `web:3000`, or with a larger share `'127.0.0.1:9001;weight=3'`;
    /// also `;name=NAME`, `;backup` and `;spare`.
    #[arg(long, value_name = "ADDR")]
    to: Vec<String>,

    /// Where to listen, instead of all listeners of the file: `127.0.0.1:8080`
    /// (the default without a file), or `:8080` for all interfaces.
    #[arg(long, short, value_name = "ADDR", value_parser = Bind::parse)]
    listen: Option<Bind>,

    /// How to choose a backend, in every cluster: least-conn (the default), round-robin,
    /// random, p2c, peak-ewma, least-time, first, bytraffic, bybusyness, reported-load; by
    /// a key ip-hash, hash, hash-consistent, haproxy-hash, ring, maglev, rendezvous, jump.
    #[arg(long, short, value_name = "NAME", value_parser = read_strategy)]
    strategy: Option<Strategy>,

    /// What every cluster whose strategy is by key picks by: client-ip (the default),
    /// uri, path, header:NAME, cookie:NAME, query:NAME, or several with commas between.
    #[arg(long, value_name = "RULE", value_parser = read_key_rule)]
    key: Option<KeyRule>,

    /// Bind clients to their backend by a cookie of this name, in every cluster.
    #[arg(long, value_name = "COOKIE", value_parser = read_cookie)]
    sticky: Option<StickySettings>,

    /// Where the API is served: an address, the path of a Unix socket, or `off`. Unless it
    /// is said: 127.0.0.1:9900, and a socket.
    #[arg(long, value_name = "ADDR|off", value_parser = read_admin)]
    admin: Option<AdminPlace>,

    /// How many worker threads; one per core unless said otherwise.
    #[arg(long, short, value_name = "N", value_parser = read_workers)]
    workers: Option<NonZeroUsize>,

    /// Where to remember what is changed while it runs, or `off`. Without it: a file of
    /// this configuration in $XDG_STATE_HOME/lb, or in /var/lib/lb for root; with `--to` none.
    #[arg(long, value_name = "FILE|off")]
    state: Option<PathBuf>,

    /// Start as the configuration says, without what was changed while it ran before.
    /// That is kept, and holds again with the next start.
    #[arg(long)]
    ignore_state: bool,

    /// Say on this file descriptor, by a line, that it can be used: for s6.
    #[arg(long, value_name = "FD", value_parser = clap::value_parser!(i32).range(3..=1023))]
    notification_fd: Option<i32>,
}

const AFTER_HELP: &str = "\
Flags win over variables, and both over the file.

Signals:
  TERM, INT        take no new connections, finish requests for at most `timeout.shutdown`
  QUIT             the same without that limit
  TERM, INT again  stop at once
  HUP              read the configuration again; what is wrong with it is told, and changes nothing
  USR1             open the file of the access log again
  USR2             nothing: this version does not hand over to another

Environment:
  LB_ADMIN, LB_CONFIG, LB_KEY, LB_LISTEN, LB_STATE,
  LB_STICKY, LB_STRATEGY, LB_WORKERS   the flags of these names
  LB_TO                                `--to`, several separated by spaces
  LB_LOG                               what to log to stderr (default: info)
  NOTIFY_SOCKET, WATCHDOG_USEC         set by systemd, which is told how it goes
";

/// Runs until a signal ends it.
pub(super) fn run(args: &RunArgs) -> Exit {
    warn_unknown();
    let kept = RunningConfig::default();
    let Ok(read) = prepare(args, &Reading::aloud("nothing was started", &kept)) else {
        // What is wrong was printed.
        return Exit::Usage;
    };
    let level = match log::start(level_of(&read.config)) {
        Ok(level) => level,
        Err(error) => {
            print::error(&error);
            return Exit::Usage;
        }
    };
    match serve(args, read, &level, &kept) {
        Ok(ending) => ending.into(),
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}

fn level_of(config: &Config) -> &str {
    config.log.level.as_deref().unwrap_or("info")
}

/// What is to run: the file or the backends, and what flags and variables say on
/// top. If it is wrong, that is printed, with what follows from it.
fn prepare(args: &RunArgs, reading: &Reading<'_>) -> Result<ReadConfig, Mistakes> {
    let mut read = configuration(args, reading)?;
    overlay(args, &mut read.config).map_err(|mistakes| reading.refuse(mistakes))?;
    let loops = read.config.loops();
    if loops.is_empty() { Ok(read) } else { Err(reading.refuse(loops)) }
}

/// Where the configuration comes from: what was typed, else what a variable says,
/// else the first file of the search path.
fn configuration(args: &RunArgs, reading: &Reading<'_>) -> Result<ReadConfig, Mistakes> {
    if let Some(file) = &args.config {
        return from_file(file, reading);
    }
    if !args.to.is_empty() {
        return from_targets("--to", &args.to, reading);
    }
    let to = variable("LB_TO", |text| Ok(text.to_owned()));
    let to = to.map_err(|mistake| reading.refuse([mistake]))?;
    if let Some(to) = to {
        if source::named_by_variable().is_some() {
            let both = "backends come from `LB_TO` or from the file of `LB_CONFIG`, not from both";
            return Err(reading.refuse([both.to_owned()]));
        }
        return from_targets("LB_TO", &[to], reading);
    }
    match source::search() {
        Some(file) => from_file(&file, reading),
        None => Err(reading.print(source::nothing_found())),
    }
}

fn from_targets(
    said_by: &str,
    values: &[String],
    reading: &Reading<'_>,
) -> Result<ReadConfig, Mistakes> {
    let backends = read_targets(said_by, values).map_err(|mistakes| reading.refuse(mistakes))?;
    let config = Config::to_backends(backends);
    Ok(ReadConfig { config, origin: said_by.to_owned(), texts: Texts::default() })
}

/// A strategy that needs nothing but its name.
fn read_strategy(name: &str) -> Result<Strategy, String> {
    let strategy = find_strategy(name)?;
    match strategy.lacks_probes() {
        true => Err(format!("`{}` needs `probes`, which only a file can say", strategy.kind)),
        false => Ok(strategy),
    }
}

fn from_file(path: &Path, reading: &Reading<'_>) -> Result<ReadConfig, Mistakes> {
    let instead = &reading.instead;
    let source = Source::read_with(path, instead);
    let source = source.map_err(|error| reading.refuse([format!("{error:#}")]))?;
    let Source { name, text } = source;
    let (config, diagnostics) = Config::parse(&name, &text, instead);
    if let Some(consequence) = reading.consequence {
        print::diagnostics(&diagnostics, consequence);
    }
    let config = config.ok_or_else(|| mistakes(&diagnostics))?;
    // Nobody can write into a pipe.
    let texts: Texts = match path == Path::new("-") {
        true => Texts::default(),
        false => {
            let written = Written::read(&name, &text, instead);
            written.texts().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
        }
    };
    reading.kept.read(Config::settings(&name, &text, instead));
    Ok(ReadConfig { config, origin: name, texts })
}

fn overlay(args: &RunArgs, config: &mut Config) -> Result<(), Vec<String>> {
    let strategy =
        args.strategy.clone().map_or_else(|| variable("LB_STRATEGY", read_strategy), said);
    let sticky = args.sticky.clone().map_or_else(|| variable("LB_STICKY", read_cookie), said);
    let key = args.key.clone().map_or_else(|| variable("LB_KEY", read_key_rule), said);
    let workers = args.workers.map_or_else(|| variable("LB_WORKERS", read_workers), said);
    let listen = args.listen.clone().map_or_else(|| variable("LB_LISTEN", Bind::parse), said);
    let admin = args.admin.clone().map_or_else(|| variable("LB_ADMIN", read_admin), said);
    let mut mistakes = Vec::new();
    let admin = admin.unwrap_or_else(|mistake| none_but(&mut mistakes, mistake));
    let strategy = strategy.unwrap_or_else(|mistake| none_but(&mut mistakes, mistake));
    let sticky = sticky.unwrap_or_else(|mistake| none_but(&mut mistakes, mistake));
    let key = key.unwrap_or_else(|mistake| none_but(&mut mistakes, mistake));
    let workers = workers.unwrap_or_else(|mistake| none_but(&mut mistakes, mistake));
    let listen = listen.unwrap_or_else(|mistake| none_but(&mut mistakes, mistake));
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    if let Some(bind) = listen {
        if let [_, others @ ..] = &*config.listeners
            && !others.is_empty()
        {
            let all: Vec<String> =
                config.listeners.iter().map(|own| format!("`{}`", own.bind)).collect();
            print::diagnostic(&format!(
                "warning: only `{bind}` is listened on, as was said by flag or variable; \
                 left out: {}\n",
                all.join(", ")
            ));
        }
        // The one listener is given what held for the first of the file.
        config.listeners.truncate(1);
        for listener in &mut config.listeners {
            listener.bind = bind.clone();
        }
    }
    if let Some(strategy) = strategy {
        for cluster in &mut config.clusters {
            cluster.strategy = strategy.clone();
        }
    }
    if let Some(key) = key {
        pick_by(&key, &mut config.clusters)?;
    }
    if let Some(sticky) = sticky {
        for cluster in &mut config.clusters {
            cluster.sticky = Some(sticky.clone());
        }
    }
    config.workers = workers.or(config.workers);
    if let Some(admin) = admin {
        admin.put_into(&mut config.admin);
    }
    match config.admin.problem() {
        Some((problem, help)) => Err(vec![format!("{problem}\n  = help: {help}")]),
        None => Ok(()),
    }
}

/// Makes every cluster pick by this key that picks by one; an error if none does.
fn pick_by(key: &KeyRule, clusters: &mut [Cluster]) -> Result<(), Vec<String>> {
    let by_key = |cluster: &&mut Cluster| cluster.strategy.kind.needs_key();
    let has_any = clusters.iter_mut().any(|cluster| by_key(&cluster));
    let mut mistakes = Vec::new();
    for cluster in clusters.iter_mut().filter(|cluster| !has_any || by_key(cluster)) {
        match cluster.strategy.clone().with_key(key.clone()) {
            Ok(strategy) => cluster.strategy = strategy,
            Err((problem, help)) => {
                let name = &cluster.name;
                mistakes.push(format!("`{name}` cannot pick by `{key}`: {problem}; {help}"));
            }
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// Keeps a mistake until all are known.
fn none_but<T>(mistakes: &mut Vec<String>, mistake: String) -> Option<T> {
    mistakes.push(mistake);
    None
}

/// A value that was typed, as a variable would answer it.
fn said<T>(value: T) -> Result<Option<T>, String> {
    Ok(Some(value))
}

fn read_cookie(text: &str) -> Result<StickySettings, String> {
    match cookie_problem(text) {
        None => Ok(StickySettings::new(text)),
        Some(problem) => Err(problem),
    }
}

fn read_workers(text: &str) -> Result<NonZeroUsize, String> {
    let workers = text.parse().ok().filter(|workers| *workers <= MOST_WORKERS);
    workers
        .and_then(NonZeroUsize::new)
        .ok_or_else(|| format!("not a number from 1 to {MOST_WORKERS}"))
}

fn serve(
    args: &RunArgs,
    read: ReadConfig,
    level: &LogLevel,
    kept: &RunningConfig,
) -> anyhow::Result<Ending> {
    let ReadConfig { config, origin, texts } = read;
    let signals = Signals::of_a_service()?;
    let notifier = Notifier::new(args.notification_fd)?;
    let bound = admin::bind(&config)?;
    let mut app = App::start(&config, &origin, ledger(args)?)?;
    app.is_written_in(texts);
    kept.served();
    let below = bound.lines(&config.admin);
    let process = Process { log: level.clone(), say: print::diagnostic };
    let admin = bound.serve(&config.admin, app.desk().clone(), kept.clone(), process)?;
    let lines = iter::once(app.start_line(&config, &origin)).chain(below);
    print::result(&lines.map(|line| format!("{line}\n")).collect::<String>())?;
    notifier.ready(&app.state_line());
    app.tell(notifier);
    let (args, reading) = (args.clone(), kept.clone());
    let again: Reread = Arc::new(move |instead| reread(&args, &reading, instead));
    Ok(app.serve(signals, &again, &|config| {
        level.usual(level_of(config));
        kept.served();
        admin.set(&config.admin)
    }))
}

/// What people have set while it ran before.
fn ledger(args: &RunArgs) -> anyhow::Result<Ledger> {
    let said = variable("LB_STATE", |text| Ok(PathBuf::from(text))).map_err(anyhow::Error::msg)?;
    let said = args.state.clone().or(said);
    let Some((file, store)) = memory::open(said.as_deref(), file_of(args).as_deref())? else {
        return Ok(Ledger::forgetful()?);
    };
    let memory = Remembered::in_file(store);
    if args.ignore_state {
        let count = memory.overrides().map_err(anyhow::Error::msg)?.len();
        let kept = file.display();
        tracing::warn!("started without {} of `{kept}`", counted(count, "change"));
    }
    Ledger::open(memory, !args.ignore_state).map_err(anyhow::Error::msg)
}

/// The file of the configuration, if that is one.
fn file_of(args: &RunArgs) -> Option<PathBuf> {
    let has_targets = !args.to.is_empty() || matches!(variable("LB_TO", |_| Ok(())), Ok(Some(())));
    match &args.config {
        Some(file) => Some(file.clone()),
        None if has_targets => None,
        None => source::search(),
    }
}

/// The configuration as it is now, or as it would be with these texts; unless it is wrong
/// or cannot be read again. Whoever proposes a text is told by the answer alone.
fn reread(args: &RunArgs, kept: &RunningConfig, instead: &Instead) -> Result<ReadConfig, Mistakes> {
    let consequence = instead.files.is_empty().then_some("nothing was changed");
    let reading = Reading { consequence, kept, instead: instead.clone() };
    if args.config.as_deref() == Some(Path::new("-")) {
        let why = "what was read from the standard input cannot be read again";
        return Err(reading.refuse([why.to_owned()]));
    }
    prepare(args, &reading)
}

#[cfg(test)]
mod tests {
    use lb_core::strategy::StrategyKind;

    use super::*;

    #[test]
    fn the_help_names_every_strategy_that_needs_no_file() {
        let help = RunArgs::augment_args(clap::Command::new("run")).render_long_help().to_string();
        let words: Vec<&str> = help
            .split(|char: char| char != '-' && !char.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        for kind in StrategyKind::ALL {
            let is_told = words.contains(&kind.name());
            assert_eq!(is_told, read_strategy(kind.name()).is_ok(), "{kind}");
        }
    }
}
