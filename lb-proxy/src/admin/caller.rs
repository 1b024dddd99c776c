//! Who asks, by whose leave, and what he may do.

use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use http::{StatusCode, request::Parts};

use super::{failures::network, problem::Problem, users};
use crate::control::{Author, Door};

/// SHA-256 of a token or of the number of a session: neither is kept itself.
pub(super) type Digest = [u8; 32];

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Peer {
    /// Over an address.
    Address { remote: SocketAddr, local: SocketAddr },
    /// Over the Unix socket.
    Socket { uid: u32 },
}

impl Peer {
    /// Where it is, without the port, which says nothing.
    pub(super) fn place(self) -> String {
        match self {
            Self::Address { remote, .. } => remote.ip().to_canonical().to_string(),
            Self::Socket { uid } => format!("socket, uid {uid}"),
        }
    }
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Role {
    Viewer,
    Admin,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) author: Author,
    pub(super) role: Role,
    pub(super) leave: Leave,
    pub(super) identity: Identity,
}

/// What lets him in, for as long as that holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leave {
    Socket,
    Token(Digest),
    Session(Digest),
}

/// Whom limits count as one: a user of this machine, or whoever comes with one token from
/// one network. Sessions of one token are one, or each would have limits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    User(u32),
    Token(Digest, IpAddr),
}

impl Identity {
    pub(super) fn of_token(token: Digest, remote: IpAddr) -> Self {
        Self::Token(token, network(remote))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Who are you?"))
    }
}

impl Caller {
    pub(super) fn of_socket(uid: u32) -> Self {
        Self {
            author: Author { name: users::name_of(uid), door: Door::Socket { uid } },
            role: Role::Admin,
            leave: Leave::Socket,
            identity: Identity::User(uid),
        }
    }
}
