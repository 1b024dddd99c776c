//! Commands that ask a running `lb`, over its API.
//!
//! None of them knows more than the API says, and none decides what is safe: that is
//! decided once, where it is done. Only wildcards are understood here, since only a
//! person who types can mean more than he thinks.
//!
//! Every change prints what is true afterwards, and how to undo it. `--json` prints what
//! the API answered.

mod audit;
mod change;
mod checks;
mod client;
mod drain;
mod events;
mod explain;
mod failure;
mod history;
mod log_level;
mod members;
mod pattern;
mod place;
mod reload;
mod requests;
mod save;
mod sessions;
mod settings;
mod show;
mod sources;
mod status;
mod switch;
mod table;
mod tune;
mod undo;
mod untrusted;
mod watch;
mod words;

use clap::Args;

pub(super) use self::{
    audit::{AuditArgs, audit},
    checks::{CheckNowArgs, ChecksArgs, check_now, checks},
    events::{EventsArgs, events},
    explain::ask_running,
    history::{ChangesArgs, GenerationsArgs, changes, generations},
    log_level::{LogLevelArgs, log_level},
    members::{AddArgs, RemoveArgs, add, remove},
    place::Place,
    reload::{ReloadArgs, reload},
    requests::{RequestsArgs, explain_kept, requests},
    save::{DiffArgs, SaveArgs, diff, save},
    sessions::{SessionsArgs, sessions},
    settings::{HealthArgs, StickyArgs, set_health, set_sticky},
    show::show_running,
    sources::{SourcesArgs, sources},
    status::{StatusArgs, status},
    switch::{DisableArgs, DrainArgs, EnableArgs, disable, drain, enable},
    tune::{StrategyArgs, WeightArgs, set_strategy, set_weight},
    undo::{UndoArgs, undo},
};
use self::{
    client::{Answer, Client},
    failure::Failure,
    place::Places,
};
use super::{exit::Exit, print};

/// Whom to ask, and how to print the answer.
#[derive(Debug, Args)]
pub(super) struct Connect {
    /// Where the running lb is: `unix:PATH` or `http://HOST:PORT`. Without it `LB_ADMIN`,
    /// else the first that is there of $XDG_RUNTIME_DIR/lb.sock, /run/lb/lb.sock and
    /// http://127.0.0.1:9900.
    #[arg(long, value_name = "PLACE", value_parser = Place::parse)]
    pub(super) admin: Option<Place>,

    /// Print what the API answers, in JSON.
    #[arg(long)]
    pub(super) json: bool,

    /// Print nothing but what went wrong.
    #[arg(long, short, conflicts_with = "json")]
    pub(super) quiet: bool,
}

/// Asks a running `lb`, and says what went wrong if anything did.
fn with(connect: &Connect, work: impl AsyncFnOnce(&Client) -> Result<Exit, Failure>) -> Exit {
    let places = match Places::new(connect.admin.as_ref()) {
        Ok(places) => places,
        Err(mistake) => return failed(&Failure::new(Exit::Usage, mistake)),
    };
    let done = block_on(async {
        let client = Client::find(&places).await?;
        work(&client).await
    });
    done.unwrap_or_else(|failure| failed(&failure))
}

/// Until it is done, or a signal ends it.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(anyhow::Error::from)?;
    runtime.block_on(async {
        tokio::select! {
            done = work => done,
            _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
        }
    })
}

fn failed(failure: &Failure) -> Exit {
    failure.print();
    failure.exit
}

/// Prints a text, or with `--json` the answer as it came.
fn say(connect: &Connect, answer: &Answer, text: impl FnOnce() -> String) -> Result<(), Failure> {
    tell(
        connect,
        &match connect.json {
            true => format!("{}\n", answer.as_text()),
            false => text(),
        },
    )
}

/// Prints a result, unless only what went wrong is wanted.
fn tell(connect: &Connect, text: &str) -> Result<(), Failure> {
    if !connect.quiet {
        print::result(text)?;
    }
    Ok(())
}
