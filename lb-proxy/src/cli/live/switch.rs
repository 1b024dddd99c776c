//! `lb drain`, `lb enable`, `lb disable`

use std::{
    io::{IsTerminal as _, stderr},
    time::Duration,
};

use clap::Args;

use super::{
    Connect,
    change::{How, exit_of, make, told},
    client::Client,
    drain::until_over,
    failure::Failure,
    pattern::{Target, resolve},
    save::AlsoSave,
    tell, with,
    words::{read_duration, read_limit},
};
use crate::{
    admin::dto::{BackendChanges, Cluster, Operation, State},
    cli::exit::Exit,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Whom {
    /// `CLUSTER/BACKEND`; several, or in quotes with `*` and `?`. Without any, those
    /// there are are listed.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// Also all backends of a cluster, and the last one that takes requests.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    also: AlsoSave,

    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DrainArgs {
    #[command(flatten)]
    whom: Whom,

    /// Wait until no request is left. On a terminal that is so without saying.
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,

    /// Return as soon as it is said.
    #[arg(long)]
    no_wait: bool,

    /// Wait no longer than that, `30s`, and end with 7; the drain goes on.
    #[arg(long, value_name = "DURATION", value_parser = read_duration)]
    timeout: Option<Duration>,

    /// How long bound clients may still come; without it, as long as they like.
    #[arg(long = "for", value_name = "DURATION", value_parser = read_limit)]
    limit: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct EnableArgs {
    #[command(flatten)]
    whom: Whom,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DisableArgs {
    #[command(flatten)]
    whom: Whom,
}

pub(in crate::cli) fn enable(args: &EnableArgs) -> Exit {
    let changes = BackendChanges { state: Some(State::Enabled), ..BackendChanges::default() };
    with(&args.whom.connect, async |client| switch(client, &args.whom, changes, None).await)
}

pub(in crate::cli) fn disable(args: &DisableArgs) -> Exit {
    let changes = BackendChanges { state: Some(State::Disabled), ..BackendChanges::default() };
    with(&args.whom.connect, async |client| switch(client, &args.whom, changes, None).await)
}

pub(in crate::cli) fn drain(args: &DrainArgs) -> Exit {
    let DrainArgs { whom, wait, no_wait, timeout, limit } = args;
    let is_watched = stderr().is_terminal() && !whom.connect.json && !no_wait;
    let waits = (*wait || timeout.is_some() || is_watched) && !whom.how.dry_run;
    let changes = BackendChanges {
        state: Some(State::Draining),
        drain: limit.clone(),
        ..BackendChanges::default()
    };
    with(&whom.connect, async |client| {
        switch(client, whom, changes, waits.then_some(*timeout)).await
    })
}

/// Changes all of them at once; `wait`: then waits until they are drained, at most so long.
async fn switch(
    client: &Client,
    whom: &Whom,
    set: BackendChanges,
    wait: Option<Option<Duration>>,
) -> Result<Exit, Failure> {
    let Whom { targets, force, how, also, connect } = whom;
    let clusters: Vec<Cluster> = client.get("/api/v1/clusters").await?.read()?;
    if targets.is_empty() {
        return Err(nobody_named(&clusters));
    }
    let targets = resolve(targets, &clusters, *force)?;
    let is_limited = set.drain.is_some();
    let operation = |target: &Target| Operation::Patch {
        cluster: target.cluster.clone(),
        backend: target.backend.clone(),
        set: set.clone(),
    };
    let operations = targets.iter().map(operation).collect();
    let (answer, mut changed) = make(client, operations, &how.query(*force)).await?;
    if !connect.json {
        tell(connect, &told(&changed, &targets))?;
    } else if wait.is_none() {
        tell(connect, &format!("{}\n", answer.as_text()))?;
    }
    let saved = also.after(client, &changed, &targets, connect).await?;
    let Some(limit) = wait else { return Ok(exit_of(&changed).or(saved)) };
    let waited = until_over(client, &targets, limit, is_limited, connect.quiet).await;
    if connect.json {
        // What is true when the waiting is over, whatever came of it.
        if let Ok(clusters) = &waited {
            let is_about = |one: &&Cluster| targets.iter().any(|target| target.cluster == one.name);
            changed.clusters = clusters.iter().filter(is_about).cloned().collect();
            changed.backend = None;
        }
        // It is all texts and numbers: that cannot fail.
        let text = serde_json::to_string(&changed).unwrap_or_default();
        tell(connect, &format!("{text}\n"))?;
    }
    waited?;
    if !connect.json {
        for target in &targets {
            tell(connect, &format!("{target} is drained: it can be stopped\n"))?;
        }
    }
    Ok(saved)
}

fn nobody_named(clusters: &[Cluster]) -> Failure {
    let names = clusters.iter().flat_map(|cluster| {
        let name = |one: &crate::admin::dto::Backend| {
            format!("{}/{} ({})", cluster.name, one.name, one.state)
        };
        cluster.backends.iter().map(name)
    });
    let names: Vec<String> = names.collect();
    Failure::new(Exit::Usage, "which backend? write it as `CLUSTER/BACKEND`").help(
        match names.len() {
            0 => "there is none".to_owned(),
            _ => format!("there are {}", names.join(", ")),
        },
    )
}
