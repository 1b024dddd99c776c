//! Where backends come from.
//!
//! A [`Source`] reports which backends exist: always the whole set, in order. It
//! never picks one, and never serves a request; what is done with the sets is up
//! to whoever polls it. Each source has a crate feature's worth of code at most,
//! split into a *pure* half (bytes to membership) and a *shell* half (sockets,
//! timers).
//!
//! * [`Fixed`]: the list a person wrote down

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod fixed;
mod source;

pub use fixed::Fixed;
pub use source::{NextSet, Source, SourceError};
