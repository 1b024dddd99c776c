//! What is remembered of one sender: how far it was heard, and what it said last.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use lb_core::{AdminState, Backend, Tick};

use super::{
    datagram::Datagram,
    record::{Record, State},
    refusal::Refusal,
    window::{Order, Window},
};

/// Whoever announces one name with one key.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) boot_id: u64,
    pub(super) window: Window,
    /// When the newest datagram was sent, by the sender's clock.
    pub(super) sent_ms: u64,
    pub(super) from: IpAddr,
    /// `None`: it has gone.
    pub(super) life: Option<Life>,
}

/// A backend that is there.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) backend: Backend,
    pub(super) heard: Tick,
    pub(super) ttl: Duration,
}

impl Sender {
    pub(super) fn new(datagram: &Datagram, from: IpAddr) -> Self {
        Self {
            boot_id: datagram.boot_id,
            window: Window::new(datagram.number),
            sent_ms: datagram.sent_ms,
            from,
            life: None,
        }
    }

    /// What a datagram is to those its sender has sent before. Another life of the
    /// sender must have begun later than all that was heard of the one before.
    pub(super) fn order(
        known: Option<&Self>,
        datagram: &Datagram,
    ) -> Result<(Order, Window), Refusal> {
        let mut window = match known {
            Some(sender) if sender.boot_id == datagram.boot_id => sender.window,
            Some(sender) if sender.sent_ms >= datagram.sent_ms => return Err(Refusal::Stale),
            _ => return Ok((Order::Newest, Window::new(datagram.number))),
        };
        match window.take(datagram.number) {
            Order::Replayed => Err(Refusal::Replay),
            order => Ok((order, window)),
        }
    }

    /// Whether this is another node that uses the name of one that is there. A node
    /// that was started again is where it was before, or the one before has gone.
    pub(super) fn is_another(&self, datagram: &Datagram, backend: &Backend) -> bool {
        self.boot_id != datagram.boot_id
            && self.life.as_ref().is_some_and(|life| life.backend.address() != backend.address())
    }

    /// Whether this is the goodbye of a life that another one has taken over from: a
    /// program that was replaced may end after the new one has begun.
    pub(super) fn has_outlived(&self, datagram: &Datagram) -> bool {
        self.boot_id != datagram.boot_id
            && self.life.is_some()
            && datagram.record.state == State::Down
    }
}

impl Life {
    pub(super) fn ends_at(&self) -> Tick {
        self.heard + self.ttl
    }

    pub(super) fn is_over(&self, now: Tick) -> bool {
        self.ends_at() <= now
    }

    /// Whether two of its datagrams are missing: it sends three in its time.
    pub(super) fn is_late(&self, now: Tick) -> bool {
        now.since(self.heard) > self.ttl * 2 / 3
    }
}

/// The backend of a record that is at this address.
pub(crate) fn describe(record: &Record, address: SocketAddr) -> Backend {
    let state = match record.state {
        State::Draining => AdminState::Draining { until: None },
        State::Up | State::Down => AdminState::Enabled,
    };
    let mut backend = Backend::new(address.to_string())
        .weighted(record.weight)
        .in_tier(record.tier)
        .in_state(state);
    if let Some(name) = &record.name {
        backend = backend.named(name);
    }
    if let Some(zone) = &record.zone {
        backend = backend.in_zone(zone);
    }
    backend
}
