//! The command line: what was typed becomes one call, and its result an exit code.
//!
//! Results go to stdout, everything else to stderr. One file per command.

mod admin_place;
mod check;
mod config;
mod demo;
mod exit;
mod explain;
mod log;
mod print;
mod queue;
mod run;
mod source;
mod target;
mod variable;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use self::check::finding;
use self::exit::Exit;

const SHORT_HELP: &str = "\
lb: a load balancer and reverse proxy

  lb demo                                  see it balance over four backends of its own
  lb run --to ADDR --to ADDR               balance over your backends, on 127.0.0.1:8080
  lb check FILE                            say what is wrong with a configuration file

More: lb --help
";

const AFTER_HELP: &str = "\
Exit codes:
  0    done
  1    failed: an address is taken, a check did not hold
  2    usage or configuration error; nothing was started or changed
  130  interrupted: a second signal cut off the requests that were still in flight

Environment:
  LB_LOG     what to log to stderr, as a tracing filter: `warn`, `info,lb_proxy=debug`
             (default: info for `lb run`, warn for `lb demo`)
  NO_COLOR   no colours; there are none either when the output is not a terminal
  LB_ADMIN, LB_CONFIG, LB_TO, LB_LISTEN, LB_STATE, LB_STRATEGY, LB_KEY, LB_STICKY, LB_WORKERS   the flags of `lb run`
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
    /// Say where a request would go, and why, without sending it.
    Explain(explain::ExplainArgs),
    /// Show what a configuration file comes to, or what may stand in one.
    Config(config::ConfigArgs),
    /// Balance over four backends of its own, to see how it works.
    Demo(demo::DemoArgs),
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
    let serves = matches!(command, Command::Run(_) | Command::Demo(_));
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
        Command::Version(args) => version::version(&args),
    };
    queue::flush();
    exit.into()
}
