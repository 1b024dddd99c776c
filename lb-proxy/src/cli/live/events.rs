//! `lb events`: what happened, and what happens.

use std::time::Duration;

use clap::Args;

use super::{
    Connect,
    client::Client,
    failure::Failure,
    tell, untrusted, with,
    words::{moment, present, read_duration},
};
use crate::{
    admin::dto::Event,
    cli::{exit::Exit, print},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct EventsArgs {
    /// Go on with what happens, until a signal ends it.
    #[arg(long, short)]
    follow: bool,

    /// Those of the last `10m`, instead of the last fifty.
    #[arg(long, value_name = "DURATION", value_parser = read_duration)]
    since: Option<Duration>,

    #[command(flatten)]
    connect: Connect,
}

const LAST: usize = 50;
/// Before a stream that has ended is asked for again.
const PAUSE: Duration = Duration::from_millis(500);

pub(in crate::cli) fn events(args: &EventsArgs) -> Exit {
    let EventsArgs { follow, since, connect } = args;
    with(connect, async |client| {
        let all: Vec<Event> = client.get("/api/v1/events").await?.read()?;
        let seen = all.last().map_or(0, |event| event.seq);
        let shown: Vec<Event> = match since {
            Some(since) => {
                let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
                let oldest = present().saturating_sub(since);
                all.into_iter().filter(|event| event.at >= oldest).collect()
            }
            None => {
                let last = all.len().saturating_sub(LAST);
                all.into_iter().skip(last).collect()
            }
        };
        let is_list = connect.json && !follow;
        let text = match is_list {
            true => json(&shown),
            false => shown.iter().map(|event| line(event, connect.json)).collect(),
        };
        tell(connect, &text)?;
        if *follow {
            go_on(client, seen, connect).await?;
        }
        Ok(Exit::Done)
    })
}

/// Prints what comes after `seen`, until nobody is there any more. A stream ends now and
/// then; the next one goes on where it has ended.
async fn go_on(client: &Client, mut seen: u64, connect: &Connect) -> Result<(), Failure> {
    loop {
        let mut lines = client.follow(&format!("/api/v1/events?since={seen}")).await?;
        let mut is_gap = false;
        while let Some(text) = lines.next().await {
            if let Some(kind) = text.strip_prefix("event: ") {
                is_gap = kind == "gap";
            }
            let Some(data) = text.strip_prefix("data: ") else { continue };
            if is_gap {
                print::diagnostic(&format!("warning: {}\n", gap(data)));
            } else if let Ok(event) = untrusted::read::<Event>(data) {
                seen = event.seq;
                tell(connect, &line(&event, connect.json))?;
            }
        }
        // One that ends all streams at once is not to be asked without end.
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a gap says, in words.
fn gap(data: &str) -> String {
    let read = untrusted::read::<serde_json::Value>(data).ok();
    match read.and_then(|read| read["missed"].as_u64()) {
        Some(1) => "1 event was missed".to_owned(),
        Some(missed) => format!("{missed} events were missed"),
        None => "some events were missed".to_owned(),
    }
}

fn line(event: &Event, is_json: bool) -> String {
    if is_json {
        return json(event);
    }
    let Event { at, kind, cluster, backend, field, from, to, why, author, change, .. } = event;
    let mut text = format!("{}  {kind:8}", moment(*at));
    match (cluster, backend) {
        (Some(cluster), Some(backend)) => text += &format!("  {cluster}/{backend}"),
        (Some(name), None) | (None, Some(name)) => text += &format!("  {name}"),
        (None, None) => {}
    }
    let field = field.as_ref().map_or_else(String::new, |field| format!("{field} "));
    match (from, to) {
        (Some(from), Some(to)) => text += &format!("  {field}{from} → {to}"),
        (None, Some(only)) | (Some(only), None) => text += &format!("  {field}{only}"),
        (None, None) => {}
    }
    if !why.is_empty() {
        text += &format!("  why: {why}");
    }
    if let Some(author) = author {
        text += &format!("  by {author}");
    }
    // Without a value before, it is as it was: there is nothing to undo.
    if let Some(change) = change.filter(|_| from.is_some()) {
        text += &format!("  undo: lb undo {change}");
    }
    text.trim_end().to_owned() + "\n"
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    // It is all texts and numbers: that cannot fail.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_told_in_words() {
        assert_eq!(gap("{\"missed\":1}"), "1 event was missed");
        assert_eq!(gap("{\"missed\":12}"), "12 events were missed");
        assert_eq!(gap("\u{1b}[2J"), "some events were missed");
    }
}
