//! Changes and overrides as rows, and back.

use std::fmt;

use rusqlite::{Error, Result, Row, types::Type};
use serde_json::Value;

use super::model::{Change, ChangeId, Field, Override, Setting, Subject, UnixMillis};

/// What [`change`] reads, in its order.
pub(super) const CHANGE: &str = "id, at, author, door, why, cluster, backend, field, \
    before, before_is_override, after, after_is_override, undoes, found, coalesce(stands, id)";

/// What [`override_`] reads, in its order.
pub(super) const OVERRIDE: &str = "cluster, backend, field, value, basis, change, seen";

pub(super) fn change(row: &Row<'_>) -> Result<Change> {
    Ok(Change {
        id: id(row, 0)?,
        at: UnixMillis::new(row.get(1)?),
        author: row.get(2)?,
        door: row.get(3)?,
        why: row.get(4)?,
        subject: subject(row, 5)?,
        field: field(row, 7)?,
        before: setting(row, 8)?,
        after: setting(row, 10)?,
        undoes: row.get::<_, Option<i64>>(12)?.map(|number| id_of(number, 12)).transpose()?,
        found: id(row, 13)?,
        stands: id(row, 14)?,
    })
}

pub(super) fn override_(row: &Row<'_>) -> Result<Override> {
    Ok(Override {
        subject: subject(row, 0)?,
        field: field(row, 2)?,
        value: value(row, 3)?,
        basis: value(row, 4)?,
        change: id(row, 5)?,
        seen: UnixMillis::new(row.get(6)?),
    })
}

/// The column `backend` of a subject.
pub(super) fn backend(subject: &Subject) -> &str {
    subject.backend().unwrap_or("")
}

/// A change as SQLite calls it.
pub(super) fn number(id: ChangeId) -> i64 {
    i64::try_from(id.get()).unwrap_or(i64::MAX)
}

pub(super) fn id(row: &Row<'_>, column: usize) -> Result<ChangeId> {
    id_of(row.get(column)?, column)
}

fn id_of(number: i64, column: usize) -> Result<ChangeId> {
    u64::try_from(number)
        .map(ChangeId::new)
        .map_err(|_| Error::IntegralValueOutOfRange(column, number))
}

fn subject(row: &Row<'_>, column: usize) -> Result<Subject> {
    let (cluster, backend): (String, String) = (row.get(column)?, row.get(column + 1)?);
    Ok(match backend.is_empty() {
        true => Subject::of_cluster(&cluster),
        false => Subject::of_backend(&cluster, &backend),
    })
}

fn field(row: &Row<'_>, column: usize) -> Result<Field> {
    let name: String = row.get(column)?;
    Field::of_name(&name).ok_or_else(|| unreadable(column, NoField(name)))
}

fn setting(row: &Row<'_>, column: usize) -> Result<Setting> {
    let value = value(row, column)?;
    Ok(if row.get(column + 1)? { Setting::Override(value) } else { Setting::Configured(value) })
}

fn value(row: &Row<'_>, column: usize) -> Result<Value> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

#[derive(Debug)]
struct NoField(String);

impl fmt::Display for NoField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a field", self.0)
    }
}

impl std::error::Error for NoField {}
