//! `lb audit`: who came, and what he did or was refused.

use std::time::Duration;

use clap::Args;

use super::{Connect, client::Client, failure::Failure, tell, with, words::moment};
use crate::{admin::dto::AuditEntry, cli::exit::Exit};

#[derive(Debug, Args)]
pub(in crate::cli) struct AuditArgs {
    /// How many, the last ones.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    limit: usize,

    /// Go on with what happens, until a signal ends it.
    #[arg(long, short)]
    follow: bool,

    #[command(flatten)]
    connect: Connect,
}

/// How often it is asked what has come. What failed is counted for a second anyway.
const PAUSE: Duration = Duration::from_secs(1);
/// As many as are kept of each sort.
const MOST: usize = 1_000;

pub(in crate::cli) fn audit(args: &AuditArgs) -> Exit {
    let AuditArgs { limit, follow, connect } = args;
    with(connect, async |client| {
        let last = entries(client, 0, *limit).await?;
        if connect.json && !follow {
            tell(connect, &json(&last))?;
            return Ok(Exit::Done);
        }
        if last.is_empty() && !follow {
            tell(connect, "Nobody has changed anything or was refused.\n")?;
        }
        let mut seen = last.last().map_or(0, |entry| entry.seq);
        tell(connect, &lines(&last, connect.json))?;
        if !follow {
            return Ok(Exit::Done);
        }
        loop {
            tokio::time::sleep(PAUSE).await;
            let news = entries(client, seen, MOST).await?;
            seen = news.last().map_or(seen, |entry| entry.seq);
            tell(connect, &lines(&news, connect.json))?;
        }
    })
}

async fn entries(client: &Client, since: u64, limit: usize) -> Result<Vec<AuditEntry>, Failure> {
    let limit = limit.clamp(1, MOST);
    client.get(&format!("/api/v1/audit?since={since}&limit={limit}")).await?.read()
}

fn lines(entries: &[AuditEntry], is_json: bool) -> String {
    let one = |entry: &AuditEntry| if is_json { json(entry) } else { line(entry) };
    entries.iter().map(one).collect()
}

fn line(entry: &AuditEntry) -> String {
    let AuditEntry { at, kind, from, author, method, path, status, .. } = entry;
    let who = match (author, &entry.door) {
        // The door of a socket says where it is from.
        (Some(author), Some(door)) if door == from => format!("{author} ({from})"),
        (Some(author), _) => format!("{author} from {from}"),
        (None, _) => from.clone(),
    };
    let what = format!("{method} {path}");
    let mut text = format!("{}  {kind:7}  {who}  {}  {status}", moment(*at), what.trim_end());
    match (&entry.problem, &entry.detail) {
        (Some(problem), Some(detail)) => text += &format!(" {problem}: {detail}"),
        (Some(only), None) | (None, Some(only)) => text += &format!(" {only}"),
        (None, None) => {}
    }
    if !entry.changes.is_empty() {
        let ids: Vec<String> = entry.changes.iter().map(u64::to_string).collect();
        text += &format!("  undo: lb undo {}", ids.join(" "));
    }
    if entry.count > 1 {
        text += &format!("  {} times", entry.count);
    }
    text + "\n"
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    // It is all texts and numbers: that cannot fail.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}
