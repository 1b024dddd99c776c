//! The tables, and how those of an earlier version become these.
//!
//! The file says whose it is (`application_id`) and how many of [`STEPS`] it has been
//! through (`user_version`). A step that was released is never changed: what it left
//! behind lies on disks. A file of a newer version is not touched, since what it means
//! is not known here.

use rusqlite::{Connection, TransactionBehavior};

use super::error::Problem;

/// `lb` and `st`, in letters.
const APPLICATION: i64 = 0x6c62_7374;

/// From nothing to now.
///
/// `backend` is empty where the subject is a cluster: no backend has an empty name.
/// `found` and `stands` are as in `Change`; `stands` is null where it is the change
/// itself, which has no number yet when it is written.
pub(super) const STEPS: &[&str] = &["
CREATE TABLE change (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    author TEXT NOT NULL,
    door TEXT NOT NULL,
    why TEXT,
    cluster TEXT NOT NULL,
    backend TEXT NOT NULL,
    field TEXT NOT NULL,
    before TEXT NOT NULL,
    before_is_override INTEGER NOT NULL,
    after TEXT NOT NULL,
    after_is_override INTEGER NOT NULL,
    undoes INTEGER,
    found INTEGER NOT NULL,
    stands INTEGER
) STRICT;
CREATE INDEX change_of_field ON change (cluster, backend, field, id);
CREATE TABLE override (
    cluster TEXT NOT NULL,
    backend TEXT NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,
    basis TEXT NOT NULL,
    change INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    PRIMARY KEY (cluster, backend, field)
) STRICT, WITHOUT ROWID;
"];

/// Whether a file is ours and of no newer version. Nothing is written.
pub(super) fn check(connection: &Connection, steps: &[&str]) -> Result<(), Problem> {
    found(connection, steps).map_err(|error| Problem::of(&error))?.map(|_| ())
}

/// Takes a file through the steps that it lacks: all of them, or none.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<(), Problem> {
    walk(connection, steps).map_err(|error| Problem::of(&error))?
}

fn walk(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<Result<(), Problem>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let lacking = match found(&transaction, steps)? {
        Ok(found) => &steps[found..],
        Err(problem) => return Ok(Err(problem)),
    };
    if !lacking.is_empty() {
        for step in lacking {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", known(steps))?;
    }
    transaction.commit()?;
    Ok(Ok(()))
}

/// How many of the steps a file has been through.
fn found(connection: &Connection, steps: &[&str]) -> rusqlite::Result<Result<usize, Problem>> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, found) = (number("application_id")?, number("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && (application, found, tables) != (0, 0, 0) {
        return Ok(Err(Problem::Foreign));
    }
    let in_steps = usize::try_from(found).ok().filter(|found| *found <= steps.len());
    Ok(in_steps.ok_or_else(|| Problem::Newer { found, known: known(steps) }))
}

fn known(steps: &[&str]) -> i64 {
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_the_steps_that_it_lacks_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        let later = [STEPS[0], "ALTER TABLE change ADD COLUMN ticket TEXT"];
        for _ in 0..2 {
            migrate(&mut connection, STEPS).unwrap();
        }
        for _ in 0..2 {
            migrate(&mut connection, &later).unwrap();
        }
        connection.execute("UPDATE change SET ticket = 'x'", []).unwrap();
        let newer = migrate(&mut connection, STEPS).unwrap_err();
        assert_eq!(newer, Problem::Newer { found: 2, known: 1 });
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, STEPS).unwrap();
        let broken = [STEPS[0], "ALTER TABLE change ADD COLUMN ticket TEXT; nonsense"];
        migrate(&mut connection, &broken).unwrap_err();
        migrate(&mut connection, STEPS).unwrap();
        connection.execute("UPDATE change SET ticket = 'x'", []).unwrap_err();
    }

    #[test]
    fn a_file_of_another_program_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE cookies (name TEXT)").unwrap();
        assert_eq!(migrate(&mut connection, STEPS), Err(Problem::Foreign));
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 7).unwrap();
        assert_eq!(migrate(&mut connection, STEPS), Err(Problem::Foreign));
    }
}
