//! Commands that ask a running `lb`, over its API.
//!
//! None of them knows more than the API says, and none decides what is safe: that is
//! decided once, where it is done. Only wildcards are understood here, since only a
//! person who types can mean more than he thinks.
//!
//! Every change prints what is true afterwards, and how to undo it. `--json` prints what
//! the API answered.

mod change;
mod client;
mod drain;
mod events;
mod explain;
mod failure;
mod history;
mod members;
mod pattern;
mod place;
mod reload;
mod save;
mod show;
mod sources;
mod status;
mod switch;
mod table;
mod tune;
mod undo;
mod words;

use clap::Args;

use self::{
    client::{Answer, Client},
    failure::Failure,
    place::Places,
};
pub(super) use self::{
    events::{EventsArgs, events},
    explain::ask_running,
    history::{ChangesArgs, GenerationsArgs, changes, generations},
    members::{AddArgs, RemoveArgs, add, remove},
    place::Place,
    reload::{ReloadArgs, reload},
    save::{DiffArgs, SaveArgs, diff, save},
    show::show_running,
    sources::{SourcesArgs, sources},
    status::{StatusArgs, status},
    switch::{DisableArgs, DrainArgs, EnableArgs, disable, drain, enable},
    tune::{StrategyArgs, WeightArgs, set_strategy, set_weight},
    undo::{UndoArgs, undo},
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
    print::result(&match connect.json {
        true => format!("{}\n", answer.as_text()),
        false => text(),
    })?;
    Ok(())
}
