//! `lb sources`

use clap::Args;

use super::{
    Connect, say,
    table::{Column, Table},
    with,
    words::moment,
};
use crate::{admin::dto::Source, cli::exit::Exit};

#[derive(Debug, Args)]
pub(in crate::cli) struct SourcesArgs {
    #[command(flatten)]
    connect: Connect,
}

pub(in crate::cli) fn sources(args: &SourcesArgs) -> Exit {
    with(&args.connect, async |client| {
        let answer = client.get("/api/v1/sources").await?;
        let all: Vec<Source> = answer.read()?;
        say(&args.connect, &answer, || listed(&all))?;
        Ok(Exit::Done)
    })
}

fn listed(all: &[Source]) -> String {
    const COLUMNS: [Column; 5] = [
        Column::text("cluster"),
        Column::text("state"),
        Column::number("backends"),
        Column::text("since").dropped(1),
        Column::text("source"),
    ];
    if all.is_empty() {
        return "No cluster has a source: all backends are in the file.\n".to_owned();
    }
    let mut table = Table::new(&COLUMNS);
    for one in all {
        let state = match (one.connected, one.frozen) {
            (true, _) => "connected",
            (false, true) => "frozen",
            (false, false) => "unreachable",
        };
        let mut below = Vec::new();
        if one.frozen {
            below.push("why: it cannot be read; its last set holds".to_owned());
        }
        if let Some(held) = one.held_members {
            below.push(format!("held: a set of {held} waits, as it would remove so many"));
        }
        if let Some(error) = &one.last_error {
            let at = one.last_error_at.map_or_else(String::new, |at| format!(" at {}", moment(at)));
            below.push(format!("last error{at}: {error}"));
        }
        let refused = one.refused.iter().flatten();
        let refused: Vec<String> = refused.map(|(word, count)| format!("{word} {count}")).collect();
        if !refused.is_empty() {
            below.push(format!("ignored datagrams: {}", refused.join(", ")));
        }
        below.extend(one.warnings.iter().map(|warning| format!("warning: {warning}")));
        let cells = vec![
            one.cluster.clone(),
            state.to_owned(),
            one.members.to_string(),
            one.set_at.map_or_else(String::new, moment),
            one.source.clone(),
        ];
        table.row(cells, below);
    }
    table.render()
}
