//! `lb completions`, `lb man`: what other programs make of the commands.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{exit::Exit, print};

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Which shell: `lb completions bash > /etc/bash_completion.d/lb`.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write a page for each command into this folder, instead of the first to the
    /// standard output.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs, mut command: Command) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "lb", &mut script);
    told(print::result(&String::from_utf8_lossy(&script)))
}

pub(super) fn man(args: &ManArgs, command: Command) -> Exit {
    told(match &args.folder {
        None => page(command).and_then(|text| print::result(&text)),
        Some(folder) => pages(command, folder),
    })
}

fn page(command: Command) -> anyhow::Result<String> {
    let mut text = Vec::new();
    Man::new(command).render(&mut text).context("cannot make the page")?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// `lb.1`, `lb-status.1`, and so on.
fn pages(command: Command, folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display().to_string();
    fs::create_dir_all(folder).with_context(|| format!("cannot make `{shown}`"))?;
    // It would get a page that says what the others say.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    clap_mangen::generate_to(command, folder)
        .with_context(|| format!("cannot write the pages into `{shown}`"))
}

fn told(done: anyhow::Result<()>) -> Exit {
    match done {
        Ok(()) => Exit::Done,
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}
