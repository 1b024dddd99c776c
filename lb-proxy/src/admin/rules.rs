//! Which tokens let in, and under which names we are asked. Replaced as a whole by a
//! reload.
//!
//! Tokens are kept and compared as their SHA-256: two digests are compared in a time that
//! says nothing about the token, wherever they differ.

use std::sync::Arc;

use lb_proxy::config::{Admin as Settings, Token};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest as _, Sha256};

use super::caller::{Digest, Role};
use crate::control::Door;

/// From this length on, in bytes, a token cannot be guessed.
const LONG: usize = 32;

/// Who is let in.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    tokens: Vec<Known>,
    /// Names under which clients may ask.
    pub(super) hosts: Arc<[Box<str>]>,
}

/// A token that lets in.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) digest: Digest,
    /// It is too long to be guessed, whoever tries.
    pub(super) is_long: bool,
    /// What its changes are signed with.
    pub(super) door: Door,
    pub(super) name: &'static str,
    pub(super) role: Role,
}

impl Rules {
    /// `made` holds where the settings have no token.
    pub(super) fn new(settings: &Settings, made: Option<&Token>) -> Self {
        let known = |token: &Token, role: Role, door: Option<Door>| {
            let name = role.name();
            Known {
                digest: digest(token.reveal().as_bytes()),
                is_long: token.reveal().len() >= LONG,
                door: door.unwrap_or_else(|| Door::Token { name: name.to_owned() }),
                name,
                role,
            }
        };
        let admin = match (&settings.token, made) {
            (Some(token), _) => Some(known(token, Role::Admin, None)),
            (None, made) => made.map(|token| known(token, Role::Admin, Some(Door::Loopback))),
        };
        let viewer = settings.read_token.as_ref().map(|token| known(token, Role::Viewer, None));
        Self {
            tokens: admin.into_iter().chain(viewer).collect(),
            hosts: settings.hosts.clone().into(),
        }
    }

    pub(super) fn find(&self, digest: Digest) -> Option<&Known> {
        self.tokens.iter().find(|known| known.digest == digest)
    }

    /// Whether anybody may change something by an address.
    pub(super) fn has_admin(&self) -> bool {
        self.tokens.iter().any(|known| known.role == Role::Admin)
    }
}

pub(super) fn digest(text: &[u8]) -> Digest {
    Sha256::digest(text).into()
}

/// 256 random bits, as text.
pub(super) fn random_text() -> std::io::Result<String> {
    let mut bytes = [0; 32];
    let length = getrandom(&mut bytes, GetRandomFlags::empty())?;
    if length != bytes.len() {
        return Err(std::io::Error::other("too few random bytes"));
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A token for this start.
pub(super) fn make_token() -> std::io::Result<Token> {
    Token::new(&random_text()?).map_err(std::io::Error::other)
}
