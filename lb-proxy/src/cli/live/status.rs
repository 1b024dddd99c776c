//! `lb status`

use clap::Args;

use super::{
    Connect,
    client::{Client, encoded},
    failure::Failure,
    table::{Column, Table},
    tell,
    watch::watch,
    with,
    words::{Said, frequency, lasted, latency, moment, nothing, percent},
};
use crate::{
    admin::dto::{Backend, Cluster, Override, Rate, Status},
    cli::exit::Exit,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArgs {
    /// This cluster only.
    #[arg(value_name = "CLUSTER")]
    cluster: Option<String>,

    /// End with 1 if a cluster is degraded: nobody takes its requests, or somebody who
    /// should does not.
    #[arg(long)]
    check: bool,

    /// Tell it again each second, until a signal ends it.
    #[arg(long, short, conflicts_with_all = ["check", "quiet"])]
    watch: bool,

    #[command(flatten)]
    connect: Connect,
}

pub(in crate::cli) fn status(args: &StatusArgs) -> Exit {
    let exit = with(&args.connect, async |client| {
        if args.watch {
            watch(async || picture(client, args).await.map(|(text, _)| text)).await?;
        }
        let (text, is_degraded) = picture(client, args).await?;
        tell(&args.connect, &text)?;
        Ok(if args.check && is_degraded { Exit::Failed } else { Exit::Done })
    });
    // Who watches ends it so.
    if args.watch && exit == Exit::Interrupted { Exit::Done } else { exit }
}

/// How it is, and whether it is degraded.
async fn picture(client: &Client, args: &StatusArgs) -> Result<(String, bool), Failure> {
    match &args.cluster {
        Some(name) => one(client, args, name).await,
        None => all(client, args).await,
    }
}

async fn one(client: &Client, args: &StatusArgs, name: &str) -> Result<(String, bool), Failure> {
    let answer = client.get(&format!("/api/v1/clusters/{}", encoded(name))).await?;
    let cluster: Cluster = answer.read()?;
    let text = match args.connect.json {
        true => format!("{}\n", answer.as_text()),
        false => table_of(&cluster),
    };
    Ok((text, cluster.degraded))
}

async fn all(client: &Client, args: &StatusArgs) -> Result<(String, bool), Failure> {
    let (status, clusters) =
        (client.get("/api/v1/status").await?, client.get("/api/v1/clusters").await?);
    let (read, list): (Status, Vec<Cluster>) = (status.read()?, clusters.read()?);
    let text = match args.connect.json {
        true => {
            let (status, clusters) = (status.as_text(), clusters.as_text());
            format!("{{\"status\":{status},\"clusters\":{clusters}}}\n")
        }
        false => {
            let parts = list.iter().map(|cluster| format!("\n{}", table_of(cluster)));
            format!("{}{}", headline(&read), parts.collect::<String>())
        }
    };
    Ok((text, read.degraded))
}

fn headline(status: &Status) -> String {
    let Status { version, pid, uptime, origin, config_generation, listeners, .. } = status;
    // Parts of a second are of no interest.
    let up = lasted(*uptime as u64);
    let state = if status.degraded { "degraded" } else { "serving" };
    let on = listeners.join(", ");
    let log = match (&status.log.by, status.log.until) {
        (None, _) => String::new(),
        (Some(_), None) => format!("; logs {}", status.log.level),
        (Some(_), Some(until)) => format!("; logs {} until {}", status.log.level, moment(until)),
    };
    format!(
        "lb {version} {state} on {on}; {origin}, configuration {config_generation}; \
         up {up}, pid {pid}{log}\n"
    )
}

fn table_of(cluster: &Cluster) -> String {
    const COLUMNS: [Column; 10] = [
        Column::text("backend"),
        Column::state("state"),
        Column::number("weight").dropped(1),
        Column::number("share").dropped(2),
        Column::number("in flight").dropped(3),
        Column::number("req/s").dropped(4),
        Column::number("errors").dropped(5),
        Column::number("p99").dropped(6),
        Column::number("tier").dropped(8),
        Column::text("address").dropped(7),
    ];
    let mut text = cluster_line(cluster);
    let mut table = Table::new(&COLUMNS);
    for backend in &cluster.backends {
        let cells = vec![
            format!("{}/{}", cluster.name, backend.name),
            backend.state.clone(),
            backend.weight.to_string(),
            percent(backend.share),
            backend.in_flight.to_string(),
            frequency(backend.last_10s.requests_per_second),
            errors(&backend.last_10s),
            backend.last_10s.p99_ms.map_or_else(nothing, latency),
            backend.tier.to_string(),
            backend.address.clone(),
        ];
        table.row(cells, below(backend));
    }
    if !table.is_empty() {
        text += &table.render();
    }
    text
}

/// Of requests that there were.
fn errors(rate: &Rate) -> String {
    match rate.requests_per_second > 0.0 || rate.error_share > 0.0 {
        true => percent(rate.error_share),
        false => nothing(),
    }
}

fn cluster_line(cluster: &Cluster) -> String {
    let Cluster { name, strategy, usable, backends, degraded, .. } = cluster;
    let mut text = format!("{name}: {strategy}");
    if let Some(cookie) = &cluster.sticky {
        text += &format!(", sticky by {cookie}");
    }
    text += &format!(", {usable} of {} take requests", backends.len());
    if *degraded {
        text += ", degraded";
    }
    text += "\n";
    if let Some(panic) = &cluster.panic {
        text += &format!("  why: {panic}\n");
    }
    text.extend(cluster.overrides.iter().map(|one| format!("  {}\n", changed(one))));
    text
}

/// Why it stands where it stands, and what of it people have set.
fn below(backend: &Backend) -> Vec<String> {
    let why = backend.why.iter().map(|why| match &*backend.state {
        "starting" => format!("why: {why}; it is {:.1} now", backend.weight_now),
        _ => format!("why: {why}"),
    });
    why.chain(backend.overrides.iter().map(changed)).collect()
}

fn changed(one: &Override) -> String {
    let Override { backend, field, value, file, change, absent, .. } = one;
    let of = backend.as_ref().filter(|_| *absent).map(|name| format!("{name}, not there now: "));
    let of = of.unwrap_or_default();
    let what = match &**field {
        "added" => "added".to_owned(),
        "removed" => {
            let name = backend.as_deref().unwrap_or_default();
            format!("removed {name}").trim_end().to_owned()
        }
        field => format!("{field} is {}, the file says {}", Said(value), Said(file)),
    };
    format!("set: {of}{what} (lb undo {change})")
}
