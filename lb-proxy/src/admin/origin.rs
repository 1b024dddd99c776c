//! Requests that a web page has somebody's browser send.
//!
//! *DNS rebinding*: a page's own name is made to point at this machine, so that the
//! browser takes our answers for its. Then `Host` is that name: only names that are
//! ours are answered, others get 421.
//!
//! *Cross-site requests*: a page sends a form to us. Browsers say where such a request
//! comes from, in `Sec-Fetch-Site` or at least in `Origin`; and a body must be of a type
//! that no form can have. What is no browser says neither, and is not asked to.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, Method, StatusCode, header, uri::Authority};

use super::{
    access::{Access, Peer},
    problem::Problem,
    rules::Rules,
};

/// Refuses what is meant for somebody else, or sent by somebody else's page.
pub(super) async fn guard(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if came_through_a_balancer(request.headers()) {
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "routed", "Not for clients")
            .detail("the request came through a balancer")
            .hint("ask the API where it is"));
    }
    let peer = request.extensions().get::<Peer>().copied();
    // Who only asks whether we run may call us anything, as checks of balancers do: there
    // is nothing to steal.
    let is_probe = matches!(request.uri().path(), "/healthz" | "/readyz");
    // Browsers do not speak to Unix sockets, and what does has no name to call us by.
    if let Some(Peer::Address { local, .. }) = peer
        && !is_probe
    {
        check_host(&request, local.ip(), &access.rules())?;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        check_site(request.headers())?;
        check_type(&request)?;
    }
    Ok(next.run(request).await)
}

/// Whether an `lb` has passed the request on: by whatever name a backend stands for the
/// API's address, clients of the listeners are not to reach it. They cannot take away the
/// `Via` that is added for them.
fn came_through_a_balancer(headers: &HeaderMap) -> bool {
    let is_of_one = |member: &[u8]| {
        let mut words = member.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let name = words.nth(1).and_then(|name| name.strip_prefix(b"lb-"));
        name.is_some_and(|id| id.len() == 8 && id.iter().all(u8::is_ascii_hexdigit))
    };
    let fields = headers.get_all(header::VIA).iter();
    fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')).any(is_of_one)
}

/// What the request calls us.
fn authority(request: &Request) -> Option<Authority> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next()?;
    let is_one = hosts.next().is_none();
    let authority = Authority::try_from(host.as_bytes()).ok().filter(|_| is_one)?;
    // A target with a host is another opinion about it.
    match request.uri().authority() {
        Some(other) if *other != authority => None,
        _ => Some(authority),
    }
}

fn check_host(request: &Request, local: IpAddr, rules: &Rules) -> Result<(), Problem> {
    let authority = authority(request);
    let host = authority.as_ref().map(|authority| authority.host().to_ascii_lowercase());
    let is_ours = host.as_deref().is_some_and(|host| {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_own = match bare.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || ip.to_canonical() == local.to_canonical(),
            Err(_) => host == "localhost",
        };
        is_own || rules.hosts.iter().any(|own| **own == *host)
    });
    if is_ours {
        return Ok(());
    }
    let host = host.as_deref().unwrap_or("");
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "foreign-host", "Not for us")
        .detail(format!("nobody here is called `{host}`"))
        .hint("add the name to `hosts` of `[admin]`"))
}

/// What is let in by a cookie, which a browser adds to whatever page asks: anybody's page
/// could have sent it, so it has to say that ours did. Not even a look is for others.
pub(super) fn check_cookie(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let is_changing = !matches!(*request.method(), Method::GET | Method::HEAD);
    let says = headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN);
    if is_changing && !says {
        return Err(cross_site("it says neither `Sec-Fetch-Site` nor `Origin`"));
    }
    match request.uri().path().starts_with("/api/") {
        true => check_site(headers),
        false => Ok(()),
    }
}

fn cross_site(detail: impl Into<Box<str>>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "cross-site", "Refused: sent by another site")
        .detail(detail)
        .hint("changes are not made for web pages of others")
}

fn check_site(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    if let Some(site) = text("sec-fetch-site") {
        return match &*site {
            "same-origin" | "none" => Ok(()),
            site => Err(cross_site(format!("`Sec-Fetch-Site` is `{site}`"))),
        };
    }
    let Some(origin) = text("origin") else { return Ok(()) };
    let own = text("host").unwrap_or_default();
    match origin.split_once("://") {
        Some((_, from)) if from.eq_ignore_ascii_case(&own) => Ok(()),
        _ => Err(cross_site(format!("`Origin` is `{origin}`, which is not `{own}`"))),
    }
}

fn check_type(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let is_empty = match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length.as_bytes() == b"0",
        None => !headers.contains_key(header::TRANSFER_ENCODING),
    };
    if is_empty {
        return Ok(());
    }
    let wanted = match request.uri().path() {
        "/api/v1/config" | "/api/v1/config/check" => "application/toml",
        _ => "application/json",
    };
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok());
    let essence = given.unwrap_or("").split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong-type", "Not this type")
        .detail(format!("the body is `{}`", given.unwrap_or("of no type")))
        .hint(format!("send `Content-Type: {wanted}`")))
}
