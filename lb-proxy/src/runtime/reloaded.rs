//! Waiting for a reload to be in force.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::listeners::ListenerChanges;

/// A service that was accepted; resolves when every worker has taken it up, or a later
/// one.
///
/// From then on no request is begun by the service before, and no listener accepts that
/// it does not name; requests that were begun go on by it. Needs no particular runtime.
/// Dropping it is harmless: the reload goes on.
pub struct Reloaded {
    listeners: ListenerChanges,
    taken_up: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Reloaded {
    pub(super) fn new(
        listeners: ListenerChanges,
        taken_up: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self { listeners, taken_up: Box::pin(taken_up) }
    }

    /// What it does to the listeners. Empty after it has resolved.
    #[must_use]
    pub fn listeners(&self) -> &ListenerChanges {
        &self.listeners
    }
}

impl Future for Reloaded {
    /// What was done to the listeners.
    type Output = ListenerChanges;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ListenerChanges> {
        ready!(self.taken_up.as_mut().poll(cx));
        Poll::Ready(mem::take(&mut self.listeners))
    }
}

impl fmt::Debug for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}
