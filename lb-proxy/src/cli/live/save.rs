//! `lb config diff`, `lb config save`, `--save`: what people have set, against the file and
//! into it.

use clap::Args;
use http::Method;

use super::{
    Connect,
    change::How,
    client::Client,
    failure::Failure,
    pattern::Target,
    say, with,
    words::{Said, moment},
};
use crate::{
    admin::dto::{Changed, Differences, DriftItem, SaveWish, Saved},
    cli::{exit::Exit, print},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    #[command(flatten)]
    connect: Connect,
}

/// Tells what differs from the file; ends with 1 if anything does, as diff(1).
pub(in crate::cli) fn diff(args: &DiffArgs) -> Exit {
    with(&args.connect, async |client| {
        let answer = client.get("/api/v1/config/diff").await?;
        let found: Differences = answer.read()?;
        say(&args.connect, &answer, || match &*found.differences {
            [] => format!("Nothing differs from {}.\n", found.origin),
            all => all.iter().map(told).collect(),
        })?;
        Ok(if found.differences.is_empty() { Exit::Done } else { Exit::Failed })
    })
}

fn told(item: &DriftItem) -> String {
    let place = match (&item.file, item.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        _ => "the file".to_owned(),
    };
    let (value, says) = (Said(&item.value), Said(&item.file_says));
    let what = match &*item.field {
        "added" if item.file_says.is_null() => format!("added: {value}; {place} does not have it"),
        "added" => format!("added: {value}; {place} says {says}"),
        "removed" => format!("removed; {place} has it"),
        field if item.file_says.is_null() => format!("{field} is {value}; {place} says nothing"),
        field => format!("{field} is {value}; {place} says {says}"),
    };
    let mut text = format!("{}: {what}\n", subject(&item.cluster, item.backend.as_deref()));
    if let (Some(author), Some(door), Some(at)) = (&item.author, &item.door, item.at) {
        let why = item.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        text += &format!("  by {author} ({door}), {}{why}\n", moment(at));
    }
    if let Some(because) = &item.because {
        text += &format!("  cannot be saved: {because}\n");
    }
    text + &format!("  undo: lb undo {}\n", item.change)
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SaveArgs {
    /// `CLUSTER`, with all that belongs to it, or `CLUSTER/BACKEND`; without any, everything
    /// that people have set.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    connect: Connect,
}

/// Writes what was set into the file; ends with 1 if something of it stays beside it.
pub(in crate::cli) fn save(args: &SaveArgs) -> Exit {
    let SaveArgs { targets, how, connect } = args;
    with(connect, async |client| {
        let wish = SaveWish { targets: targets.clone(), changes: Vec::new() };
        write(client, &wish, &how.query(false), connect).await
    })
}

/// Whether a change is also written into the file.
#[derive(Debug, Args)]
pub(super) struct AlsoSave {
    /// Also write it into the configuration file, where its value stands.
    #[arg(long, conflicts_with = "dry_run")]
    save: bool,
}

impl AlsoSave {
    /// Writes what was just changed; of what was so already, all that is set of it.
    pub(super) async fn after(
        &self,
        client: &Client,
        changed: &Changed,
        asked: &[Target],
        connect: &Connect,
    ) -> Result<Exit, Failure> {
        if !self.save {
            return Ok(Exit::Done);
        }
        let changes: Vec<u64> = changed.changes.iter().map(|change| change.id).collect();
        let targets = match (changes.is_empty(), asked) {
            (false, _) => Vec::new(),
            (true, []) => changed.clusters.iter().map(|one| one.name.clone()).collect(),
            (true, asked) => asked.iter().map(ToString::to_string).collect(),
        };
        if changes.is_empty() && targets.is_empty() {
            return Ok(Exit::Done);
        }
        let exit = write(client, &SaveWish { targets, changes }, "", connect).await?;
        if exit == Exit::Done && !connect.json {
            print::result("What is saved is not undone, but set anew.\n")?;
        }
        Ok(exit)
    }
}

async fn write(
    client: &Client,
    wish: &SaveWish,
    query: &str,
    connect: &Connect,
) -> Result<Exit, Failure> {
    let path = format!("/api/v1/config/save{query}");
    let answer = client.send(Method::POST, &path, wish).await?;
    let saved: Saved = answer.read()?;
    say(connect, &answer, || written(&saved))?;
    let left: Vec<String> = saved.items.iter().filter(|item| !item.saved).map(left).collect();
    if !connect.json {
        print::diagnostic(&left.concat());
    }
    if !saved.effective && !saved.dry_run && !saved.files.is_empty() {
        print::diagnostic("warning: not every worker goes by it yet; it will in a moment\n");
    }
    Ok(if left.is_empty() { Exit::Done } else { Exit::Failed })
}

fn written(saved: &Saved) -> String {
    if saved.dry_run {
        return saved.files.iter().map(|file| &*file.diff).collect();
    }
    let lines = saved.items.iter().filter(|item| item.saved).map(|item| {
        let subject = subject(&item.cluster, item.backend.as_deref());
        let place = match (&item.file, item.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            _ => "the file".to_owned(),
        };
        match &*item.field {
            "added" => format!("saved {subject}: {place}\n"),
            "removed" => format!("saved {subject}: no more in {place}\n"),
            field => format!("saved {subject}: {field} {}: {place}\n", Said(&item.value)),
        }
    });
    let lines: String = lines.collect();
    match (lines.is_empty(), saved.items.is_empty()) {
        (true, true) => "Nothing was saved: nothing differs from the file.\n".to_owned(),
        (true, false) => "Nothing was saved.\n".to_owned(),
        (false, _) => lines,
    }
}

fn left(item: &crate::admin::dto::SavedItem) -> String {
    let subject = subject(&item.cluster, item.backend.as_deref());
    let because = item.because.as_deref().unwrap_or_default();
    format!("warning: {subject}: {} stays set beside the file: {because}\n", item.field)
}

fn subject(cluster: &str, backend: Option<&str>) -> String {
    backend.map_or_else(|| cluster.to_owned(), |backend| format!("{cluster}/{backend}"))
}
