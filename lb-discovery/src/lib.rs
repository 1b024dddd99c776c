//! Where backends come from.
//!
//! A [`Source`] reports which backends exist: always the whole set, in order. It
//! never picks one, and never serves a request. Each has a *pure* half (bytes to
//! membership), which is tested and fuzzed without a disk or a network, and a
//! *shell* half (files, sockets, timers).
//!
//! * [`Fixed`]: the list a person wrote down
//! * [`Env`]: addresses in a variable of the environment
//! * [`File`]: a file, or a folder with one file per node, watched
//! * [`announce::Announced`]: nodes that say themselves that they are there
//! * [`gossip::Gossiped`]: nodes that tell each other who is there
//!
//! A cluster may have several. A [`Feed`] makes one stream of them:
//!
//! ```text
//! Source ──► Supervisor ──┐   patience with errors, doubt about large removals,
//! Source ──► Supervisor ──┼──► merge ──► Update   a bound on churn
//! Source ──► Supervisor ──┘   earlier sources win; each within its Allow
//! ```
//!
//! * An **error** says nothing about the backends. The last set holds for as long as
//!   it takes; [`Status`] tells how old it is and what is wrong.
//! * An **empty set** is an answer: nobody is there.
//! * **Junk** in one entry costs that entry, is a [`Warning`], and stays one until it
//!   is put right.
//! * A set that **removes most** backends has to be true for a while.
//! * What a source **may not say** is left out with the reason, never the whole set.
//!
//! ```
//! use lb_discovery::{Allow, Feed, File, Supervision};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! # let folder = tempfile::tempdir().unwrap();
//! # let nodes = folder.path();
//! std::fs::write(nodes.join("web1"), "10.0.0.1 3000 weight=3").unwrap();
//! std::fs::write(nodes.join("web2"), "10.0.0.2").unwrap();
//!
//! let mut feed = Feed::new(7);
//! feed.add(Box::new(File::new(nodes)), Allow::everything(), &Supervision::default());
//! let update = feed.next().await;
//! assert_eq!(update.membership.unwrap().len(), 1);
//! assert!(update.notes[0].to_string().ends_with("web2: the port is missing"));
//! # }
//! ```
//!
//! To add a source, implement [`Source`] and let `tests/conformance` ask it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod allow;
#[cfg(feature = "announce")]
pub mod announce;
mod distinct;
mod endpoint;
mod env;
mod feed;
#[cfg(feature = "file")]
pub mod file;
mod fixed;
#[cfg(all(feature = "file", any(test, feature = "fuzz")))]
pub mod fuzz;
#[cfg(feature = "gossip")]
pub mod gossip;
mod merge;
#[cfg(any(feature = "announce", feature = "file"))]
mod name;
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
