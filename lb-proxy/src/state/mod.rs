//! What people changed while it ran: written down before it is done, there again after
//! a restart, and possible to take back.
//!
//! This part only remembers. Who may change what, and doing it, is for others; the
//! request path knows nothing of it. Times are passed in.

mod model;
mod precedence;

pub(crate) use self::{
    model::{Change, ChangeId, Field, NewChange, Override, Setting, Subject, UnixMillis},
    precedence::{Dropped, settle},
};
