//! Opening the file so that it is this process's alone, and noticing when it is not
//! the file any more that has this name.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::{error::Problem, schema};

/// How long to wait for a process before that is just about to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// A file that is open, and which one it is.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) path: PathBuf,
    /// Device and number.
    identity: (u64, u64),
}

impl Held {
    /// Whether the name still leads to the file that is open. Somebody may have removed
    /// it: then what is written is gone with the end of this process.
    pub(super) fn is_there(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == self.identity)
    }
}

/// Opens or creates a file for this process alone, until the connection is closed.
pub(super) fn open(path: &Path) -> Result<(Connection, Held), Problem> {
    create(path).map_err(|error| Problem::NotWritable(error.to_string()))?;
    let sql = |error: rusqlite::Error| Problem::of(&error);
    // By a connection of its own, since the next one changes the file's mode at once,
    // and it may be another program's.
    schema::check(&connect(path).map_err(sql)?, schema::STEPS)?;
    let connection = connect(path).map_err(sql)?;
    if connection.is_readonly("main").map_err(sql)? {
        return Err(Problem::NotWritable("permission denied".to_owned()));
    }
    take(&connection).map_err(sql)?;
    let damage: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sql)?;
    if damage != "ok" {
        return Err(Problem::Corrupt(damage));
    }
    let identity = identity(path).map_err(|error| Problem::Other(error.to_string()))?;
    Ok((connection, Held { path: path.to_owned(), identity }))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // Before the log is first looked at: then its index is kept in memory, not in a
    // third file, and the lock is not given back between transactions.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    Ok(connection)
}

/// Makes the connection the only one, and sets how it writes.
fn take(connection: &Connection) -> rusqlite::Result<()> {
    // What a `kill -9` leaves in the log is there after it: the pages are the
    // kernel's by then. Only a loss of power can take the last changes with it.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", 1 << 23)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")
}

/// Only their user may read who changed what and why. SQLite gives the log the same
/// permissions.
fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // One that is there must not be opened beside SQLite: closing it would give up
    // the locks that this process has on it.
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(|_| ()),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}
