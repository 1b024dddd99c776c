//! Who asks, and what he may do.
//!
//! Over the Unix socket: whoever could open it, which its mode and owner decide. Over an
//! address: who has a token. Tokens are kept and compared as their SHA-256: two digests
//! are compared in a time that says nothing about the token, wherever they differ.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::Response,
};
use http::{Method, StatusCode, header, request::Parts};
use lb_proxy::config::{Admin, Token};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest as _, Sha256};

use super::{failures::Failures, problem::Problem, users};
use crate::control::{Author, Door};

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Peer {
    /// Over an address.
    Address { remote: SocketAddr, local: SocketAddr },
    /// Over the Unix socket.
    Socket { uid: u32 },
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Viewer,
    Admin,
}

/// Who is let in. Replaced as a whole by a reload.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    admin: Option<Known>,
    viewer: Option<Known>,
    /// Names under which clients may ask.
    pub(super) hosts: Arc<[Box<str>]>,
}

/// From this length on, in bytes, a token cannot be guessed.
const LONG: usize = 32;

#[derive(Debug, Clone)]
struct Known {
    digest: [u8; 32],
    /// It is too long to be guessed, whoever tries.
    is_long: bool,
    /// What its changes are signed with.
    door: Door,
    name: &'static str,
}

/// The rules in force, and who has failed them.
#[derive(Debug)]
pub(super) struct Access {
    rules: ArcSwap<Rules>,
    failures: Failures,
    /// The token of this start, where the file has none.
    made: Option<Token>,
}

impl Access {
    pub(super) fn new(settings: &Admin, made: Option<Token>) -> Self {
        let rules = ArcSwap::from_pointee(Rules::new(settings, made.as_ref()));
        Self { rules, failures: Failures::default(), made }
    }

    /// Takes up other tokens and hosts.
    pub(super) fn set(&self, settings: &Admin) {
        self.rules.store(Arc::new(Rules::new(settings, self.made.as_ref())));
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Who this is, unless he is not let in.
    fn judge(&self, request: &Request, peer: Peer, now: Instant) -> Result<Caller, Problem> {
        let remote = match peer {
            Peer::Socket { uid } => return Ok(Caller::of_socket(uid)),
            Peer::Address { remote, .. } => remote.ip(),
        };
        let wait = self.failures.wait(remote, now);
        let Some(given) = bearer(request) else {
            return Err(unauthorized("no token was given"));
        };
        let digest: [u8; 32] = Sha256::digest(given).into();
        let rules = self.rules.load();
        let known = [(&rules.admin, Role::Admin), (&rules.viewer, Role::Viewer)];
        for (known, role) in known {
            // Nobody is to be kept out by others who share his address and guess.
            let is_it =
                |known: &&Known| known.digest == digest && (known.is_long || wait.is_none());
            if let Some(known) = known.as_ref().filter(is_it) {
                let author = Author { name: known.name.to_owned(), door: known.door.clone() };
                return Ok(Caller { author, role });
            }
        }
        if let Some(wait) = wait {
            return Err(too_many(remote, wait));
        }
        self.failures.add(remote, now);
        tracing::warn!(%remote, "somebody came to the API with a wrong token");
        Err(unauthorized("the token is not known here"))
    }
}

fn too_many(remote: IpAddr, wait: Duration) -> Problem {
    let seconds = wait.as_secs().max(1);
    let mut problem =
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-failures", "Too many wrong tokens")
            .detail(format!("from {remote}; ask again in {seconds} s"))
            .hint("the Unix socket of this machine needs no token");
    problem.retry_after = Some(seconds);
    problem
}

impl Rules {
    fn new(settings: &Admin, made: Option<&Token>) -> Self {
        let known = |token: &Token, name, door| Known {
            digest: Sha256::digest(token.reveal().as_bytes()).into(),
            is_long: token.reveal().len() >= LONG,
            door,
            name,
        };
        let named = |name: &'static str| Door::Token { name: name.to_owned() };
        let admin = match (&settings.token, made) {
            (Some(token), _) => Some(known(token, "admin", named("admin"))),
            (None, made) => made.map(|token| known(token, "admin", Door::Loopback)),
        };
        let viewer = settings.read_token.as_ref();
        Self {
            admin,
            viewer: viewer.map(|token| known(token, "viewer", named("viewer"))),
            hosts: settings.hosts.clone().into(),
        }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) author: Author,
    pub(super) role: Role,
}

impl Caller {
    fn of_socket(uid: u32) -> Self {
        let author = Author { name: users::name_of(uid), door: Door::Socket { uid } };
        Self { author, role: Role::Admin }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| unauthorized("nobody knows who asks"))
    }
}

/// Lets in who is known, and to what changes something only who may.
pub(super) async fn let_in(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(peer) = request.extensions().get::<Peer>().copied() else {
        return Err(unauthorized("nobody knows where this comes from"));
    };
    let caller = access.judge(&request, peer, Instant::now())?;
    if caller.role < Role::Admin && !is_reading(&request) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "not-allowed", "Not allowed")
            .detail(format!("`{}` may only see", caller.author.name))
            .hint("changes need the `token`, not the `read_token`"));
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

impl PartialOrd for Role {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some((*self as u8).cmp(&(*other as u8)))
    }
}

/// Whether nothing is changed: all that is asked by GET, and what computes an answer.
fn is_reading(request: &Request) -> bool {
    let path = request.uri().path();
    matches!(*request.method(), Method::GET | Method::HEAD)
        || *request.method() == Method::POST
            && matches!(
                path,
                "/api/v1/explain" | "/api/v1/config/check" | "/api/v1/sessions/lookup"
            )
}

fn bearer(request: &Request) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Who are you?")
        .detail(detail)
        .hint("send `Authorization: Bearer TOKEN`; the start line says where the token is")
}

/// A token for this start: 256 random bits.
pub(super) fn make_token() -> std::io::Result<Token> {
    let mut bytes = [0; 32];
    let length = getrandom(&mut bytes, GetRandomFlags::empty())?;
    if length != bytes.len() {
        return Err(std::io::Error::other("too few random bytes"));
    }
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Token::new(&text).map_err(std::io::Error::other)
}
