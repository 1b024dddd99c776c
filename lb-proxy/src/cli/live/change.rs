//! Making a change, and telling what came of it.

use clap::Args;
use http::Method;

use super::{
    client::{Answer, Client, encoded},
    failure::Failure,
    pattern::Target,
    words::percent,
};
use crate::{
    admin::dto::{Backend, Bulk, Changed, Cluster, Operation},
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
                text += &line(&changed.clusters, subject);
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
fn line(clusters: &[Cluster], (cluster, backend): (&str, Option<&str>)) -> String {
    let found = clusters.iter().find(|one| one.name == cluster);
    match (found, backend) {
        (None, None) => format!("{cluster} is gone\n"),
        (Some(found), None) => format!("{cluster}: strategy {}\n", found.strategy),
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

/// `up: weight 3, share 75%`, or why it is not.
fn standing(backend: &Backend) -> String {
    let Backend { state, why, weight, share, .. } = backend;
    match why {
        Some(why) => format!("{state}: {why}; weight {weight}"),
        None => format!("{state}: weight {weight}, share {}", percent(*share)),
    }
}
