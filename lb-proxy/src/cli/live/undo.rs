//! `lb undo`

use std::collections::HashSet;

use clap::Args;

use super::{
    Connect,
    change::{How, exit_of, told},
    client::Client,
    failure::Failure,
    history::Newest,
    say, with,
};
use crate::{
    admin::dto::{Change, Changed, WhoAmI},
    cli::exit::Exit,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct UndoArgs {
    /// Its number, as the change was answered with and `lb changes` lists it; several are
    /// undone one after the other. Without it, the last of your own that stands.
    #[arg(value_name = "CHANGE")]
    changes: Vec<u64>,

    /// Also where it leaves a cluster without a backend that takes requests.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    connect: Connect,
}

pub(in crate::cli) fn undo(args: &UndoArgs) -> Exit {
    let UndoArgs { changes, force, how, connect } = args;
    with(connect, async |client| {
        let changes = match &**changes {
            [] => vec![last_of_mine(client).await?],
            changes => changes.to_vec(),
        };
        let mut exit = Exit::Done;
        for change in changes {
            let path = format!("/api/v1/changes/{change}/undo{}", how.query(*force));
            let answer = client.post(&path).await?;
            let changed: Changed = answer.read()?;
            say(connect, &answer, || told(&changed, &[]))?;
            if exit_of(&changed) != Exit::Done {
                exit = Exit::TimedOut;
            }
        }
        Ok(exit)
    })
}

/// The newest one that is one's own and was not undone. An undo is none: to undo twice is
/// to go back further. What came to be the file's word is not undone either.
async fn last_of_mine(client: &Client) -> Result<u64, Failure> {
    let me: WhoAmI = client.get("/api/v1/whoami").await?.read()?;
    let mut newest = Newest::of(client);
    let (mut newer, mut seen) = (Newer::default(), 0);
    // Mostly it is among the last; the further back, the more at once.
    while let Some(change) = newest.next(20 + seen).await? {
        seen += 1;
        if let Some(id) = standing_of(&me, &change, &mut newer) {
            return Ok(id);
        }
    }
    Err(Failure::new(Exit::NoTarget, "no change of yours is left to undo")
        .help("`lb changes` lists those of others: `lb undo NUMBER`"))
}

/// What is known of the changes that were looked at.
#[derive(Default)]
struct Newer {
    undone: HashSet<u64>,
    /// The fields that were given back to the file since: by being saved, or by an edit of it.
    given_over: HashSet<(String, String)>,
}

/// The number of a change that is `me`'s and stands. Has to see all that are newer before.
fn standing_of(me: &WhoAmI, change: &Change, newer: &mut Newer) -> Option<u64> {
    if newer.undone.contains(&change.id) {
        return None;
    }
    let field = (change.subject.clone(), change.field.clone());
    if change.undoes.is_none() && (change.is_given_over() || change.door == "itself") {
        newer.given_over.insert(field);
        return None;
    }
    newer.undone.extend(change.undoes);
    let is_last = change.undoes.is_none() && !newer.given_over.contains(&field);
    (is_last && is_mine(me, change)).then_some(change.id)
}

/// By a token or in a browser with it, that is the same person; by the socket it is
/// whoever has the same user.
fn is_mine(me: &WhoAmI, change: &Change) -> bool {
    let is_local = |door: &str| door.starts_with("socket");
    let is_by_token =
        |door: &str| matches!(door, "browser" | "loopback") || door.starts_with("token ");
    match is_local(&me.door) {
        true => change.door == me.door,
        false => is_by_token(&change.door) && change.author == me.name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(id: u64, door: &str, undoes: Option<u64>) -> Change {
        serde_json::from_value(json!({
            "id": id, "at": 0, "author": "ann", "door": door, "subject": "web/s1",
            "cluster": "web", "backend": "s1", "field": "weight", "before": 1, "after": 2,
            "override": true, "undoes": undoes,
        }))
        .unwrap()
    }

    fn last_standing(changes: &[Change], name: &str, door: &str) -> Option<u64> {
        let me = json!({ "name": name, "role": "admin", "door": door });
        let me: WhoAmI = serde_json::from_value(me).unwrap();
        let mut newer = Newer::default();
        changes.iter().rev().find_map(|change| standing_of(&me, change, &mut newer))
    }

    #[test]
    fn what_was_saved_or_dropped_is_passed_over_with_all_that_led_to_it() {
        let own = "socket, uid 7";
        let of = |id, field: &str| Change { field: field.to_owned(), ..change(id, own, None) };
        let saved = |id, field: &str| {
            let (before, is_override) = (json!(2), false);
            Change { before, is_override, ..of(id, field) }
        };
        let dropped = Change { door: "itself".to_owned(), ..of(5, "state") };
        let mut changes = vec![of(1, "max_in_flight"), of(2, "weight"), of(3, "state")];
        changes.extend([saved(4, "weight"), dropped]);
        assert_eq!(last_standing(&changes, "ann", own), Some(1));
        // Set anew, it is undone; so it is where the drop was taken back.
        changes.push(of(6, "weight"));
        assert_eq!(last_standing(&changes, "ann", own), Some(6));
        changes.push(Change { undoes: Some(6), ..of(7, "weight") });
        changes.push(Change { undoes: Some(5), ..of(8, "state") });
        assert_eq!(last_standing(&changes, "ann", own), Some(3));
    }

    #[test]
    fn undoing_twice_goes_back_two_changes() {
        let own = "socket, uid 7";
        let mut changes = vec![change(1, own, None), change(2, own, None)];
        changes.push(change(3, "token admin", None));
        assert_eq!(last_standing(&changes, "ann", own), Some(2));
        changes.push(change(4, own, Some(2)));
        assert_eq!(last_standing(&changes, "ann", own), Some(1));
        changes.push(change(5, own, Some(1)));
        assert_eq!(last_standing(&changes, "ann", own), None);
        assert_eq!(last_standing(&changes, "ann", "token ann"), Some(3));
    }

    #[test]
    fn who_has_a_token_is_the_same_in_a_browser_and_on_the_command_line() {
        let changes = vec![change(1, "browser", None), change(2, "socket, uid 7", None)];
        assert_eq!(last_standing(&changes, "ann", "token ann"), Some(1));
        assert_eq!(last_standing(&changes, "bob", "token bob"), None);
        let dropped = change(3, "itself", None);
        assert_eq!(last_standing(&[dropped], "ann", "token ann"), None);
    }
}
