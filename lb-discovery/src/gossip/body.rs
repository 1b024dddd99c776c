//! What members say to each other.
//!
//! Membership is foca's: its packets are carried as they are. Beside them go the
//! entries, which say what a node offers; they are pulled by whoever joins, passed on
//! when they are new, and compared now and then.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What one datagram says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Body {
    /// A packet of foca.
    Swim(Vec<u8>),
    /// Are you there?
    Ask,
    /// I am.
    Here,
    /// What nodes offer.
    Entries(Vec<Entry>),
    /// What the sender knows of some nodes; who knows better answers.
    Digest(Digest),
    /// The sender knows less of these than it was told to be known.
    Want(Vec<SocketAddr>),
}

/// What one node offers, and in which version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) version: Version,
    /// A record, or nothing: it is a member and no backend. It is passed on as it came,
    /// also by those who cannot read it.
    pub(super) record: Option<Box<str>>,
}

/// Which entry of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) node: SocketAddr,
    /// When the node was started, in milliseconds since 1970.
    pub(super) boot: u64,
    pub(super) number: u64,
}

/// The versions of all nodes between two addresses; `None`: from the first, to the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Digest {
    pub(super) after: Option<SocketAddr>,
    pub(super) until: Option<SocketAddr>,
    pub(super) versions: Vec<Version>,
}

impl Version {
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        (self.boot, self.number) > (other.boot, other.number)
    }
}

impl Entry {
    /// More than it takes in a datagram.
    fn length(&self) -> usize {
        48 + self.record.as_ref().map_or(0, |record| record.len())
    }
}

impl Body {
    /// Entries in as many datagrams as they need.
    pub(super) fn entries(entries: Vec<Entry>) -> Vec<Self> {
        let (mut bodies, mut part, mut length) = (Vec::new(), Vec::new(), 0);
        for entry in entries {
            if length + entry.length() > ROOM && !part.is_empty() {
                bodies.push(Self::Entries(std::mem::take(&mut part)));
                length = 0;
            }
            length += entry.length();
            part.push(entry);
        }
        if !part.is_empty() {
            bodies.push(Self::Entries(part));
        }
        bodies
    }
}

/// How many versions are in a digest: each takes up to 40 bytes.
pub(super) const VERSIONS: usize = 30;

/// What is left for entries in a datagram.
const ROOM: usize = 1_250;

/// The longest record: a datagram of announcements has no more, either.
pub(super) const MAX_RECORD: usize = 1_100;
