//! Listening sockets: binding them, and taking clients from them.

mod accept;
mod bind;
mod listener;
mod settings;
mod trusted;

pub(crate) use accept::accept;
pub(crate) use bind::{bind, bind_beside};
pub(crate) use listener::Listener;
pub use settings::{ListenerLimits, ListenerSettings, ListenerTimeouts};
pub use trusted::TrustedProxies;
