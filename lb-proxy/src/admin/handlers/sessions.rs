//! Who is bound to whom.
//!
//! The balancer keeps no table of sessions: what it does know, the cookie or the key says,
//! and that is read here as a worker would read it.

use axum::{
    Json,
    extract::{Path, State},
};
use http::{HeaderMap, HeaderValue, header};
use lb_core::UnixTime;
use lb_proxy::{Bound, KeyRule, RequestKey, StickySettings, StickyValue, config};

use super::explain::cluster_as_it_is;
use crate::{
    admin::{
        api::{Api, cluster},
        body,
        dto::{Backend, BackendSessions, Cluster, SessionAsked, SessionFound, Sessions},
        problem::Problem,
    },
    control::{ClusterOverview, unix_millis},
    explain::Holder,
};

/// How many sessions each backend of a cluster has: an estimate of the different clients
/// that came to it while their cookie lasts.
#[utoipa::path(get, path = "/api/v1/clusters/{cluster}/sessions", operation_id = "show_sessions",
    params(("cluster" = String, Path, description = "its name")),
    responses((status = OK, body = Sessions), (status = NOT_FOUND, body = Problem)))]
pub(crate) async fn show(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Sessions>, Problem> {
    let overview = api.desk.overview();
    let one = cluster(&overview, &name)?;
    let remembered = StickySettings::remembered(one.settings.sticky.as_ref());
    let mut seen = api.desk.traffic().seen(&name, remembered);
    let there = Cluster::new(one, &overview, &api.desk).backends;
    let mut backends: Vec<BackendSessions> = there
        .into_iter()
        .map(|Backend { name, state, .. }| BackendSessions {
            sessions: seen.backends.remove(&*name).unwrap_or(0),
            backend: name,
            state: Some(state),
        })
        .collect();
    backends.extend(seen.backends.iter().map(|(name, sessions)| BackendSessions {
        backend: name.to_string(),
        state: None,
        sessions: *sessions,
    }));
    Ok(Json(Sessions {
        bound_by: bound_by(&one.settings),
        cluster: name,
        window_s: remembered.as_secs(),
        sessions: seen.clients,
        backends,
    }))
}

/// Where a session is, and what becomes of it. Answers for each cluster that binds clients
/// in this way.
#[utoipa::path(post, path = "/api/v1/sessions/lookup", operation_id = "look_up_session",
    request_body = SessionAsked,
    responses(
        (status = OK, body = Vec<SessionFound>),
        (status = NOT_FOUND, body = Problem),
        (status = UNPROCESSABLE_ENTITY, body = Problem),
    ))]
pub(crate) async fn look_up(
    State(api): State<Api>,
    body::Json(asked): body::Json<SessionAsked>,
) -> Result<Json<Vec<SessionFound>>, Problem> {
    let whose = Whose::read(&asked)?;
    let overview = api.desk.overview();
    let clusters: Vec<&ClusterOverview> = match &asked.cluster {
        Some(name) => vec![cluster(&overview, name)?],
        None => overview.clusters.iter().collect(),
    };
    let known: Vec<(ClusterOverview, Vec<Backend>)> = clusters
        .iter()
        .map(|one| ((*one).clone(), Cluster::new(one, &overview, &api.desk).backends))
        .collect();
    // A table of a strategy may be large.
    let found = api
        .aside(move || {
            let all = known.iter().filter_map(|(one, backends)| whose.find(one, backends));
            all.collect::<Vec<_>>()
        })
        .await?;
    match found.is_empty() {
        true => Err(nobody_binds(&clusters)),
        false => Ok(Json(found)),
    }
}

fn nobody_binds(clusters: &[&ClusterOverview]) -> Problem {
    let ways: Vec<String> = clusters
        .iter()
        .filter_map(|one| Some(format!("{} by {}", one.name, bound_by(&one.settings)?)))
        .collect();
    Problem::invalid("no cluster that was asked binds clients by that").hint(match &*ways {
        [] => "clients are not bound: no `sticky`, and no strategy by key".to_owned(),
        ways => format!("bound are clients of {}", ways.join(", ")),
    })
}

/// How clients are bound, if they are.
fn bound_by(settings: &config::Cluster) -> Option<String> {
    match (&settings.sticky, &settings.strategy.key) {
        (Some(sticky), _) => Some(format!("cookie {}", sticky.cookie)),
        (None, Some(rule)) => Some(format!("key {rule}")),
        (None, None) => None,
    }
}

/// What a session is looked up by.
enum Whose {
    Cookie { name: String, value: String },
    Client(std::net::IpAddr),
    Key(String),
}

impl Whose {
    fn read(asked: &SessionAsked) -> Result<Self, Problem> {
        match (&asked.cookie, asked.client, &asked.key) {
            (Some(cookie), None, None) => {
                match cookie.split_once('=') {
                    Some((name, value)) if !name.trim().is_empty() => {
                        let value = value.split(';').next().unwrap_or_default();
                        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
                        Ok(Self::Cookie { name, value })
                    }
                    _ => Err(Problem::invalid("that is no cookie")
                        .at("/cookie", "write it as `NAME=VALUE`")),
                }
            }
            (None, Some(client), None) => Ok(Self::Client(client)),
            (None, None, Some(key)) if !key.is_empty() => Ok(Self::Key(key.clone())),
            _ => Err(Problem::invalid("a session is looked up by one thing")
                .hint("give `cookie`, `client` or `key`")),
        }
    }

    /// `None` where the cluster does not bind clients by that.
    fn find(&self, one: &ClusterOverview, backends: &[Backend]) -> Option<SessionFound> {
        let sticky = one.settings.sticky.as_ref();
        match self {
            Self::Cookie { name, value } => {
                let sticky = sticky.filter(|sticky| *sticky.cookie == **name)?;
                Some(by_cookie(one, sticky, value, backends))
            }
            Self::Client(client) => {
                let rule = one.settings.strategy.key.as_ref()?;
                let key = RequestKey::of_client(rule, *client)?;
                Some(by_key(one, rule, key.as_bytes(), backends))
            }
            Self::Key(key) => {
                let rule = one.settings.strategy.key.as_ref()?;
                let is_text = !matches!(
                    rule,
                    KeyRule::ClientIp | KeyRule::ClientIpText | KeyRule::Composed(_)
                );
                is_text.then(|| by_key(one, rule, key.as_bytes(), backends))
            }
        }
    }
}

fn by_cookie(
    one: &ClusterOverview,
    sticky: &StickySettings,
    value: &str,
    backends: &[Backend],
) -> SessionFound {
    let now = UnixTime::from_secs(unix_millis() / 1_000);
    let mut headers = HeaderMap::new();
    if let Ok(cookie) = HeaderValue::from_str(&format!("{}={value}", sticky.cookie)) {
        headers.insert(header::COOKIE, cookie);
    }
    let bound = sticky.read(&one.cluster, "/", &headers, now).bound;
    let snapshot = one.cluster.snapshot();
    let slot = match &bound {
        Some(Bound::Name(name)) => snapshot.find(name),
        Some(Bound::Route(route)) => snapshot.find_route(*route),
        _ => None,
    };
    let name = slot.map(|slot| snapshot.view().backend(slot).name().to_owned());
    let how = match (&bound, &name) {
        (Some(Bound::Name(_)), Some(_)) => "the cookie says its name".to_owned(),
        (Some(Bound::Name(name)), None) => {
            format!("the cookie says {name}, and no backend is called that")
        }
        (Some(Bound::Key(_)), _) => "the cookie was sealed with a key that this balancer does \
                                     not have: another one's, and kept as it is"
            .to_owned(),
        (Some(_), Some(_)) => match sticky.value {
            StickyValue::Sealed => "the sealed cookie names it by a keyed hash of its name",
            _ => "the cookie names it by a keyed hash of its name",
        }
        .to_owned(),
        (Some(_), None) => {
            "the cookie names a backend that is not there, or was made with other keys".to_owned()
        }
        (None, _) => "the cookie says nothing: it has expired, or is none of ours".to_owned(),
    };
    let expires = sticky.expires(&one.name, value.as_bytes(), now).map(UnixTime::as_secs);
    let since = expires.zip(sticky.ttl).map(|(at, ttl)| at.saturating_sub(ttl.as_secs()));
    let kind = one.settings.strategy.kind;
    let stays = |name: &String| format!("it stays on {name}, until the drain ends");
    let moves = |_: &String| {
        format!("it goes to whoever `{kind}` finds, and is bound to that one from then on")
    };
    SessionFound {
        if_draining: name.as_ref().map(stays),
        if_down: name.as_ref().map(moves),
        since: since.map(|secs| secs * 1_000),
        expires: expires.map(|secs| secs * 1_000),
        ..found(one, format!("cookie {}", sticky.cookie), name, how, backends)
    }
}

fn by_key(one: &ClusterOverview, rule: &KeyRule, key: &[u8], backends: &[Backend]) -> SessionFound {
    let settings = cluster_as_it_is(one);
    let kind = settings.strategy.kind;
    let holder = Holder::of(&settings, key);
    let how = match &holder {
        Some(_) => format!("`{kind}` sends this key there, as the cluster is now"),
        None => "nobody can take it now".to_owned(),
    };
    let other = holder.as_ref().map(|holder| match holder.next(&settings, key) {
        Some(next) => format!("it goes to {}, and comes back with {}", next.name, holder.name),
        None => "nobody is left to take it".to_owned(),
    });
    let name = holder.map(|holder| holder.name);
    SessionFound {
        // To a key nobody is bound: who drains gets no new requests.
        if_draining: other.clone(),
        if_down: other,
        assumes: Holder::assumes(&settings),
        ..found(one, format!("key {rule}"), name, how, backends)
    }
}

fn found(
    one: &ClusterOverview,
    bound_by: String,
    name: Option<String>,
    how: String,
    backends: &[Backend],
) -> SessionFound {
    let backend = backends.iter().find(|backend| Some(&backend.name) == name.as_ref());
    SessionFound {
        cluster: one.name.clone(),
        bound_by,
        address: backend.map(|backend| backend.address.clone()),
        state: backend.map(|backend| backend.state.clone()),
        backend: name,
        how,
        since: None,
        expires: None,
        if_draining: None,
        if_down: None,
        assumes: None,
    }
}
