//! `lb changes`, `lb generations`: what people did, and what became of clusters.

use clap::Args;

use super::{
    Connect,
    client::{Client, encoded},
    failure::Failure,
    say,
    table::{Column, Table},
    with,
    words::{difference, moment},
};
use crate::{
    admin::dto::{Change, Generation},
    cli::{exit::Exit, print},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ChangesArgs {
    /// How many, the last ones.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    limit: usize,

    #[command(flatten)]
    connect: Connect,
}

/// As many as are asked for at once.
const PAGE: usize = 1_000;

/// Every change there is, oldest first.
pub(super) async fn all_changes(client: &Client) -> Result<Vec<Change>, Failure> {
    let mut all: Vec<Change> = Vec::new();
    loop {
        let since = all.last().map_or(0, |change| change.id);
        let path = format!("/api/v1/changes?since={since}&limit={PAGE}");
        let page: Vec<Change> = client.get(&path).await?.read()?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

pub(in crate::cli) fn changes(args: &ChangesArgs) -> Exit {
    with(&args.connect, async |client| {
        let all = all_changes(client).await?;
        let last = &all[all.len().saturating_sub(args.limit)..];
        let text = match args.connect.json {
            // It is all texts and numbers: that cannot fail.
            true => serde_json::to_string(last).unwrap_or_default() + "\n",
            false => listed(last, &all),
        };
        print::result(&text)?;
        Ok(Exit::Done)
    })
}

fn listed(last: &[Change], all: &[Change]) -> String {
    const COLUMNS: [Column; 6] = [
        Column::number("change"),
        Column::text("when").dropped(2),
        Column::text("who").dropped(1),
        Column::text("of"),
        Column::text("what"),
        Column::text("undone by").dropped(3),
    ];
    if last.is_empty() {
        return "Nobody has changed anything.\n".to_owned();
    }
    let mut table = Table::new(&COLUMNS);
    for change in last {
        let undone = all.iter().find(|one| one.undoes == Some(change.id));
        let what = difference(&change.field, &change.before, &change.after);
        let mut below: Vec<String> = change.why.iter().map(|why| format!("why: {why}")).collect();
        below.extend(change.undoes.map(|undone| format!("undoes: {undone}")));
        let cells = vec![
            change.id.to_string(),
            moment(change.at),
            format!("{} ({})", change.author, change.door),
            change.subject.clone(),
            what,
            undone.map_or_else(String::new, |undone| undone.id.to_string()),
        ];
        table.row(cells, below);
    }
    table.render()
}

#[derive(Debug, Args)]
pub(in crate::cli) struct GenerationsArgs {
    /// Of this cluster only.
    #[arg(value_name = "CLUSTER")]
    cluster: Option<String>,

    #[command(flatten)]
    connect: Connect,
}

pub(in crate::cli) fn generations(args: &GenerationsArgs) -> Exit {
    with(&args.connect, async |client| {
        let of = args.cluster.as_ref().map(|name| format!("?cluster={}", encoded(name)));
        let path = format!("/api/v1/generations{}", of.unwrap_or_default());
        let answer = client.get(&path).await?;
        let all: Vec<Generation> = answer.read()?;
        say(&args.connect, &answer, || table_of(&all))?;
        Ok(Exit::Done)
    })
}

fn table_of(all: &[Generation]) -> String {
    const COLUMNS: [Column; 4] = [
        Column::text("cluster"),
        Column::number("generation"),
        Column::text("when").dropped(1),
        Column::text("what"),
    ];
    let mut table = Table::new(&COLUMNS);
    for one in all {
        let parts = [
            ("joined", &one.joined),
            ("left", &one.left),
            ("moved", &one.moved),
            ("changed", &one.changed),
        ];
        let parts = parts.iter().filter(|(_, names)| !names.is_empty());
        let what: Vec<String> =
            parts.map(|(verb, names)| format!("{verb}: {}", names.join(" "))).collect();
        let cells = vec![
            one.cluster.clone(),
            one.number.to_string(),
            moment(one.at),
            if what.is_empty() { "the same backends".to_owned() } else { what.join(", ") },
        ];
        let why = |cause: &crate::admin::dto::Cause| format!("why: {}: {}", cause.kind, cause.text);
        table.row(cells, one.causes.iter().map(why).collect());
    }
    table.render()
}
