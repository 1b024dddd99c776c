//! Making a change, and telling what came of it.

use clap::Args;
use http::Method;

use super::{
    client::{Answer, Client, encoded},
    failure::Failure,
    pattern::Target,
    words::{Said, percent},
};
use crate::{
    admin::dto::{Backend, Bulk, Change, Changed, Cluster, Operation},
    cli::{exit::Exit, print},
};

/// How a change is made.
#[derive(Debug, Args)]
pub(super) struct How {
    /// What it is for; kept with the change.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,

    /// Only say what it would do.
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl How {
    /// The query that says so.
    pub(super) fn query(&self, is_forced: bool) -> String {
        let mut query = String::new();
        if is_forced {
            query += "&force=true";
        }
        if self.dry_run {
            query += "&dry_run=true";
        }
        if let Some(why) = &self.why {
            query += &format!("&why={}", encoded(why));
        }
        match query.strip_prefix('&') {
            Some(query) => format!("?{query}"),
            None => query,
        }
    }
}

/// Does all of these, or nothing.
pub(super) async fn make(
    client: &Client,
    operations: Vec<Operation>,
    query: &str,
) -> Result<(Answer, Changed), Failure> {
    let path = format!("/api/v1/changes{query}");
    let answer = client.send(Method::POST, &path, &Bulk { changes: operations }).await?;
    let changed: Changed = answer.read()?;
    Ok((answer, changed))
}

/// Whether all workers go by it. Where one does not, whoever stops the backend next has
/// to know.
pub(super) fn exit_of(changed: &Changed) -> Exit {
    if changed.effective || changed.dry_run {
        return Exit::Done;
    }
    print::diagnostic("warning: not every worker goes by it yet; it will in a moment\n");
    Exit::TimedOut
}

/// What is true now, of these and of whatever was changed, and how to undo it.
pub(super) fn told(changed: &Changed, asked: &[Target]) -> String {
    let mut text = String::new();
    let mut seen = Vec::new();
    let asked = asked.iter().map(|one| (&*one.cluster, Some(&*one.backend)));
    let made = changed.changes.iter().map(|one| (&*one.cluster, one.backend.as_deref()));
    if !changed.dry_run {
        for subject in asked.chain(made) {
            if !seen.contains(&subject) {
                seen.push(subject);
                text += &line(changed, subject);
            }
        }
    }
    if !changed.impact.says.is_empty() {
        let would = if changed.dry_run { "would be: " } else { "" };
        text += &format!("{would}{}\n", changed.impact.says);
    }
    let mut ids: Vec<u64> = changed.changes.iter().map(|change| change.id).collect();
    ids.reverse();
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    match (changed.dry_run, ids.is_empty()) {
        (true, _) => text += "Nothing was changed: this was a dry run.\n",
        (false, true) => text += "Nothing was changed: it was so already.\n",
        (false, false) => text += &format!("Undo: lb undo {}\n", ids.join(" ")),
    }
    text
}

/// One subject as it is now.
fn line(changed: &Changed, (cluster, backend): (&str, Option<&str>)) -> String {
    let found = changed.clusters.iter().find(|one| one.name == cluster);
    match (found, backend) {
        (None, None) => format!("{cluster} is gone\n"),
        (Some(found), None) => settings(changed, found),
        (found, Some(name)) => {
            let backend =
                found.and_then(|found| found.backends.iter().find(|one| one.name == name));
            match backend {
                Some(backend) => format!("{cluster}/{name} {}\n", standing(backend)),
                None => format!("{cluster}/{name} is gone\n"),
            }
        }
    }
}

/// Those settings of a cluster that were changed, as they would be typed.
fn settings(changed: &Changed, cluster: &Cluster) -> String {
    let is_of_it = |one: &&Change| one.cluster == cluster.name && one.backend.is_none();
    let fields = changed.changes.iter().filter(is_of_it).map(|one| &*one.field);
    let has = |table: &str| fields.clone().any(|field| field.starts_with(table));
    let mut text = String::new();
    if has("strategy") {
        text += &format!("{}: strategy {}\n", cluster.name, cluster.strategy);
    }
    for (table, said) in [("health", &cluster.health), ("sticky", &cluster.cookie)] {
        if has(table) {
            text += &table_line(&cluster.name, table, said.as_ref());
        }
    }
    text
}

/// `web: health path=/healthz interval=2s …`
pub(super) fn table_line(
    cluster: &str,
    table: &str,
    said: Option<&serde_json::Map<String, serde_json::Value>>,
) -> String {
    let Some(said) = said else { return format!("{cluster}: {table} off\n") };
    let pair = |(key, value): (&String, &serde_json::Value)| format!(" {key}={}", Said(value));
    format!("{cluster}: {table}{}\n", said.iter().map(pair).collect::<String>())
}

/// `up: weight 3, share 75%`, or why it is not.
fn standing(backend: &Backend) -> String {
    let Backend { state, why, weight, share, .. } = backend;
    match why {
        Some(why) => format!("{state}: {why}; weight {weight}"),
        None => format!("{state}: weight {weight}, share {}", percent(*share)),
    }
}
