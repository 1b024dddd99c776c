//! The memory of a balancer: the store, one caller at a time.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    desk::Page,
    ledger::{Memory, now},
    refused::Refused,
};
use crate::state::{
    Change, ChangeId, Dropped, NewChange, OpenError, Override, Store, StoreError, Subject, Undoer,
    undo,
};

#[derive(Debug)]
pub(crate) struct Remembered(Mutex<Store>);

impl Remembered {
    pub(crate) fn in_file(store: Store) -> Arc<dyn Memory> {
        Arc::new(Self(Mutex::new(store)))
    }

    /// One that ends with the process.
    ///
    /// # Errors
    ///
    /// There is no memory for it.
    pub(crate) fn in_mind() -> Result<Arc<dyn Memory>, OpenError> {
        Ok(Self::in_file(Store::in_memory(now())?))
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory for Remembered {
    fn record(&self, changes: Vec<NewChange>) -> Result<Vec<ChangeId>, String> {
        self.store().record(&changes).map_err(in_words)
    }

    fn changes(&self, page: Page, limit: usize) -> Result<Vec<Change>, String> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let store = self.store();
        let changes = match page {
            Page::After(id) => store.changes(ChangeId::new(id), limit),
            Page::Before(id) => store.changes_before(ChangeId::new(id), limit),
        };
        changes.map_err(in_words)
    }

    fn undoable(&self, id: ChangeId) -> Result<Change, Refused> {
        let store = self.store();
        let found = store.change(id).and_then(|change| {
            let latest = store.last_of(&change.subject, change.field)?;
            Ok((latest.unwrap_or_else(|| change.clone()), change))
        });
        let (latest, change) = found.map_err(|error| match error {
            StoreError::NoSuchChange(_) => Refused::NoSuchChange { change: id.get() },
            error => Refused::NotRecorded { detail: error.to_string() },
        })?;
        let by = Undoer { at: now(), author: String::new(), door: String::new(), why: None };
        let null = serde_json::Value::Null;
        match undo(&change, &latest, by, &null, null.clone()) {
            Ok(_) => Ok(change),
            Err(why) => Err(Refused::ChangedSince { change: id.get(), detail: why.to_string() }),
        }
    }

    fn overrides(&self) -> Result<Vec<Override>, String> {
        self.store().overrides().map_err(in_words)
    }

    fn expire(&self, there: &BTreeSet<Subject>) -> Result<Vec<Dropped>, String> {
        self.store().expire(now(), |subject| there.contains(subject)).map_err(in_words)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "to be called by its name")]
fn in_words(error: StoreError) -> String {
    error.to_string()
}
