//! `lb undo`

use clap::Args;

use super::{
    Connect,
    change::{How, exit_of, told},
    client::Client,
    failure::Failure,
    history::all_changes,
    place::Place,
    say, with,
};
use crate::{
    admin::dto::{Change, Changed},
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

async fn last_of_mine(client: &Client) -> Result<u64, Failure> {
    let all = all_changes(client).await?;
    let own = match client.place() {
        Place::Socket(_) => Some(format!("socket, uid {}", rustix::process::geteuid().as_raw())),
        Place::Address(_) => None,
    };
    last_standing(&all, own.as_deref()).ok_or_else(|| {
        Failure::new(Exit::NoTarget, "no change of yours is left to undo")
            .help("`lb changes` lists those of others: `lb undo NUMBER`")
    })
}

/// The last one that came in by this door and was not undone; without a door, by any that
/// is a person's and no socket. An undo is none: to undo twice is to go back further.
fn last_standing(changes: &[Change], door: Option<&str>) -> Option<u64> {
    let is_mine = |change: &&Change| match door {
        Some(door) => change.door == door,
        None => change.door != "itself" && !change.door.starts_with("socket"),
    };
    let is_undone = |change: &&Change| changes.iter().any(|one| one.undoes == Some(change.id));
    let stands = |change: &&Change| change.undoes.is_none() && !is_undone(change);
    changes.iter().rev().filter(is_mine).find(stands).map(|change| change.id)
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

    #[test]
    fn undoing_twice_goes_back_two_changes() {
        let own = "socket, uid 7";
        let mut changes = vec![change(1, own, None), change(2, own, None)];
        changes.push(change(3, "token admin", None));
        assert_eq!(last_standing(&changes, Some(own)), Some(2));
        changes.push(change(4, own, Some(2)));
        assert_eq!(last_standing(&changes, Some(own)), Some(1));
        changes.push(change(5, own, Some(1)));
        assert_eq!(last_standing(&changes, Some(own)), None);
        assert_eq!(last_standing(&changes, None), Some(3));
    }
}
