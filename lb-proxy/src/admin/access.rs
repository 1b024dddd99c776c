//! Who is let in, and to what.
//!
//! Over the Unix socket: whoever could open it, which its mode and owner decide. Over an
//! address: who has a token, or the session of a browser that had one. What nobody has to
//! be let in for says nothing of what runs.

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{Method, StatusCode, header};
use lb_proxy::config::{Admin, Token};

pub(super) use super::caller::{Caller, Peer, Role};
use super::{
    caller::{Digest, Identity, Leave},
    cookie,
    failures::Failures,
    origin,
    problem::Problem,
    rules::{Known, Rules, digest, random_text},
    sessions::{Link, Sessions},
};
use crate::control::{Author, Door};

/// The rules in force, and who has failed them.
#[derive(Debug)]
pub(super) struct Access {
    rules: ArcSwap<Rules>,
    failures: Failures,
    sessions: Sessions,
    /// The token of this start, where the file has none.
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    token: Token,
    link: Link,
    code: String,
}

impl Access {
    /// # Errors
    ///
    /// There is no randomness for a link.
    pub(super) fn new(settings: &Admin, made: Option<Token>) -> io::Result<Self> {
        let rules = ArcSwap::from_pointee(Rules::new(settings, made.as_ref()));
        let made = match made {
            Some(token) => {
                let code = random_text()?;
                Some(Made { token, link: Link::new(&code, Instant::now()), code })
            }
            None => None,
        };
        Ok(Self { rules, failures: Failures::default(), sessions: Sessions::default(), made })
    }

    /// The code of the link that leads in once, where a token was made.
    pub(super) fn code(&self) -> Option<&str> {
        self.made.as_ref().map(|made| &*made.code)
    }

    /// Takes up other tokens and hosts. Says whether that keeps everybody out who could
    /// change something by an address before.
    pub(super) fn set(&self, settings: &Admin) -> bool {
        let rules = Rules::new(settings, self.made.as_ref().map(|made| &made.token));
        let is_open = rules.has_admin();
        self.rules.swap(Arc::new(rules)).has_admin() && !is_open
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
        if let Some(given) = bearer(request) {
            let known = self.known(given, remote, now)?;
            let author = Author { name: known.name.to_owned(), door: known.door };
            let identity = Identity::of_token(known.digest, remote);
            let leave = Leave::Token(known.digest);
            return Ok(Caller { author, role: known.role, leave, identity });
        }
        let mut cookies = cookie::values(request.headers()).peekable();
        let is_given = cookies.peek().is_some();
        let rules = self.rules.load();
        // A page of a neighbour may have set another one of the same name.
        let found = cookies.find_map(|number| {
            let key = digest(number.as_bytes());
            let token = self.sessions.used(key, now)?;
            Some((key, rules.find(token)?.clone()))
        });
        match found {
            Some((key, known)) => Ok(Caller {
                author: Author { name: known.name.to_owned(), door: Door::Browser },
                role: known.role,
                leave: Leave::Session(key),
                identity: Identity::of_token(known.digest, remote),
            }),
            None if is_given => Err(unauthorized("the session is over")
                .hint("sign in again: `POST /api/v1/login` with the token")),
            None => Err(unauthorized("no token was given")),
        }
    }

    /// The token that somebody gives.
    fn known(&self, given: &[u8], remote: IpAddr, now: Instant) -> Result<Known, Problem> {
        let wait = self.failures.wait(remote, now);
        let rules = self.rules.load();
        // Nobody is to be kept out by others who share his address and guess.
        let known = rules.find(digest(given)).filter(|known| known.is_long || wait.is_none());
        match (known, wait) {
            (Some(known), _) => Ok(known.clone()),
            (None, Some(wait)) => Err(too_many(remote, wait)),
            (None, None) => {
                self.failures.add(remote, now);
                Err(unauthorized("the token is not known here"))
            }
        }
    }

    /// Begins a session for who has this token. Returns its number, and whose it is.
    pub(super) fn sign_in(
        &self,
        token: &[u8],
        remote: IpAddr,
        now: Instant,
    ) -> Result<(String, Known), Problem> {
        let known = self.known(token, remote, now)?;
        let number = self.sessions.begin(known.digest, now).map_err(|error| no_session(&error))?;
        Ok((number, known))
    }

    /// Begins a session for who has the link of the start.
    pub(super) fn sign_in_once(&self, code: &str, now: Instant) -> Result<String, Problem> {
        let made = self.made.as_ref().filter(|made| made.link.take(code, now));
        let token = made.map(|made| digest(made.token.reveal().as_bytes()));
        let rules = self.rules.load();
        match token.filter(|token| rules.find(*token).is_some()) {
            Some(token) => self.sessions.begin(token, now).map_err(|error| no_session(&error)),
            None => Err(Problem::new(StatusCode::UNAUTHORIZED, "used-link", "Not any more")
                .detail("the link leads in once, and for a quarter of an hour after the start")
                .hint("sign in with the token that the start line has: `POST /api/v1/login`")),
        }
    }

    /// Ends what somebody came in by, if it is a session.
    pub(super) fn sign_out(&self, leave: Leave, now: Instant) {
        if let Leave::Session(key) = leave {
            self.sessions.end(key, now);
        }
    }

    /// Whether what let somebody in still does.
    pub(super) fn holds(&self, leave: Leave, now: Instant) -> bool {
        let is_known = |token: Digest| self.rules.load().find(token).is_some();
        match leave {
            Leave::Socket => true,
            Leave::Token(token) => is_known(token),
            Leave::Session(key) => {
                self.sessions.token(key, now).is_some_and(|(token, _)| is_known(token))
            }
        }
    }

    /// How long a session lasts if it is not used.
    pub(super) fn lasts(&self, leave: Leave, now: Instant) -> Option<Duration> {
        match leave {
            Leave::Session(key) => self.sessions.token(key, now).map(|(_, left)| left),
            Leave::Socket | Leave::Token(_) => None,
        }
    }
}

/// Lets in who is known, and to what changes something only who may.
pub(super) async fn let_in(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    if is_open(&request) {
        return next.run(request).await;
    }
    let Some(peer) = request.extensions().get::<Peer>().copied() else {
        return unauthorized("nobody knows where this comes from").into_response();
    };
    let caller = match access.judge(&request, peer, Instant::now()) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let mut response = match may(&caller, &request) {
        Ok(()) => {
            request.extensions_mut().insert(caller.clone());
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    // For whoever writes down what was done.
    response.extensions_mut().insert(caller);
    response
}

fn may(caller: &Caller, request: &Request) -> Result<(), Problem> {
    if matches!(caller.leave, Leave::Session(_)) {
        origin::check_cookie(request)?;
    }
    if caller.role >= needed(request) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "not-allowed", "Not allowed")
        .detail(format!("`{}` may only see", caller.author.name))
        .hint("that needs the `token`, not the `read_token`"))
}

/// What nobody has to be let in for.
fn is_open(request: &Request) -> bool {
    let path = request.uri().path();
    match *request.method() {
        Method::POST => path == "/api/v1/login",
        Method::GET | Method::HEAD => {
            matches!(path, "/healthz" | "/readyz" | "/version" | "/login")
        }
        _ => false,
    }
}

fn needed(request: &Request) -> Role {
    match request.uri().path() {
        "/api/v1/audit" => Role::Admin,
        "/api/v1/logout" => Role::Viewer,
        path if is_reading(request.method(), path) => Role::Viewer,
        _ => Role::Admin,
    }
}

/// Whether nothing is changed: all that is asked by GET, and what computes an answer.
pub(super) fn is_reading(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        || *method == Method::POST
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

fn too_many(remote: IpAddr, wait: Duration) -> Problem {
    let seconds = wait.as_secs().max(1);
    let mut problem =
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-failures", "Too many wrong tokens")
            .detail(format!("from {remote}; ask again in {seconds} s"))
            .hint("the Unix socket of this machine needs no token");
    problem.retry_after = Some(seconds);
    problem
}

fn no_session(error: &io::Error) -> Problem {
    let title = "No session could be begun";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no-session", title).detail(error.to_string())
}
