//! What is remembered: the changes, and the overrides that they left.
//!
//! A change is written down, in one transaction with all that belong to it, before it
//! is done and answered. So an answer is a promise that the next start finds it, and
//! the worst that a crash in between leaves is a change that nobody was told of.
//!
//! Calls wait for the disk: not for a thread that serves requests. No cursor, no
//! cache: at the rate of people, preparing a statement each time costs nothing.

use std::path::Path;

use rusqlite::{Connection, Params, Transaction, TransactionBehavior, params};

use super::{
    error::{OpenError, Problem, StoreError},
    file::{self, Held},
    model::{Change, ChangeId, Field, NewChange, Override, Subject, UnixMillis},
    precedence::{self, Dropped},
    quota::{self, Quota},
    record::{self, Fail},
    rows, schema,
};

/// The memory of one balancer.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    /// `None`: in memory.
    held: Option<Held>,
    quota: Quota,
    opened: UnixMillis,
}

impl Store {
    /// Opens or creates a file, which no other process can use until this is dropped.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, with its name and what to do about it. It is as it
    /// was.
    pub(crate) fn open(path: &Path, now: UnixMillis) -> Result<Self, OpenError> {
        let (connection, held) = file::open(path).map_err(|problem| problem.at(path))?;
        Self::new(connection, Some(held), Quota::DEFAULT, now).map_err(|problem| problem.at(path))
    }

    /// A memory that ends with the process: changes are told and can be undone while
    /// it runs.
    pub(crate) fn in_memory(now: UnixMillis) -> Result<Self, OpenError> {
        let memory = Path::new(":memory:");
        Connection::open_in_memory()
            .map_err(|error| Problem::of(&error))
            .and_then(|connection| Self::new(connection, None, Quota::DEFAULT, now))
            .map_err(|problem| problem.at(memory))
    }

    pub(super) fn new(
        mut connection: Connection,
        held: Option<Held>,
        quota: Quota,
        now: UnixMillis,
    ) -> Result<Self, Problem> {
        schema::migrate(&mut connection, schema::STEPS)?;
        quota.limit(&connection).map_err(|error| Problem::of(&error))?;
        let store = Self { connection, held, quota, opened: now };
        // Better to hear now that something cannot be read than with the first change.
        let readable = store.read_overrides().and_then(|_| store.read_changes(NEWEST, [1]));
        readable.map_err(|error| Problem::of(&error))?;
        Ok(store)
    }

    /// Writes changes down: all of them, or none. What they are called is in their order.
    ///
    /// # Errors
    ///
    /// They were not written, and must not be done: the disk, a text that is too long,
    /// or an undo of a change that something newer lies on.
    pub(crate) fn record(&mut self, changes: &[NewChange]) -> Result<Vec<ChangeId>, StoreError> {
        for change in changes {
            quota::check(change)?;
        }
        self.check_there()?;
        let quota = self.quota;
        self.write(|transaction| {
            let ids = changes
                .iter()
                .map(|change| record::insert(transaction, change))
                .collect::<Result<_, _>>()?;
            quota.trim(transaction)?;
            Ok(ids)
        })
    }

    /// Drops the overrides whose backend or cluster has been gone for a day, writes that
    /// down, and says which. To be asked now and then; [`precedence::expire`] tells what
    /// `is_there` means.
    ///
    /// # Errors
    ///
    /// All overrides hold as before.
    pub(crate) fn expire(
        &mut self,
        now: UnixMillis,
        is_there: impl Fn(&Subject) -> bool,
    ) -> Result<Vec<Dropped>, StoreError> {
        let before = self.overrides()?;
        let settled = precedence::expire(before.clone(), now, self.opened, is_there);
        // To the hour is enough of a day, and spares the disk.
        let is_noted = |of: &Override| {
            before.iter().any(|was| {
                (&was.subject, was.field) == (&of.subject, of.field)
                    && was.seen <= of.seen
                    && of.seen.since(was.seen) < precedence::PATIENCE
            })
        };
        let seen: Vec<&Override> = settled.kept.iter().filter(|of| !is_noted(of)).collect();
        if !seen.is_empty() {
            self.check_there()?;
            self.write(|transaction| {
                for of in seen {
                    record::note_seen(transaction, of)?;
                }
                Ok(())
            })?;
        }
        let dropped: Vec<NewChange> =
            settled.dropped.iter().map(|dropped| dropped.to_change(now)).collect();
        if !dropped.is_empty() {
            self.record(&dropped)?;
        }
        Ok(settled.dropped)
    }

    /// All that people have set and not taken back, by cluster, backend and field.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(crate) fn overrides(&self) -> Result<Vec<Override>, StoreError> {
        self.read_overrides().map_err(|error| self.failed(&error))
    }

    /// The changes after this one, oldest first, at most so many.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(crate) fn changes(&self, after: ChangeId, limit: u32) -> Result<Vec<Change>, StoreError> {
        let arguments = params![rows::number(after), limit];
        self.read_changes("WHERE id > ?1 ORDER BY id LIMIT ?2", arguments)
            .map_err(|error| self.failed(&error))
    }

    /// Changes before one, newest first, at most so many.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(crate) fn changes_before(
        &self,
        before: ChangeId,
        limit: u32,
    ) -> Result<Vec<Change>, StoreError> {
        let arguments = params![rows::number(before), limit];
        self.read_changes("WHERE id < ?1 ORDER BY id DESC LIMIT ?2", arguments)
            .map_err(|error| self.failed(&error))
    }

    /// The newest changes, oldest of them first, at most so many.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    #[cfg(test)]
    pub(crate) fn latest(&self, limit: u32) -> Result<Vec<Change>, StoreError> {
        let mut changes =
            self.read_changes(NEWEST, [limit]).map_err(|error| self.failed(&error))?;
        changes.reverse();
        Ok(changes)
    }

    /// One change.
    ///
    /// # Errors
    ///
    /// There is none of this number (any more), or the file cannot be read.
    pub(crate) fn change(&self, id: ChangeId) -> Result<Change, StoreError> {
        let found = record::find(&self.connection, id).map_err(|error| self.failed(&error))?;
        found.ok_or(StoreError::NoSuchChange(id))
    }

    /// The last change of a field, if there is any.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(crate) fn last_of(
        &self,
        subject: &Subject,
        field: Field,
    ) -> Result<Option<Change>, StoreError> {
        record::last_of(&self.connection, subject, field).map_err(|error| self.failed(&error))
    }

    /// The newest change by a person that stands and is not an undo itself. Asked again
    /// and again, it walks back.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    #[cfg(test)]
    pub(crate) fn last_standing(&self) -> Result<Option<Change>, StoreError> {
        let newest = "AS this WHERE undoes IS NULL AND door <> ?1 AND id = (
            SELECT coalesce(stands, id) FROM change AS other
            WHERE (other.cluster, other.backend, other.field)
                = (this.cluster, this.backend, this.field)
            ORDER BY other.id DESC LIMIT 1)
            ORDER BY id DESC LIMIT 1";
        let found =
            self.read_changes(newest, [precedence::ITSELF]).map_err(|error| self.failed(&error))?;
        Ok(found.into_iter().next())
    }

    /// The file; `None` if all is in memory.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.held.as_ref().map(|held| &*held.path)
    }

    fn read_overrides(&self) -> rusqlite::Result<Vec<Override>> {
        let select =
            format!("SELECT {} FROM override ORDER BY cluster, backend, field", rows::OVERRIDE);
        self.connection.prepare(&select)?.query_map([], rows::override_)?.collect()
    }

    fn read_changes(&self, which: &str, arguments: impl Params) -> rusqlite::Result<Vec<Change>> {
        let select = format!("SELECT {} FROM change {which}", rows::CHANGE);
        self.connection.prepare(&select)?.query_map(arguments, rows::change)?.collect()
    }

    fn check_there(&self) -> Result<(), StoreError> {
        match &self.held {
            Some(held) if !held.is_there() => Err(StoreError::Replaced(held.path.clone())),
            _ => Ok(()),
        }
    }

    /// One transaction, which is as if it had not been if anything in it fails.
    fn write<T>(
        &mut self,
        what: impl FnOnce(&Transaction<'_>) -> Result<T, Fail>,
    ) -> Result<T, StoreError> {
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior);
        let done = transaction.map_err(Fail::Sql).and_then(|transaction| {
            let done = what(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        done.map_err(|fail| match fail {
            Fail::Sql(error) => self.failed(&error),
            Fail::Refused(refused) => refused,
        })
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::Failed { path: self.path().map(Path::to_owned), problem: Problem::of(error) }
    }

    #[cfg(test)]
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Which changes: the newest of all, newest first, so many.
const NEWEST: &str = "ORDER BY id DESC LIMIT ?1";
