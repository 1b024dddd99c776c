//! The limits of a request that are not those of one phase.
//!
//! Most requests have none, and then no timer. That of one try excuses a backend
//! for as long as the client owes a part of the body; that of everything excuses
//! nobody.

use std::task::{Context, Poll};

use super::{client::Client, status::Trouble};
use crate::runtime::{ClusterTimeouts, timers::Timer};

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    per_try: Option<Timer>,
    total: Option<Timer>,
}

impl Deadlines {
    /// The time for everything runs from now.
    pub(super) fn begin(client: &Client, timeouts: &ClusterTimeouts) -> Self {
        let timer = || client.worker.timers.timer();
        let total = timeouts.total.map(|limit| {
            let timer = timer();
            timer.arm(limit);
            timer
        });
        Self { per_try: timeouts.per_try.map(|_| timer()), total }
    }

    /// The time for one try runs from now.
    pub(super) fn begin_try(&self, timeouts: &ClusterTimeouts) {
        if let (Some(timer), Some(limit)) = (&self.per_try, timeouts.per_try) {
            timer.arm(limit);
        }
    }

    /// Ready when one of them has passed, with which.
    pub(super) fn poll(
        &self,
        cx: &mut Context<'_>,
        timeouts: &ClusterTimeouts,
        excused: bool,
    ) -> Poll<Trouble> {
        if let Some(total) = &self.total
            && total.poll_expired(cx).is_ready()
        {
            return Poll::Ready(Trouble::TotalTimeout);
        }
        if let Some(per_try) = &self.per_try
            && per_try.poll_expired(cx).is_ready()
        {
            if !excused {
                return Poll::Ready(Trouble::FirstByteTimeout);
            }
            self.begin_try(timeouts);
            per_try.register(cx);
        }
        Poll::Pending
    }

    /// What goes on with the answer: the time for everything.
    pub(super) fn take_total(&mut self) -> Option<Timer> {
        self.total.take()
    }
}
