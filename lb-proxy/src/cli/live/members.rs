//! `lb add`, `lb remove`

use clap::Args;

use super::{
    Connect,
    change::{How, exit_of, make, told},
    pattern::{Target, resolve},
    save::AlsoSave,
    say, with,
    words::read_limit,
};
use crate::{
    admin::dto::{Cluster, NewBackend, Operation},
    cli::exit::Exit,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct AddArgs {
    #[arg(value_name = "CLUSTER")]
    cluster: String,

    /// `10.0.0.4:3000`, `web:3000`, `unix:/run/app.sock`.
    #[arg(value_name = "ADDR")]
    address: String,

    /// What it is called; its address unless it is said.
    #[arg(long)]
    name: Option<String>,

    /// 1 to 65535; 1 unless it is said.
    #[arg(long, value_name = "N")]
    weight: Option<u32>,

    /// Used when no backend of a lower one can be: 1 is a backup.
    #[arg(long, value_name = "N")]
    tier: Option<u8>,

    /// How many requests it works on at a time.
    #[arg(long, value_name = "N")]
    max_in_flight: Option<u32>,

    #[arg(long)]
    zone: Option<String>,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    also: AlsoSave,

    #[command(flatten)]
    connect: Connect,
}

pub(in crate::cli) fn add(args: &AddArgs) -> Exit {
    let AddArgs { how, also, connect, .. } = args;
    let backend = NewBackend {
        address: args.address.clone(),
        name: args.name.clone(),
        weight: args.weight,
        tier: args.tier,
        max_in_flight: args.max_in_flight,
        zone: args.zone.clone(),
    };
    with(connect, async |client| {
        let operation = Operation::Add { cluster: args.cluster.clone(), backend };
        let (answer, changed) = make(client, vec![operation], &how.query(false)).await?;
        say(connect, &answer, || told(&changed, &[]))?;
        let saved = also.after(client, &changed, &[], connect).await?;
        Ok(exit_of(&changed).or(saved))
    })
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RemoveArgs {
    /// `CLUSTER/BACKEND`; several, or in quotes with `*` and `?`.
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,

    /// How long its clients have to go elsewhere, `30s`; it goes when they are gone.
    #[arg(long, value_name = "DURATION", value_parser = read_limit)]
    drain: Option<String>,

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

pub(in crate::cli) fn remove(args: &RemoveArgs) -> Exit {
    let RemoveArgs { targets, drain, force, how, also, connect } = args;
    with(connect, async |client| {
        let clusters: Vec<Cluster> = client.get("/api/v1/clusters").await?.read()?;
        let targets = resolve(targets, &clusters, *force)?;
        let operation = |target: &Target| Operation::Remove {
            cluster: target.cluster.clone(),
            backend: target.backend.clone(),
            drain: drain.clone(),
        };
        let operations = targets.iter().map(operation).collect();
        let (answer, changed) = make(client, operations, &how.query(*force)).await?;
        say(connect, &answer, || told(&changed, &targets))?;
        let saved = also.after(client, &changed, &targets, connect).await?;
        Ok(exit_of(&changed).or(saved))
    })
}
