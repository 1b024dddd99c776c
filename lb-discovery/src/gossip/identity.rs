//! Who a member is: where it is reached, and which life of it this is.
//!
//! A member that was declared dead cannot come back as who it was; it comes back with a
//! higher number. That number begins with the time of its start in milliseconds, so
//! that a node which is started again is another one without writing anything down.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A member, as foca knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) address: SocketAddr,
    pub(super) bump: u64,
}

impl Identity {
    /// Whoever is there: enough to knock.
    pub(super) fn whoever(address: SocketAddr) -> Self {
        Self { address, bump: 0 }
    }
}

impl foca::Identity for Identity {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Self> {
        Some(Self { bump: self.bump.saturating_add(1), ..*self })
    }

    fn addr(&self) -> SocketAddr {
        self.address
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.bump > adversary.bump
    }
}
