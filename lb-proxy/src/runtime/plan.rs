//! What a worker is to become: all it needs, as it crosses into its thread.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use super::{instance::Instance, progress::Version, service::Service};
use crate::{listen::ListenerSettings, observe::Board};

/// Tells the listeners of a proxy apart, also after a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListenerId(pub(super) u64);

/// A service, and what of it a worker does not have yet.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) version: Version,
    pub(super) service: Arc<Service>,
    pub(super) instance: Instance,
    /// Which ones the listeners of the service are, in their order. A worker closes
    /// all others.
    pub(super) listeners: Arc<[ListenerId]>,
    /// Sockets that are new.
    pub(super) opened: Vec<OpenedListener>,
    /// Where it counts.
    pub(super) board: Arc<Board>,
}

/// A worker's own socket of a new listener.
#[derive(Debug)]
pub(super) struct OpenedListener {
    pub(super) id: ListenerId,
    /// Where it listens.
    pub(super) address: SocketAddr,
    pub(super) socket: TcpListener,
    pub(super) settings: ListenerSettings,
    /// Its connections, over all workers.
    pub(super) places: Arc<AtomicUsize>,
}

impl Plan {
    /// Takes the place of a plan that no worker has seen. Its sockets have been
    /// listening, so somebody may wait to be accepted: they are passed on, also those
    /// that are to be closed again.
    pub(super) fn supersede(&mut self, unseen: &mut Self) {
        let later = std::mem::replace(&mut self.opened, std::mem::take(&mut unseen.opened));
        self.opened.extend(later);
    }

    /// How long a drain may take.
    pub(super) fn shutdown(&self) -> Duration {
        let limits = self.service.listeners.iter().map(|listener| listener.timeouts.shutdown);
        limits.max().unwrap_or(Duration::ZERO)
    }
}
