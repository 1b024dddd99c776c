//! What people have set, and how it is written down before it is done.
//!
//! Writing may take as long as a disk does, so it happens in a thread beside; what was
//! written is then taken over here, where it is read with every wish.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use tokio::{runtime::Handle, task::JoinError};

use super::{
    ask::Author,
    desk::Page,
    done::ChangeRecord,
    event::unix_millis,
    plan::{Edit, Overrides},
    refused::Refused,
    remembered::Remembered,
};
use crate::state::{
    Change, ChangeId, Dropped, NewChange, OpenError, Override, Setting, Subject, UnixMillis,
};

/// What remembers changes. Called in threads that may wait.
pub(crate) trait Memory: fmt::Debug + Send + Sync {
    /// Writes all of these down, or none, and numbers them.
    fn record(&self, changes: Vec<NewChange>) -> Result<Vec<ChangeId>, String>;
    /// A part of what was written down.
    fn changes(&self, page: Page, limit: usize) -> Result<Vec<Change>, String>;
    /// A change, if it may be undone; otherwise why not.
    fn undoable(&self, change: ChangeId) -> Result<Change, Refused>;
    fn overrides(&self) -> Result<Vec<Override>, String>;
    /// Drops what was set of those who have not been `there` for a day, and says what.
    fn expire(&self, there: &BTreeSet<Subject>) -> Result<Vec<Dropped>, String>;
}

/// A change that was written down, and what the file says of its field.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) change: Change,
    pub(crate) basis: serde_json::Value,
}

/// What people have set.
#[derive(Debug)]
pub(crate) struct Ledger {
    memory: Arc<dyn Memory>,
    pub(crate) overrides: Overrides,
    beside: Option<Handle>,
}

impl Ledger {
    /// What is remembered; without `apply` as if it were nothing.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, in words.
    pub(crate) fn open(memory: Arc<dyn Memory>, apply: bool) -> Result<Self, String> {
        let overrides = if apply { memory.overrides()? } else { Vec::new() };
        let by_key = |one: Override| ((one.subject.clone(), one.field), one);
        Ok(Self { memory, overrides: overrides.into_iter().map(by_key).collect(), beside: None })
    }

    /// Nothing, and nothing will be left of it.
    ///
    /// # Errors
    ///
    /// There is no memory for it.
    pub(crate) fn forgetful() -> Result<Self, OpenError> {
        Ok(Self { memory: Remembered::in_mind()?, overrides: Overrides::new(), beside: None })
    }

    /// Where to wait for the disk.
    pub(crate) fn write_beside(&mut self, beside: Handle) {
        self.beside = Some(beside);
    }

    pub(crate) fn memory(&self) -> Arc<dyn Memory> {
        Arc::clone(&self.memory)
    }

    /// The changes with these numbers, if they may be undone.
    pub(crate) async fn undoable(
        &self,
        numbers: Vec<u64>,
    ) -> Result<BTreeMap<u64, Change>, Refused> {
        if numbers.is_empty() {
            return Ok(BTreeMap::new());
        }
        let memory = self.memory();
        let find = move || {
            let one = |number| Ok((number, memory.undoable(ChangeId::new(number))?));
            numbers.into_iter().map(one).collect()
        };
        self.aside(find).await.unwrap_or_else(|error| Err(not_recorded(&error.to_string())))
    }

    /// Writes down what is going to be done.
    pub(crate) async fn record(
        &self,
        edits: &[Edit],
        author: &Author,
        why: Option<&str>,
    ) -> Result<Vec<Written>, Refused> {
        let news = edits.iter().map(|edit| new_change(edit, author, why)).collect();
        self.record_all(news).await
    }

    pub(crate) async fn record_all(&self, news: Vec<NewChange>) -> Result<Vec<Written>, Refused> {
        if news.is_empty() {
            return Ok(Vec::new());
        }
        let memory = self.memory();
        let written = self.aside(move || {
            let ids = memory.record(news.clone())?;
            Ok(news.into_iter().zip(ids).map(|(new, id)| numbered(new, id)).collect())
        });
        let written: Result<Vec<Written>, String> =
            written.await.unwrap_or_else(|error| Err(error.to_string()));
        written.map_err(|why| not_recorded(&why))
    }

    /// Takes over what was written down and done.
    pub(crate) fn take(&mut self, written: &[Written]) {
        for one in written {
            let key = (one.change.subject.clone(), one.change.field);
            match overriding(one) {
                Some(one) => drop(self.overrides.insert(key, one)),
                None => drop(self.overrides.remove(&key)),
            }
        }
    }

    /// Drops what is not there any more, if it is still what was set last.
    pub(crate) fn forget(&mut self, dropped: &[Dropped]) {
        for Dropped { of, .. } in dropped {
            let key = (of.subject.clone(), of.field);
            if self.overrides.get(&key).is_some_and(|one| one.change == of.change) {
                self.overrides.remove(&key);
            }
        }
    }

    async fn aside<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        match &self.beside {
            Some(beside) => beside.spawn_blocking(what).await,
            None => Ok(what()),
        }
    }
}

/// What is to be written down of an edit.
pub(crate) fn new_change(edit: &Edit, author: &Author, why: Option<&str>) -> NewChange {
    NewChange {
        at: now(),
        author: author.name.clone(),
        door: author.door.to_string(),
        why: why.map(str::to_owned),
        subject: edit.subject.clone(),
        field: edit.field,
        before: edit.before.clone(),
        after: edit.after.clone(),
        basis: edit.basis.clone(),
        undoes: edit.undoes,
    }
}

/// Takes back what was written down and could not be done.
pub(crate) fn undoing(written: &Written, why: &str) -> NewChange {
    let Written { change, basis } = written;
    NewChange {
        at: now(),
        author: "lb".to_owned(),
        door: "itself".to_owned(),
        why: Some(why.to_owned()),
        subject: change.subject.clone(),
        field: change.field,
        before: change.after.clone(),
        after: change.before.clone(),
        basis: basis.clone(),
        undoes: Some(change.id),
    }
}

pub(crate) fn now() -> UnixMillis {
    UnixMillis::new(i64::try_from(unix_millis()).unwrap_or(i64::MAX))
}

fn not_recorded(why: &str) -> Refused {
    Refused::NotRecorded { detail: format!("the change could not be written down: {why}") }
}

fn numbered(new: NewChange, id: ChangeId) -> Written {
    let basis = new.basis;
    let change = Change {
        id,
        at: new.at,
        author: new.author,
        door: new.door,
        why: new.why,
        subject: new.subject,
        field: new.field,
        before: new.before,
        after: new.after,
        undoes: new.undoes,
        found: ChangeId::ZERO,
        stands: id,
    };
    Written { change, basis }
}

/// What is set by a change; `None` where it gives the field back.
fn overriding(written: &Written) -> Option<Override> {
    let Written { change, basis } = written;
    let Setting::Override(value) = &change.after else { return None };
    Some(Override {
        subject: change.subject.clone(),
        field: change.field,
        value: value.clone(),
        basis: basis.clone(),
        change: change.id,
        seen: change.at,
    })
}

impl From<&Change> for ChangeRecord {
    fn from(change: &Change) -> Self {
        Self {
            id: change.id.get(),
            at: u64::try_from(change.at.get()).unwrap_or(0),
            author: change.author.clone(),
            door: change.door.clone(),
            why: change.why.clone(),
            cluster: change.subject.cluster().to_owned(),
            backend: change.subject.backend().map(str::to_owned),
            field: change.field.name().to_owned(),
            before: change.before.value().clone(),
            after: change.after.value().clone(),
            is_override: change.after.is_override(),
            undoes: change.undoes.map(ChangeId::get),
        }
    }
}
