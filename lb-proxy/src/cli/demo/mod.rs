//! `lb demo`: a sticky cluster and a round-robin one behind one address, in this
//! process, to look at or to be proved right.

mod claims;
mod client;
mod farm;
mod story;

use std::path::{Path, PathBuf};

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
    let farm = Farm::start(args.listen.as_ref().unwrap_or(&any_port))?;
    judge(farm, args.report.as_deref())
}

/// Looks whether the claims hold of this farm, and writes down what was seen. That is
/// wanted most when the story cannot be told to its end.
fn judge(mut farm: Farm, report: Option<&Path>) -> anyhow::Result<Exit> {
    let mut claims = Claims::default();
    if let Err(error) = story::tell(&mut farm, &mut claims) {
        claims.note("nothing else goes wrong", false, format!("{error:#}"));
    }
    let file = farm.file().to_owned();
    farm.stop();
    let written = report.map_or(Ok(()), |path| {
        std::fs::write(path, claims.report(&file))
            .with_context(|| format!("cannot write the report `{}`", path.display()))
    });
    print::result(&claims.table())?;
    written?;
    Ok(if claims.all_hold() { Exit::Done } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_that_cannot_be_told_is_a_claim_that_does_not_hold() {
        let mut farm = Farm::start(&Bind::Socket(([127, 0, 0, 1], 0).into())).unwrap();
        // The first part of the story is about the other two.
        for name in ["s1", "s2"] {
            farm.kill(name).unwrap();
        }
        let name = format!("lb-demo-{}.md", std::process::id());
        let path = std::env::temp_dir().join(name);
        let exit = judge(farm, Some(&path)).unwrap();
        let report = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(exit, Exit::Failed);
        assert!(report.contains("| round-robin is exact | d1 50, d2 50 | ok |"), "{report}");
        assert!(report.contains("| nothing else goes wrong | no answer for /: "), "{report}");
        assert!(report.contains("[cluster.static]"), "{report}");
    }
}
