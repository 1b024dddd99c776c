//! Which backend a client is bound to, and how it is told.
//!
//! The cookie is written only when the client was not bound to the backend that
//! answers: at first, and when its backend is gone. So a bound client costs a scan
//! of its cookies and one look-up. While keys are exchanged, it is not written over a
//! cookie that was sealed with a key we do not have: a balancer with other keys gave
//! it, and the two would take the client from each other.
//!
//! The hard decision is who sees the cookie. A derived or sealed value is between
//! the client and us, and is taken out of what a backend gets: it could only be
//! leaked or relied on there. A `.NAME` is kept, as Apache does: applications that
//! append the name to their own session ids read it back.

use std::cell::RefCell;

use bytes::Bytes;
use cookie::Cookie;
use http::{HeaderMap, HeaderValue, Uri, header};
use lb_core::{
    Cluster, Lease, UnixTime,
    backend::IncarnationId,
    cluster::Snapshot,
    sticky::{Format, Sticky, apache},
    strategy::{Binding, Reason},
};

use super::{
    cookies::{pairs, value_of},
    sticky::{SameSite, StickySettings, StickyValue},
};

/// To which backend a client says it is bound: a [`Binding`] that outlives the headers
/// it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// The backend of this name.
    Name(Box<str>),
    /// The backend of this derived route.
    Route(u64),
    /// Another balancer's cookie, sealed with a key we do not have.
    Key(Box<[u8]>),
}

/// What the headers of a request say about its binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Whom the client is bound to, by the first value that says so.
    pub bound: Option<Bound>,
    /// Whether it has any cookie of the name.
    pub has_cookie: bool,
}

/// What became of a client's binding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stickiness {
    /// Its backend answered.
    Kept,
    /// It was not bound, and is now.
    New,
    /// Its backend could not be had; it is bound to another now.
    Moved,
    /// The cluster is not sticky, or the client is another balancer's.
    #[default]
    None,
}

impl Stickiness {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::New => "new",
            Self::Moved => "moved",
            Self::None => "none",
        }
    }
}

impl std::fmt::Display for Stickiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// Binds the clients of one cluster to its backends.
#[derive(Debug)]
pub(crate) struct Binder {
    settings: StickySettings,
    sticky: Sticky,
    /// Whole `Set-Cookie` values by seat, where they are the same every time.
    rendered: RefCell<Vec<Option<(IncarnationId, HeaderValue)>>>,
}

impl Binder {
    /// For the cluster of this name.
    pub(crate) fn new(settings: &StickySettings, cluster: &str) -> Self {
        let format = match settings.value {
            StickyValue::Derived => Format::Derived,
            StickyValue::Sealed => Format::Sealed { ttl: settings.ttl },
            StickyValue::Name => Format::Name,
        };
        let sticky = Sticky::new(format, settings.ring(cluster));
        Self { settings: settings.clone(), sticky, rendered: RefCell::default() }
    }

    /// Reads what a client says it is bound to, and takes the cookie out where it
    /// is not for the backend. `target` is what the backend will be asked for, and
    /// `finds` says whether there is a backend to a binding.
    pub(crate) fn take(
        &self,
        target: &Uri,
        headers: &mut HeaderMap,
        now: UnixTime,
        finds: impl Fn(Binding<'_>) -> bool,
    ) -> Option<Bound> {
        let target = target.path_and_query().map_or("", |target| target.as_str());
        let Claim { bound, has_cookie } = self.read(target, headers, now, finds);
        if has_cookie && self.settings.value != StickyValue::Name {
            remove(headers, self.settings.cookie.as_bytes());
        }
        bound
    }

    /// A browser may have several cookies of the name, of other paths or domains, and
    /// some from long ago: the first that finds a backend counts, and else the first
    /// that is good.
    fn read(
        &self,
        target: &str,
        headers: &HeaderMap,
        now: UnixTime,
        finds: impl Fn(Binding<'_>) -> bool,
    ) -> Claim {
        let name = &*self.settings.cookie;
        let fields = || headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
        let pairs = fields().flat_map(pairs);
        let mut values = pairs.filter_map(|pair| value_of(pair, name.as_bytes())).peekable();
        let has_cookie = values.peek().is_some();
        let is_apache = self.settings.value == StickyValue::Name;
        let route = is_apache.then(|| apache::route(target, fields(), name)).flatten();
        let by_name = route.and_then(|route| str::from_utf8(route).ok()).map(Binding::Name);
        let good = values.filter_map(|value| self.sticky.read(value, now));
        let mut good = by_name.into_iter().chain(good);
        let Some(first) = good.next() else { return Claim { bound: None, has_cookie } };
        let found = match good.next() {
            // One is looked for only when somebody is picked.
            None => None,
            Some(second) => [first, second].into_iter().chain(good).find(|good| finds(*good)),
        };
        Claim { bound: Bound::new(found.unwrap_or(first)), has_cookie }
    }

    /// Binds the client to the backend that has answered, unless it is.
    pub(super) fn bind(
        &self,
        bound: Option<&Bound>,
        lease: &Lease,
        headers: &mut HeaderMap,
        now: UnixTime,
    ) -> Stickiness {
        let stickiness = match (bound, lease.reason()) {
            (_, Reason::Preferred) => return Stickiness::Kept,
            (Some(Bound::Key(_)), _) => return Stickiness::None,
            (Some(_), _) => Stickiness::Moved,
            (None, _) => Stickiness::New,
        };
        if let Some(cookie) = self.cookie(lease, now) {
            headers.append(header::SET_COOKIE, cookie);
            make_private(headers);
        }
        stickiness
    }

    fn cookie(&self, lease: &Lease, now: UnixTime) -> Option<HeaderValue> {
        if self.settings.value == StickyValue::Sealed && self.settings.ttl.is_some() {
            return self.render(lease.backend().name(), now);
        }
        let (seat, whose) = (lease.seat(), lease.incarnation());
        let mut rendered = self.rendered.borrow_mut();
        if rendered.len() <= seat {
            rendered.resize(seat + 1, None);
        }
        if let Some((known, cookie)) = &rendered[seat]
            && *known == whose
        {
            return Some(cookie.clone());
        }
        let cookie = self.render(lease.backend().name(), now)?;
        rendered[seat] = Some((whose, cookie.clone()));
        Some(cookie)
    }

    fn render(&self, backend: &str, now: UnixTime) -> Option<HeaderValue> {
        let settings = &self.settings;
        let mut cookie = Cookie::new(&*settings.cookie, self.sticky.value(backend, now));
        cookie.set_path(&*settings.path);
        cookie.set_http_only(settings.http_only);
        cookie.set_partitioned(settings.partitioned);
        cookie.set_same_site(settings.same_site.map(|same_site| match same_site {
            SameSite::Strict => cookie::SameSite::Strict,
            SameSite::Lax => cookie::SameSite::Lax,
            SameSite::None => cookie::SameSite::None,
        }));
        if let Some(domain) = &settings.domain {
            cookie.set_domain(&**domain);
        }
        // Unless said, the crate adds it where browsers insist.
        if settings.secure {
            cookie.set_secure(true);
        }
        if let Some(ttl) = settings.ttl {
            let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
            cookie.set_max_age(cookie::time::Duration::seconds(seconds));
        }
        HeaderValue::try_from(cookie.to_string()).ok()
    }
}

impl StickySettings {
    /// When a value of the cookie ends that is good now in the cluster of this name, where
    /// it says so itself.
    #[must_use]
    pub fn expires(&self, cluster: &str, value: &[u8], now: UnixTime) -> Option<UnixTime> {
        Binder::new(self, cluster).sticky.expires(value, now)
    }

    /// Reads what a request says in a cluster, as the proxy does. `target` is what its
    /// backend would be asked for.
    #[must_use]
    pub fn read(
        &self,
        cluster: &Cluster,
        target: &str,
        headers: &HeaderMap,
        now: UnixTime,
    ) -> Claim {
        let snapshot = cluster.snapshot();
        let finds = |binding: Binding<'_>| is_there(&snapshot, binding);
        Binder::new(self, cluster.name()).read(target, headers, now, finds)
    }
}

impl Bound {
    fn new(binding: Binding<'_>) -> Option<Self> {
        match binding {
            Binding::Name(name) => Some(Self::Name(name.into())),
            Binding::Route(route) => Some(Self::Route(route)),
            Binding::Key(key) => Some(Self::Key(key.into())),
            _ => None,
        }
    }

    /// As a pick asks for it.
    #[must_use]
    pub fn binding(&self) -> Binding<'_> {
        match self {
            Self::Name(name) => Binding::Name(name),
            Self::Route(route) => Binding::Route(*route),
            Self::Key(key) => Binding::Key(key),
        }
    }
}

/// Whether there is a backend to a binding that names one. O(log n).
pub(super) fn is_there(snapshot: &Snapshot, binding: Binding<'_>) -> bool {
    match binding {
        Binding::Name(name) => snapshot.find(name).is_some(),
        Binding::Route(route) => snapshot.find_route(route).is_some(),
        _ => false,
    }
}

/// Takes all cookies of a name away.
fn remove(headers: &mut HeaderMap, name: &[u8]) {
    let mut left = Vec::new();
    for field in headers.get_all(header::COOKIE) {
        for pair in pairs(field.as_bytes()).filter(|pair| value_of(pair, name).is_none()) {
            if !left.is_empty() {
                left.extend_from_slice(b"; ");
            }
            left.extend_from_slice(pair);
        }
    }
    if left.is_empty() {
        headers.remove(header::COOKIE);
    } else if let Ok(left) = HeaderValue::from_maybe_shared(Bytes::from(left)) {
        headers.insert(header::COOKIE, left);
    }
}

/// Keeps shared caches from giving one client's cookie to others. What only
/// speaks to them goes, the rest stays.
fn make_private(headers: &mut HeaderMap) {
    let is = |directive: &[u8], name: &[u8]| {
        directive.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            && matches!(directive.get(name.len()), None | Some(b'=' | b' '))
    };
    let mut kept = Vec::new();
    for field in headers.get_all(header::CACHE_CONTROL) {
        for directive in directives(field.as_bytes()) {
            if is(directive, b"no-store") || directive.eq_ignore_ascii_case(b"private") {
                return;
            }
            if !is(directive, b"public") && !is(directive, b"s-maxage") {
                kept.extend_from_slice(directive);
                kept.extend_from_slice(b", ");
            }
        }
    }
    kept.extend_from_slice(b"private");
    if let Ok(kept) = HeaderValue::from_maybe_shared(Bytes::from(kept)) {
        headers.insert(header::CACHE_CONTROL, kept);
    }
}

/// The members of a list, whose quoted parts may have commas.
fn directives(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let parts = field.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    });
    parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests;
