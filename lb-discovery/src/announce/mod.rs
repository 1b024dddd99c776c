//! Nodes that announce themselves: a datagram a second that says *I am here*.
//!
//! Nothing has to be written down for a node to come, and nothing to be cleaned up for
//! one to go: who falls silent is gone after its time, who says goodbye at once. What
//! is said is authenticated with a key ([`Key`]), is heard once ([`Receiver`]), and
//! holds within what its key permits ([`Grant`]). Nothing is ever answered, so nobody
//! can be flooded by way of a balancer.
//!
//! The clocks of both sides have to agree within
//! [`max_skew`](Policy::max_skew). What is remembered of a sender ends with the
//! process: after that, what was recorded within that time could be played back, and
//! would hold for its time.

mod announced;
mod announcer;
pub(crate) mod complaints;
mod datagram;
mod grant;
pub(crate) mod group;
mod inbox;
mod key;
pub(crate) mod limits;
mod receiver;
mod record;
mod refusal;
pub(crate) mod sender;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
pub(crate) mod window;

pub use announced::Announced;
pub use announcer::{Announcer, Target};
pub use datagram::{Datagram, MAX_LENGTH, MAX_TTL, Sealed};
pub use grant::Grant;
pub use group::{Group, Interface};
pub use inbox::Inboxes;
pub use key::{Key, KeyId};
pub use receiver::{Answer, Moment, Policy, Receiver};
pub use record::{Place, Record, State};
pub use refusal::{Malformed, Refusal, Refusals};
