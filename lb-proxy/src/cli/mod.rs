//! The command line: what was typed becomes one call, and its result an exit code.
//!
//! Results go to stdout, everything else to stderr. One file per command.

mod admin_place;
mod agent;
mod announce;
mod check;
mod config;
mod demo;
mod exit;
mod explain;
mod key;
mod live;
mod log;
mod memory;
mod print;
mod queue;
mod reading;
mod run;
mod shell;
mod source;
mod target;
mod variable;
mod version;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub(crate) use self::check::finding;
use self::exit::Exit;

const SHORT_HELP: &str = "\
lb: a load balancer and reverse proxy

  lb demo                                  see it balance over four backends of its own
  lb run --to ADDR --to ADDR               balance over your backends, on 127.0.0.1:8080
  lb check FILE                            say what is wrong with a configuration file
  lb status                                see what a running one does, and why

More: lb --help
";

const AFTER_HELP: &str = "\
Exit codes:
  0    done
  1    failed: an address is taken, a check did not hold, a cluster is degraded (--check)
  2    usage or configuration error; nothing was started or changed
  3    no running lb is reachable
  4    no such cluster, backend or change
  5    refused: it would do harm or contradicts something; `--force`, or try again
  6    not authorised
  7    timed out; what was begun goes on
  130  interrupted; of `lb run`, a second signal cut off the requests in flight
  `lb agent` ends with the code of its app.

Environment:
  LB_LOG     what to log to stderr, as a tracing filter: `warn`, `info,lb_proxy=debug`
             (default: info for `lb run`, warn for `lb demo`)
  NO_COLOR, CLICOLOR=0   no colours; there are none either when the output is not a terminal
  CLICOLOR_FORCE         colours also where it is none
  LB_CONFIG, LB_TO, LB_LISTEN, LB_STATE, LB_STRATEGY, LB_KEY, LB_STICKY, LB_WORKERS   the flags of `lb run`
  LB_ADMIN   where `lb run` serves its API, and where the other commands look for it:
             `unix:PATH`, `http://HOST:PORT` or `off`
  LB_TOKEN, LB_TOKEN_FILE   the token for an API at an address; a socket needs none
  LB_ANNOUNCE_KEY   the key of `lb agent` and `lb announce`
  An empty variable counts as unset.
";

/// A load balancer and reverse proxy.
#[derive(Debug, Parser)]
#[command(name = "lb", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Balance until a signal ends it.
    Run(Box<run::RunArgs>),
    /// Check configuration files, and say all that is wrong with them.
    #[command(visible_alias = "validate")]
    Check(check::CheckArgs),
    /// Say where a request would go, or where one that is over went, and why.
    Explain(explain::ExplainArgs),
    /// Show what a configuration file comes to, or what may stand in one.
    Config(config::ConfigArgs),
    /// Balance over four backends of its own, to see how it works.
    Demo(demo::DemoArgs),
    /// Say how the running lb and its backends are, and why.
    #[command(visible_alias = "ls")]
    Status(live::StatusArgs),
    /// List the last requests: where each went, and what came of it.
    Requests(live::RequestsArgs),
    /// Say how many clients are bound to whom, and where one of them is.
    Sessions(live::SessionsArgs),
    /// Let no new clients come to a backend, and wait until it can be stopped.
    Drain(live::DrainArgs),
    /// Use a backend again.
    Enable(live::EnableArgs),
    /// Let nobody come to a backend, bound or not.
    Disable(live::DisableArgs),
    /// Give a backend another share.
    SetWeight(live::WeightArgs),
    /// Choose backends of a cluster in another way.
    SetStrategy(live::StrategyArgs),
    /// Check backends of a cluster in another way, or not at all.
    SetHealth(live::HealthArgs),
    /// Bind clients of a cluster by another cookie, or by none.
    SetSticky(live::StickyArgs),
    /// Add a backend; where there are checks, it takes requests once one has passed.
    Add(live::AddArgs),
    /// Remove a backend, also one that the file or a source has.
    #[command(visible_alias = "rm")]
    Remove(live::RemoveArgs),
    /// Take a change back.
    Undo(live::UndoArgs),
    /// Check a backend now, and say what it answered; ends with 1 if that has failed.
    CheckNow(live::CheckNowArgs),
    /// List what the last checks of a backend have found.
    Checks(live::ChecksArgs),
    /// Tell what happened, and with -f what happens.
    Events(live::EventsArgs),
    /// List what people changed while it ran.
    Changes(live::ChangesArgs),
    /// List where backends come from, and how that is going.
    Sources(live::SourcesArgs),
    /// List the last states of clusters, and what caused them.
    Generations(live::GenerationsArgs),
    /// List who changed something by the API, came in or was refused.
    Audit(live::AuditArgs),
    /// Tell what the running lb logs, or have it log more or less.
    LogLevel(live::LogLevelArgs),
    /// Have the running lb read its configuration again.
    Reload(live::ReloadArgs),
    /// Run an app, and announce it while it takes requests.
    #[command(after_help = agent::AFTER_HELP)]
    Agent(Box<agent::AgentArgs>),
    /// Tell balancers that a backend is here, until a signal ends it.
    Announce(Box<announce::AnnounceArgs>),
    /// Make a key for nodes that announce themselves.
    Key(key::KeyArgs),
    /// Print what a shell needs to complete commands.
    Completions(shell::CompletionsArgs),
    /// Print the manual page, or write one for each command.
    Man(shell::ManArgs),
    /// Print the version.
    Version(version::VersionArgs),
}

/// Parses the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Writes help and version to stdout and mistakes to stderr; neither
            // has anywhere left to complain when that fails.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let Some(command) = cli.command else {
        print::diagnostic(SHORT_HELP);
        return Exit::Usage.into();
    };
    let serves = matches!(command, Command::Run(_) | Command::Demo(_) | Command::Agent(_));
    if serves && let Err(error) = queue::start() {
        print::diagnostic(&format!("error: cannot start a thread: {error}\n"));
        return Exit::Failed.into();
    }
    let exit = match command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Config(args) => config::config(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Status(args) => live::status(&args),
        Command::Requests(args) => live::requests(&args),
        Command::Sessions(args) => live::sessions(&args),
        Command::Drain(args) => live::drain(&args),
        Command::Enable(args) => live::enable(&args),
        Command::Disable(args) => live::disable(&args),
        Command::SetWeight(args) => live::set_weight(&args),
        Command::SetStrategy(args) => live::set_strategy(&args),
        Command::SetHealth(args) => live::set_health(&args),
        Command::SetSticky(args) => live::set_sticky(&args),
        Command::Add(args) => live::add(&args),
        Command::Remove(args) => live::remove(&args),
        Command::Undo(args) => live::undo(&args),
        Command::CheckNow(args) => live::check_now(&args),
        Command::Checks(args) => live::checks(&args),
        Command::Events(args) => live::events(&args),
        Command::Changes(args) => live::changes(&args),
        Command::Sources(args) => live::sources(&args),
        Command::Generations(args) => live::generations(&args),
        Command::Audit(args) => live::audit(&args),
        Command::LogLevel(args) => live::log_level(&args),
        Command::Reload(args) => live::reload(&args),
        Command::Agent(args) => agent::agent(&args),
        Command::Announce(args) => announce::announce(&args),
        Command::Key(args) => key::key(&args),
        Command::Completions(args) => shell::completions(&args, Cli::command()),
        Command::Man(args) => shell::man(&args, Cli::command()),
        Command::Version(args) => version::version(&args),
    };
    queue::flush();
    exit.into()
}
