//! `lb changes`, `lb generations`: what people did, and what became of clusters.

use clap::Args;

use super::{
    Connect,
    client::{Client, encoded},
    failure::Failure,
    say,
    table::{Column, Table},
    tell, with,
    words::{difference, moment},
};
use crate::{
    admin::dto::{Change, Generation},
    cli::exit::Exit,
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

/// Changes, newest first, as many as are looked at.
pub(super) struct Newest<'c> {
    client: &'c Client,
    page: std::vec::IntoIter<Change>,
    /// The last one that was answered.
    before: Option<u64>,
    is_last: bool,
}

impl<'c> Newest<'c> {
    pub(super) fn of(client: &'c Client) -> Self {
        Self { client, page: Vec::new().into_iter(), before: None, is_last: false }
    }

    /// The next older one. Asks for at most `more` of them where it has to ask.
    pub(super) async fn next(&mut self, more: usize) -> Result<Option<Change>, Failure> {
        if self.page.as_slice().is_empty() && !self.is_last {
            let limit = more.clamp(1, PAGE);
            let before = self.before.map(|id| format!("&before={id}")).unwrap_or_default();
            let path = format!("/api/v1/changes?order=newest&limit={limit}{before}");
            let page: Vec<Change> = self.client.get(&path).await?.read()?;
            self.is_last = page.len() < limit;
            self.before = page.last().map(|change| change.id);
            self.page = page.into_iter();
        }
        Ok(self.page.next())
    }
}

pub(in crate::cli) fn changes(args: &ChangesArgs) -> Exit {
    with(&args.connect, async |client| {
        let mut newest = Newest::of(client);
        let mut last = Vec::new();
        while last.len() < args.limit
            && let Some(change) = newest.next(args.limit - last.len()).await?
        {
            last.push(change);
        }
        last.reverse();
        let text = match args.connect.json {
            // It is all texts and numbers: that cannot fail.
            true => serde_json::to_string(&last).unwrap_or_default() + "\n",
            false => listed(&last),
        };
        tell(&args.connect, &text)?;
        Ok(Exit::Done)
    })
}

/// What took a change back is newer than that: it is among them as well.
fn listed(last: &[Change]) -> String {
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
        let undone = last.iter().find(|one| one.undoes == Some(change.id));
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
