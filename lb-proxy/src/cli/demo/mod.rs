//! `lb demo`: a sticky cluster and a round-robin one behind one address, in this
//! process, to look at or to be proved right.

mod claims;
mod client;
mod farm;
mod story;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use lb_proxy::{StartError, config::Bind};

use self::{claims::Claims, farm::Farm};
use super::{exit::Exit, log, print};
use crate::app::Signals;

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Prove what a balancer is for, and end: shares, stickiness, and that no
    /// request is lost while backends are killed and come back.
    #[arg(long)]
    check: bool,

    /// Where to listen (default: 127.0.0.1:8080; with `--check`, any free port).
    #[arg(long, short, value_name = "ADDR", value_parser = Bind::parse)]
    listen: Option<Bind>,

    /// Write what `--check` has found to this file as well, as Markdown.
    #[arg(long, value_name = "FILE", requires = "check")]
    report: Option<PathBuf>,
}

/// Shows the balancer at work, or proves that it works.
pub(super) fn demo(args: &DemoArgs) -> Exit {
    // With `--check`, backends go down on purpose.
    if let Err(error) = log::start(if args.check { "error" } else { "warn" }) {
        print::error(&error);
        return Exit::Usage;
    }
    let outcome = if args.check { prove(args) } else { show(args) };
    outcome.unwrap_or_else(|error| {
        print::error(&error);
        if let Some(StartError::Bind { .. }) = error.downcast_ref() {
            print::diagnostic("help: choose another address: lb demo --listen 127.0.0.1:0\n");
        }
        Exit::Failed
    })
}

fn show(args: &DemoArgs) -> anyhow::Result<Exit> {
    let signals = Signals::of_a_program()?;
    let farm = Farm::start(args.listen.as_ref().unwrap_or(&Bind::DEFAULT))?;
    print::result(&farm.tour()?)?;
    Ok(farm.serve(signals).into())
}

fn prove(args: &DemoArgs) -> anyhow::Result<Exit> {
    let any_port = Bind::Socket(([127, 0, 0, 1], 0).into());
    let mut farm = Farm::start(args.listen.as_ref().unwrap_or(&any_port))?;
    let mut claims = Claims::default();
    story::tell(&mut farm, &mut claims)?;
    let file = farm.file().to_owned();
    farm.stop();
    print::result(&claims.table())?;
    if let Some(path) = &args.report {
        std::fs::write(path, claims.report(&file))
            .with_context(|| format!("cannot write the report `{}`", path.display()))?;
    }
    Ok(if claims.all_hold() { Exit::Done } else { Exit::Failed })
}
