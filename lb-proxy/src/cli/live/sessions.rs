//! `lb sessions`: how many clients are bound to whom, and where one of them is.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use http::Method;

use super::{
    Connect,
    client::{Client, encoded},
    failure::Failure,
    say,
    table::{Column, Table},
    with,
    words::{lasted, moment, nothing},
};
use crate::{
    admin::dto::{Cluster, SessionAsked, SessionFound, Sessions},
    cli::{exit::Exit, print},
};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct SessionsArgs {
    #[command(subcommand)]
    lookup: Option<Lookup>,

    /// This cluster only.
    #[arg(value_name = "CLUSTER")]
    cluster: Option<String>,

    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Subcommand)]
enum Lookup {
    /// Say where a session is, and what becomes of it if its backend drains or is down.
    Lookup(LookupArgs),
}

#[derive(Debug, Args)]
#[group(skip)]
struct LookupArgs {
    #[command(flatten)]
    whose: Whose,

    /// In this cluster only.
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,

    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// The cookie as the client has it, `'ROUTEID=…'`.
    #[arg(long, value_name = "NAME=VALUE")]
    cookie: Option<String>,

    /// The address of the client, where the strategy goes by that.
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,

    /// What the strategy goes by: the value of a header, a path.
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
}

pub(in crate::cli) fn sessions(args: &SessionsArgs) -> Exit {
    match &args.lookup {
        Some(Lookup::Lookup(args)) => look_up(args),
        None => with(&args.connect, async |client| match &args.cluster {
            Some(name) => one(client, args, name).await,
            None => all(client, args).await,
        }),
    }
}

async fn one(client: &Client, args: &SessionsArgs, name: &str) -> Result<Exit, Failure> {
    let answer = client.get(&path_of(name)).await?;
    let sessions: Sessions = answer.read()?;
    say(&args.connect, &answer, || listed(&sessions))?;
    Ok(Exit::Done)
}

async fn all(client: &Client, args: &SessionsArgs) -> Result<Exit, Failure> {
    let clusters: Vec<Cluster> = client.get("/api/v1/clusters").await?.read()?;
    let mut all: Vec<Sessions> = Vec::new();
    for cluster in &clusters {
        all.push(client.get(&path_of(&cluster.name)).await?.read()?);
    }
    let text = match args.connect.json {
        // It is all texts and numbers: that cannot fail.
        true => serde_json::to_string(&all).unwrap_or_default() + "\n",
        false => all.iter().map(listed).collect::<Vec<_>>().join("\n"),
    };
    print::result(&text)?;
    Ok(Exit::Done)
}

fn path_of(cluster: &str) -> String {
    format!("/api/v1/clusters/{}/sessions", encoded(cluster))
}

fn listed(sessions: &Sessions) -> String {
    const COLUMNS: [Column; 3] =
        [Column::text("backend"), Column::number("sessions"), Column::text("state").dropped(1)];
    let Sessions { cluster, bound_by, window_s, sessions, backends } = sessions;
    let Some(bound_by) = bound_by else {
        return format!("{cluster}: clients are not bound\n");
    };
    let window = lasted(*window_s);
    let count = if *sessions == 1 { "1 session" } else { &*format!("{sessions} sessions") };
    let mut text = format!("{cluster}: by {bound_by}; about {count} in the last {window}\n");
    let mut table = Table::new(&COLUMNS);
    for one in backends {
        let state = one.state.clone().unwrap_or_else(|| "gone".to_owned());
        let name = format!("{cluster}/{}", one.backend);
        table.row(vec![name, one.sessions.to_string(), state], Vec::new());
    }
    if !table.is_empty() {
        text += &table.render();
    }
    text
}

fn look_up(args: &LookupArgs) -> Exit {
    let Whose { cookie, client, key } = &args.whose;
    let asked = SessionAsked {
        cluster: args.cluster.clone(),
        cookie: cookie.clone(),
        client: *client,
        key: key.clone(),
    };
    with(&args.connect, async |client| {
        let answer = client.send(Method::POST, "/api/v1/sessions/lookup", &asked).await?;
        let all: Vec<SessionFound> = answer.read()?;
        say(&args.connect, &answer, || all.iter().map(found).collect::<Vec<_>>().join("\n"))?;
        Ok(Exit::Done)
    })
}

fn found(one: &SessionFound) -> String {
    let mut text = format!("{}: by {}\n", one.cluster, one.bound_by);
    let mut line = |name: &str, value: Option<String>| {
        text.extend(value.map(|value| format!("  {name:8} {value}\n")));
    };
    let state = one.state.as_ref().map_or_else(String::new, |state| format!(", {state}"));
    line(
        "backend",
        Some(match (&one.backend, &one.address) {
            (Some(name), Some(address)) if name != address => format!("{name} at {address}{state}"),
            (Some(name), _) => format!("{name}{state}"),
            (None, _) => nothing(),
        }),
    );
    line("why", Some(one.how.clone()));
    line("since", one.since.map(moment));
    line("until", one.expires.map(moment));
    line("draining", one.if_draining.clone());
    line("down", one.if_down.clone());
    line("assumes", one.assumes.clone());
    text
}
