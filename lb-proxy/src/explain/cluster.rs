//! What becomes of a request in its cluster: whom it is bound to, by what it is picked,
//! and who gets it.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use http::request;
use lb_core::{
    Lease, Membership, Tick, UnixTime,
    strategy::{PickCx, Reason, StrategyKind},
};
use lb_proxy::{
    Bound, Claim, KeyRule, RequestFacts, RequestKey,
    config::{Cluster, Strategy},
};

use super::among::Among;

/// A request that was routed.
pub(super) struct Asked<'a> {
    pub(super) head: &'a request::Parts,
    pub(super) facts: &'a RequestFacts<'a>,
}

/// What is told of the cluster.
pub(super) struct ClusterLines {
    pub(super) name: String,
    pub(super) strategy: String,
    pub(super) sticky: Option<String>,
    /// Whether there are backends that the file does not list.
    pub(super) has_sources: bool,
    /// What it is picked by, part by part.
    pub(super) keys: Vec<KeyPart>,
    /// Who is there to be picked, if not everybody.
    pub(super) among: Option<Among>,
    pub(super) pick: Pick,
    /// What is not known here, and would change the pick.
    pub(super) assumes: Option<String>,
    /// The target the backend would be asked for.
    pub(super) target: String,
}

/// A part of the key, and what of it is in the request.
pub(super) struct KeyPart {
    pub(super) rule: String,
    pub(super) value: Option<String>,
}

/// Who gets the request.
pub(super) struct Pick {
    /// Name and address; none where that is known only when it happens.
    pub(super) backend: Option<(String, String)>,
    pub(super) why: String,
}

impl ClusterLines {
    pub(super) fn new(cluster: &Cluster, target: String, asked: &Asked<'_>) -> Self {
        let built = build(cluster);
        let claim = cluster.sticky.as_ref().map(|sticky| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = UnixTime::from_secs(now.as_secs());
            (&*sticky.cookie, sticky.read(&built, &target, &asked.head.headers, now))
        });
        let bound = claim.as_ref().and_then(|(_, claim)| claim.bound.as_ref());
        let rule = cluster.strategy.key.as_ref();
        let found = |rule: &KeyRule| RequestKey::new(rule, &asked.head.uri, asked.facts);
        let key = rule.and_then(found);
        let lease = acquire(&built, key.as_ref(), bound);
        let is_bound = lease.as_ref().is_some_and(|lease| lease.reason() == Reason::Preferred);
        let part = |rule: &KeyRule| KeyPart {
            rule: rule.to_string(),
            value: match rule {
                KeyRule::ClientIp => Some(asked.facts.client().to_string()),
                rule => found(rule).map(|key| String::from_utf8_lossy(key.as_bytes()).into()),
            },
        };
        Self {
            name: cluster.name.to_string(),
            strategy: cluster.strategy.kind.to_string(),
            sticky: claim.as_ref().map(|(cookie, claim)| told(cookie, claim)),
            has_sources: !cluster.discover.is_empty(),
            keys: rule.map(KeyRule::parts).unwrap_or_default().iter().map(part).collect(),
            // Sources may tell of other tiers and zones.
            among: Among::new(&built, &cluster.policy).filter(|_| cluster.discover.is_empty()),
            pick: Pick::new(cluster, lease.as_ref(), bound, key.is_some()),
            assumes: assumption(&cluster.strategy).filter(|_| lease.is_some() && !is_bound),
            target,
        }
    }
}

/// What a request says about its binding, as a sentence.
fn told(cookie: &str, claim: &Claim) -> String {
    match &claim.bound {
        Some(Bound::Name(name)) => format!("`{cookie}` says {name}"),
        Some(Bound::Key(_)) => format!("`{cookie}` was sealed with another key: kept as it is"),
        Some(_) => format!("`{cookie}` is one of ours"),
        None if claim.has_cookie => {
            format!("`{cookie}` says nothing: bound to whoever answers")
        }
        None => format!("no cookie `{cookie}`: bound to whoever answers"),
    }
}

/// The cluster as the file has it, all backends up.
pub(super) fn build(settings: &Cluster) -> lb_core::Cluster {
    let strategy = &settings.strategy;
    // The file was checked: no two backends have a name.
    let membership = Membership::new(settings.backends.iter().cloned()).unwrap_or_default();
    let mut builder = lb_core::Cluster::builder(&*settings.name)
        .boxed_strategy(strategy.kind.build_with(&strategy.options))
        .membership(membership)
        .policy(settings.policy.clone());
    if let Some(sticky) = &settings.sticky {
        builder = builder.ring(sticky.ring(&settings.name));
    }
    builder.build()
}

fn acquire(
    built: &lb_core::Cluster,
    key: Option<&RequestKey>,
    bound: Option<&Bound>,
) -> Option<Lease> {
    let mut cx = PickCx::new(Tick::ZERO, 0);
    if let Some(key) = key {
        cx = cx.keyed(key.as_bytes());
    }
    if let Some(bound) = bound {
        cx = cx.bound_to(bound.binding());
    }
    built.handle().acquire(&cx).ok()
}

/// What a strategy goes by that a file does not say.
pub(super) fn assumption(strategy: &Strategy) -> Option<String> {
    match strategy.kind {
        StrategyKind::RoundRobin | StrategyKind::Random => None,
        StrategyKind::First => {
            Some("idle backends: one that has its `max_in_flight` is passed over".to_owned())
        }
        kind if kind.needs_key() => strategy.bound().map(|bound| {
            format!("idle backends: one with {bound} times its share in flight is passed over")
        }),
        _ => Some("idle backends that have answered nothing yet".to_owned()),
    }
}

impl Pick {
    /// A backend is named only where the file decides.
    fn new(
        settings: &Cluster,
        lease: Option<&Lease>,
        bound: Option<&Bound>,
        has_key: bool,
    ) -> Self {
        let kind = settings.strategy.kind;
        let has_sources = !settings.discover.is_empty();
        let nobody = |why: String| Self { backend: None, why };
        let Some(lease) = lease else {
            return nobody(match has_sources {
                true => format!("whoever `{kind}` finds among those that sources tell of"),
                false => "nobody can take it".to_owned(),
            });
        };
        let is_named = !matches!(bound, Some(Bound::Key(_)));
        let why = match (lease.reason(), &settings.strategy.key) {
            (Reason::Preferred, _) if is_named => "the cookie names it",
            // Who else there is decides too, and sources may tell of more.
            _ if has_sources => {
                return nobody(format!(
                    "whoever `{kind}` finds at the time, among those that sources tell of too"
                ));
            }
            (Reason::Preferred, _) => {
                "where every balancer sends a cookie of a key it does not have"
            }
            (Reason::First, _) => "it is the first",
            (reason, Some(_)) if !has_key => {
                return nobody(format!("{}, as there is no key", how(reason)));
            }
            (Reason::Key | Reason::Rehash, Some(KeyRule::ClientIp | KeyRule::ClientIpText)) => {
                "the client's address belongs there"
            }
            (Reason::Key | Reason::Rehash, _) => "the key belongs there",
            (reason, _) => {
                let how = how(reason);
                return nobody(format!("whoever `{kind}` finds at the time: {how} ({reason})"));
            }
        };
        let backend = lease.backend();
        Self {
            backend: Some((backend.name().to_owned(), backend.address().to_owned())),
            why: why.to_owned(),
        }
    }
}

/// Of those that nobody knows before.
fn how(reason: Reason) -> &'static str {
    match reason {
        Reason::Turn => "whose turn it is",
        Reason::LeastLoaded | Reason::Idle => "the best",
        Reason::Fastest | Reason::Probed => "who should answer soonest",
        Reason::LeastTraffic => "who has moved the fewest bytes",
        _ => "one that is drawn by weight",
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.backend {
            Some((name, address)) if name == address => write!(f, "{name}: {}", self.why),
            Some((name, address)) => write!(f, "{name} at {address}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} is {value:?}", self.rule),
            None => write!(f, "{} is not there", self.rule),
        }
    }
}
