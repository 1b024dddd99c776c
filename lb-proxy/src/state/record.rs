//! Writing one change down, within a transaction.
//!
//! Whether an undo is still possible is asked here too, where nothing can come in
//! between: two people may press the button at once.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{
    error::StoreError,
    model::{Change, ChangeId, Field, NewChange, Override, Setting, Subject},
    rows, undo,
};

/// Why a transaction is given up.
#[derive(Debug)]
pub(super) enum Fail {
    Sql(rusqlite::Error),
    Refused(StoreError),
}

impl From<rusqlite::Error> for Fail {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fail {
    fn from(refused: StoreError) -> Self {
        Self::Refused(refused)
    }
}

pub(super) fn insert(transaction: &Transaction<'_>, change: &NewChange) -> Result<ChangeId, Fail> {
    let last = last_of(transaction, &change.subject, change.field)?;
    let found = last.as_ref().map_or(ChangeId::ZERO, |last| last.stands);
    let stands = match change.undoes {
        None => None,
        Some(id) => {
            let undone = find(transaction, id)?
                .filter(|undone| (&undone.subject, undone.field) == (&change.subject, change.field))
                .ok_or(StoreError::NoSuchChange(id))?;
            // There is a last one: `undone` is of this field.
            let last = last.as_ref().unwrap_or(&undone);
            undo::check(&undone, last).map_err(StoreError::NoUndo)?;
            Some(rows::number(undone.found))
        }
    };
    let (before, after) = (&change.before, &change.after);
    transaction.execute(
        "INSERT INTO change (at, author, door, why, cluster, backend, field, before, \
         before_is_override, after, after_is_override, undoes, found, stands) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            change.at.get(),
            change.author,
            change.door,
            change.why,
            change.subject.cluster(),
            rows::backend(&change.subject),
            change.field.name(),
            before.value().to_string(),
            before.is_override(),
            after.value().to_string(),
            after.is_override(),
            change.undoes.map(rows::number),
            rows::number(found),
            stands,
        ],
    )?;
    let id = ChangeId::new(u64::try_from(transaction.last_insert_rowid()).unwrap_or(0));
    set(transaction, change, id)?;
    Ok(id)
}

/// What holds since.
fn set(transaction: &Transaction<'_>, change: &NewChange, id: ChangeId) -> rusqlite::Result<usize> {
    let (cluster, backend) = (change.subject.cluster(), rows::backend(&change.subject));
    let field = change.field.name();
    match &change.after {
        Setting::Override(value) => transaction.execute(
            "INSERT OR REPLACE INTO override (cluster, backend, field, value, basis, change, seen) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                cluster,
                backend,
                field,
                value.to_string(),
                change.basis.to_string(),
                rows::number(id),
                change.at.get()
            ],
        ),
        Setting::Configured(_) => transaction.execute(
            "DELETE FROM override WHERE cluster = ?1 AND backend = ?2 AND field = ?3",
            params![cluster, backend, field],
        ),
    }
}

/// Notes when the subject of an override was last there.
pub(super) fn note_seen(transaction: &Transaction<'_>, of: &Override) -> rusqlite::Result<usize> {
    transaction.execute(
        "UPDATE override SET seen = ?1 WHERE cluster = ?2 AND backend = ?3 AND field = ?4",
        params![of.seen.get(), of.subject.cluster(), rows::backend(&of.subject), of.field.name()],
    )
}

pub(super) fn find(connection: &Connection, id: ChangeId) -> rusqlite::Result<Option<Change>> {
    let select = format!("SELECT {} FROM change WHERE id = ?1", rows::CHANGE);
    connection.query_row(&select, [rows::number(id)], rows::change).optional()
}

pub(super) fn last_of(
    connection: &Connection,
    subject: &Subject,
    field: Field,
) -> rusqlite::Result<Option<Change>> {
    let select = format!(
        "SELECT {} FROM change WHERE cluster = ?1 AND backend = ?2 AND field = ?3 \
         ORDER BY id DESC LIMIT 1",
        rows::CHANGE
    );
    let of = params![subject.cluster(), rows::backend(subject), field.name()];
    connection.query_row(&select, of, rows::change).optional()
}
