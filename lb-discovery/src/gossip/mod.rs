//! Nodes that tell each other who is there: SWIM, with [foca](https://caio.co/de/foca/).
//!
//! Each node knows a few others by name and all of them after a moment. Nobody has to
//! be told of everybody, and nobody is in charge. What is said is sealed with a key
//! ([`Ring`]), is heard once, and holds within what the source permits.
//!
//! A balancer does not believe the death of a node by gossip alone: one that was given
//! up by the others, or is silent, is tried over TCP first. A goodbye holds at once.
//!
//! Whoever has a key may say what any member says; nodes that do not trust each other
//! need keys, and addresses, of their own.

mod body;
mod engine;
mod envelope;
mod gossiped;
mod gossiper;
mod identity;
mod mesh;
mod node;
mod post;
mod profile;
mod rumours;
#[cfg(test)]
mod simulation;
mod table;
mod timers;
mod view;
mod watch;

pub use envelope::Ring;
#[cfg(all(feature = "file", any(test, feature = "fuzz")))]
pub(crate) use envelope::{open_and_hear, read_letter};
pub use gossiped::Gossiped;
pub use gossiper::Gossiper;
pub use mesh::{Meshes, Settings};
pub use profile::Profile;
pub use view::Policy;
