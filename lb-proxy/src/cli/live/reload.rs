//! `lb reload`

use clap::Args;

use super::{Connect, change::How, say, with};
use crate::{
    admin::dto::Reloaded,
    cli::{exit::Exit, print},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ReloadArgs {
    #[command(flatten)]
    how: How,

    #[command(flatten)]
    connect: Connect,
}

pub(in crate::cli) fn reload(args: &ReloadArgs) -> Exit {
    let ReloadArgs { how, connect } = args;
    with(connect, async |client| {
        let answer = client.post(&format!("/api/v1/config/reload{}", how.query(false))).await?;
        let reloaded: Reloaded = answer.read()?;
        say(connect, &answer, || {
            let Reloaded { config_generation, says, .. } = &reloaded;
            match how.dry_run {
                true => format!("would be: {says}\n"),
                false => format!("configuration {config_generation}: {says}\n"),
            }
        })?;
        if !reloaded.effective && !how.dry_run {
            print::diagnostic("warning: not every worker goes by it yet; it will in a moment\n");
        }
        Ok(Exit::Done)
    })
}
