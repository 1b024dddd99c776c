//! Where backends come from.
//!
//! A [`Source`] reports which backends exist: always the whole set, in order. It
//! never picks one, and never serves a request; what is done with the sets is up
//! to whoever polls it. A source has a *pure* half (bytes to membership), which can
//! be tested without a network, and a *shell* half (sockets, timers).
//!
//! * [`Fixed`]: the list a person wrote down
//! * [`Env`]: addresses in a variable of the environment
//! * [`File`]: a file, or a folder with one file per node, watched

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod allow;
mod distinct;
mod endpoint;
mod env;
mod feed;
#[cfg(feature = "file")]
pub mod file;
mod fixed;
#[cfg(all(feature = "file", any(test, feature = "fuzz")))]
pub mod fuzz;
mod merge;
mod source;
mod supervise;

pub use allow::Allow;
pub use env::Env;
pub use feed::{Feed, FeedStatus, Update};
#[cfg(feature = "file")]
pub use file::File;
pub use fixed::Fixed;
pub use merge::{Merged, Note, Part, merge};
pub use source::{NextSet, Report, Source, SourceError, Warning};
pub use supervise::{Failure, Status, Supervision, Supervisor};
