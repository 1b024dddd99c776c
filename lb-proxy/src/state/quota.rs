//! How much is remembered: so many changes, so many bytes. The oldest changes go;
//! overrides, and the changes that made them, stay as long as they hold.

use rusqlite::{Connection, Transaction};

use super::{error::StoreError, model::NewChange};

/// The most that one text or value may have. A reason is a sentence, a value a table
/// of a file.
const MOST_BYTES: usize = 16 * 1024;

/// What may be kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quota {
    pub(super) changes: i64,
    /// Above this the oldest changes go; at twice as much nothing more is written.
    pub(super) bytes: i64,
}

impl Quota {
    pub(super) const DEFAULT: Self = Self { changes: 100_000, bytes: 64 << 20 };

    /// Keeps the file from growing however many overrides there are.
    pub(super) fn limit(self, connection: &Connection) -> rusqlite::Result<()> {
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        // Answers what is in force.
        connection.pragma_update_and_check(
            None,
            "max_page_count",
            2 * self.bytes / page,
            |_| Ok(()),
        )
    }

    /// Lets the oldest changes go that are too many.
    pub(super) fn trim(self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let number =
            |query: &str| transaction.query_row(query, [], |row| row.get::<_, Option<i64>>(0));
        let newest = number("SELECT max(id) FROM change")?.unwrap_or(0);
        let mut most = newest - self.changes;
        let used = number(
            "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count",
        )?;
        let page = number("SELECT page_size FROM pragma_page_size")?;
        if used.zip(page).is_some_and(|(used, page)| used * page > self.bytes) {
            // Of those that may go: one that stays forever would keep the step from them.
            let oldest =
                number("SELECT min(id) FROM change WHERE id NOT IN (SELECT change FROM override)")?;
            let oldest = oldest.unwrap_or(0);
            // In steps, so that not every change pays for it.
            most = most.max(oldest + (newest - oldest) / 8);
        }
        if most > 0 {
            transaction.execute(
                "DELETE FROM change WHERE id <= ?1 AND id NOT IN (SELECT change FROM override)",
                [most],
            )?;
        }
        Ok(())
    }
}

/// Refuses a change that no person wrote by hand.
pub(super) fn check(change: &NewChange) -> Result<(), StoreError> {
    let why = change.why.as_deref().unwrap_or("");
    let texts = [
        ("author", change.author.len()),
        ("door", change.door.len()),
        ("why", why.len()),
        ("cluster", change.subject.cluster().len()),
        ("backend", change.subject.backend().map_or(0, str::len)),
        ("before", change.before.value().to_string().len()),
        ("after", change.after.value().to_string().len()),
        ("basis", change.basis.to_string().len()),
    ];
    match texts.into_iter().find(|(_, bytes)| *bytes > MOST_BYTES) {
        Some((what, bytes)) => Err(StoreError::TooLong { what, bytes, most: MOST_BYTES }),
        None => Ok(()),
    }
}
