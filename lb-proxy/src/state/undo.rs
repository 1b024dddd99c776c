//! Taking a change back. Pure.
//!
//! Every field has a line of changes, and one of them *stands*: the one that made it
//! what it is. A change stands when it is made; an undo makes that stand again which
//! stood before the change that it undoes. So changes are taken back from the newest,
//! as far as one likes, an undo is a change and can be undone, and a change that
//! something newer lies on stays what it is until that is taken back.

use serde_json::Value;

use super::model::{Change, ChangeId, NewChange, Setting, UnixMillis};

/// Why a change cannot be taken back. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NoUndo {
    #[error(
        "{field} of `{subject}` has been changed since: by change {by}, {author}, to {now}",
        field = .0.field,
        subject = .0.subject,
        by = .0.id,
        author = .0.author,
        now = .0.after.value()
    )]
    ChangedSince(Box<Change>),
    #[error("change {change} has been undone already, by change {by}")]
    Undone { change: ChangeId, by: ChangeId },
}

/// Whether a change can be undone; `latest` is the last one of its field.
pub(super) fn check(change: &Change, latest: &Change) -> Result<(), NoUndo> {
    if latest.stands == change.stands {
        return Ok(());
    }
    Err(if latest.undoes == Some(change.id) {
        NoUndo::Undone { change: change.id, by: latest.id }
    } else {
        NoUndo::ChangedSince(Box::new(latest.clone()))
    })
}

/// Who undoes something, and when.
#[derive(Debug, Clone)]
pub(crate) struct Undoer {
    pub(crate) at: UnixMillis,
    pub(crate) author: String,
    pub(crate) door: String,
    pub(crate) why: Option<String>,
}

/// The change that takes another one back. `latest` is the last one of its field,
/// `configured` what file and sources say of the field now, and `basis` what the file
/// alone does.
///
/// # Errors
///
/// The field has been changed since.
pub(crate) fn undo(
    change: &Change,
    latest: &Change,
    by: Undoer,
    configured: &Value,
    basis: Value,
) -> Result<NewChange, NoUndo> {
    check(change, latest)?;
    let as_of_now = |setting: &Setting| match setting {
        Setting::Override(value) => Setting::Override(value.clone()),
        Setting::Configured(_) => Setting::Configured(configured.clone()),
    };
    Ok(NewChange {
        at: by.at,
        author: by.author,
        door: by.door,
        why: by.why,
        subject: change.subject.clone(),
        field: change.field,
        before: as_of_now(&latest.after),
        after: as_of_now(&change.before),
        basis,
        undoes: Some(change.id),
    })
}
