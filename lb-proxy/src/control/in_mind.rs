//! Changes that are remembered until the process ends: of `lb demo`, and where nothing
//! is to be written.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{ledger::Memory, refused::Refused};
use crate::state::{Change, ChangeId, NewChange, Override, Setting};

/// The last changes. The oldest are forgotten.
#[derive(Debug, Default)]
pub(crate) struct InMind(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    changes: Vec<Change>,
    overrides: Vec<Override>,
}

impl InMind {
    const KEPT: usize = 10_000;

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&self, id: ChangeId) -> Option<&Change> {
        self.changes.iter().find(|change| change.id == id)
    }

    /// The last one of the same field.
    fn latest(&self, of: &Change) -> Option<&Change> {
        let same = |one: &&Change| one.subject == of.subject && one.field == of.field;
        self.changes.iter().rev().find(same)
    }

    fn add(&mut self, new: NewChange) -> ChangeId {
        self.last += 1;
        let id = ChangeId::new(self.last);
        let mut change = Change {
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
        change.found = self.latest(&change).map_or(ChangeId::ZERO, |latest| latest.stands);
        if let Some(undone) = new.undoes.and_then(|undone| self.find(undone)) {
            change.stands = undone.found;
        }
        self.overrides.retain(|one| (&one.subject, one.field) != (&change.subject, change.field));
        if let Setting::Override(value) = &change.after {
            self.overrides.push(Override {
                subject: change.subject.clone(),
                field: change.field,
                value: value.clone(),
                basis: new.basis,
                change: id,
                seen: change.at,
            });
        }
        self.changes.push(change);
        if self.changes.len() > InMind::KEPT {
            self.changes.remove(0);
        }
        id
    }
}

impl Memory for InMind {
    fn record(&self, changes: Vec<NewChange>) -> Result<Vec<ChangeId>, String> {
        let mut kept = self.kept();
        Ok(changes.into_iter().map(|change| kept.add(change)).collect())
    }

    fn changes(&self, since: ChangeId, limit: usize) -> Result<Vec<Change>, String> {
        let kept = self.kept();
        let later = kept.changes.iter().filter(|change| change.id > since);
        Ok(later.take(limit).cloned().collect())
    }

    fn undoable(&self, id: ChangeId) -> Result<Change, Refused> {
        let kept = self.kept();
        let change = id.get();
        let found = kept.find(id).ok_or(Refused::NoSuchChange { change })?;
        match kept.latest(found) {
            Some(latest) if latest.stands != found.stands => Err(Refused::ChangedSince {
                change,
                detail: format!(
                    "{} of `{}` has been changed since, by change {}",
                    found.field, found.subject, latest.id
                ),
            }),
            _ => Ok(found.clone()),
        }
    }

    fn overrides(&self) -> Result<Vec<Override>, String> {
        Ok(self.kept().overrides.clone())
    }
}
