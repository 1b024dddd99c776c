//! What people changed while it ran: written down before it is done, there again after
//! a restart, and possible to take back.
//!
//! This part only remembers. Who may change what, and doing it, is for others; the
//! request path knows nothing of it. Times are passed in.

mod error;
mod file;
mod model;
mod path;
mod precedence;
mod quota;
mod record;
mod rows;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod undo;

#[cfg(test)]
pub(crate) use self::precedence::ITSELF;
pub(crate) use self::{
    error::{OpenError, Problem, StoreError},
    model::{Change, ChangeId, Field, NewChange, Override, Setting, Subject, UnixMillis},
    path::{Because, Place, Surroundings, place},
    precedence::{DropCause, Dropped, is_same, settle},
    store::Store,
    undo::{Undoer, undo},
};
