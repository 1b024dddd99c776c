//! Listening sockets: binding them, and taking clients from them.

mod accept;
mod bind;
mod settings;
mod trusted;

pub(crate) use accept::{Listener, accept};
pub(crate) use bind::bind;
pub use settings::{ListenerLimits, ListenerSettings, ListenerTimeouts};
pub use trusted::TrustedProxies;
