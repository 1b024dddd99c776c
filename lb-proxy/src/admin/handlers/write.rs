//! What all changes have in common.

use axum::{Json, extract::FromRequestParts};
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    admin::{
        access::Caller,
        api::{Api, cluster},
        audit::Made,
        dto::{Backend, Changed, Cluster, Moment},
        problem::{ConfigMistakes, Problem},
    },
    control::{Ask, Done, Mistakes, Refused, Unfit, Wish},
};

/// How a change is to be made.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct How {
    /// Only say what it would do.
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// Also where it leaves a cluster without a backend that can be used.
    #[serde(default)]
    pub(crate) force: bool,
    /// What it is for; kept with the change.
    #[serde(default)]
    pub(crate) why: Option<String>,
    /// How long the clients of a backend that is removed have to go elsewhere: `30s`.
    #[serde(default)]
    pub(crate) drain: Option<String>,
}

/// Longer ones are refused.
const LONGEST_WHY: usize = 1_000;

/// Who asks for it, and under which condition.
#[derive(Debug, Clone)]
pub(crate) struct By {
    pub(crate) caller: Caller,
    if_match: Option<String>,
    made: Made,
}

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let made = parts.extensions.get::<Made>().cloned().unwrap_or_default();
        Ok(Self { caller, if_match: if_match(&parts.headers), made })
    }
}

fn if_match(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::IF_MATCH)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Asks for something that is about the file, and says what came of it.
pub(crate) async fn ask_of_file(api: &Api, by: By, how: How, wish: Wish) -> Result<Done, Problem> {
    check_why(&how)?;
    let ask = Ask {
        wishes: vec![wish],
        author: by.caller.author,
        why: how.why.filter(|why| !why.is_empty()),
        dry_run: how.dry_run,
        force: how.force,
    };
    let _turn = api.turns.read().await;
    Ok(api.desk.ask(ask).await?)
}

/// Asks for changes, and says what is true afterwards.
pub(crate) async fn ask(
    api: &Api,
    by: By,
    how: How,
    wishes: Vec<Wish>,
) -> Result<Changed, Problem> {
    check_why(&how)?;
    let (named, backend) = subjects(&wishes);
    let dry_run = how.dry_run;
    let ask = Ask {
        wishes,
        author: by.caller.author,
        why: how.why.filter(|why| !why.is_empty()),
        dry_run,
        force: how.force,
    };
    let done = match by.if_match {
        Some(_) if named.is_empty() => {
            return Err(Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "no-etag",
                "Nothing to compare",
            )
            .detail("`If-Match` is for changes that name a cluster"));
        }
        Some(wanted) => {
            // Nobody else comes in between by the API.
            let _turn = api.turns.write().await;
            for name in &named {
                check_match(api, name, &wanted)?;
            }
            api.desk.ask(ask).await?
        }
        None => {
            let _turn = api.turns.read().await;
            api.desk.ask(ask).await?
        }
    };
    if !dry_run {
        by.made.note(done.changes.iter().map(|change| change.id));
    }
    Ok(changed(api, done, dry_run, named, backend.as_deref()))
}

fn check_why(how: &How) -> Result<(), Problem> {
    if how.why.as_ref().is_some_and(|why| why.len() > LONGEST_WHY) {
        return Err(
            Problem::invalid("`why` is too long").hint(format!("{LONGEST_WHY} bytes at most"))
        );
    }
    if how.why.as_ref().is_some_and(|why| why.chars().any(char::is_control)) {
        return Err(Problem::invalid("`why` is one line of text"));
    }
    Ok(())
}

/// What it is about: all clusters, and the backend if it is one.
fn subjects(wishes: &[Wish]) -> (Vec<String>, Option<String>) {
    let mut named = Vec::new();
    let mut backends = Vec::new();
    for wish in wishes {
        let cluster = match wish {
            Wish::Patch { cluster, backend, .. } | Wish::Remove { cluster, backend, .. } => {
                backends.push(backend.clone());
                cluster
            }
            Wish::Add { cluster, backend } => {
                backends.push(backend.name.clone().unwrap_or_else(|| backend.address.clone()));
                cluster
            }
            Wish::Strategy { cluster, .. } | Wish::Tune { cluster, .. } => cluster,
            Wish::Undo { .. } | Wish::Reload | Wish::Save(_) | Wish::Replace { .. } => continue,
        };
        if !named.contains(cluster) {
            named.push(cluster.clone());
        }
    }
    (named, backends.pop().filter(|_| backends.is_empty()))
}

fn check_match(api: &Api, name: &str, wanted: &str) -> Result<(), Problem> {
    let overview = api.desk.overview();
    let now = Cluster::new(cluster(&overview, name)?, &overview, &api.desk).etag;
    let is_met = wanted.split(',').map(str::trim).any(|one| one == "*" || one == now);
    if is_met {
        return Ok(());
    }
    let title = "Changed by somebody else";
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, "changed-meanwhile", title)
        .detail(format!("`{name}` is {now} now, not {wanted}"))
        .hint("look at it again, then repeat with its present `ETag`"))
}

/// What is true now.
fn changed(
    api: &Api,
    done: Done,
    dry_run: bool,
    mut named: Vec<String>,
    backend: Option<&str>,
) -> Changed {
    for change in &done.changes {
        if !named.contains(&change.cluster) {
            named.push(change.cluster.clone());
        }
    }
    let overview = api.desk.overview();
    let found = named.iter().filter_map(|name| overview.cluster(name));
    let clusters: Vec<Cluster> = found.map(|one| Cluster::new(one, &overview, &api.desk)).collect();
    let one = match (backend, &*done.changes) {
        (Some(backend), _) => Some(backend.to_owned()),
        // An undo says only afterwards what it was about.
        (None, [change]) => change.backend.clone(),
        _ => None,
    };
    let backend = match (&*clusters, one) {
        ([cluster], Some(name)) => cluster.backends.iter().find(|one| one.name == name).cloned(),
        _ => None,
    };
    Changed {
        dry_run,
        effective: done.effective,
        changes: done.changes.into_iter().map(Into::into).collect(),
        impact: done.impact.into(),
        clusters,
        backend,
    }
}

/// One backend as it is now.
pub(crate) fn find_backend(api: &Api, in_cluster: &str, name: &str) -> Result<Backend, Problem> {
    let overview = api.desk.overview();
    let found = cluster(&overview, in_cluster)?;
    let snapshot = found.cluster.snapshot();
    let Some(slot) = snapshot.find(name) else {
        let view = snapshot.view();
        let names = view.slots().map(|slot| view.backend(slot).name());
        let near = lb_proxy::config::did_you_mean(name, names).map(str::to_owned);
        let (cluster, name) = (in_cluster.to_owned(), name.to_owned());
        return Err(Refused::NoSuchBackend { cluster, name, near }.into());
    };
    let conditions = found.cluster.conditions();
    let moment = Moment {
        cluster: found,
        snapshot: &snapshot,
        conditions: &conditions,
        drift: &overview.drift,
        desk: &api.desk,
    };
    Ok(Backend::new(&moment, slot))
}

/// An answer with the new state.
pub(crate) type Answer = Json<Changed>;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let (status, kind) = match &refused {
            Refused::NoSuchCluster { .. } => (StatusCode::NOT_FOUND, "no-such-cluster"),
            Refused::NoSuchBackend { .. } => (StatusCode::NOT_FOUND, "no-such-backend"),
            Refused::NoSuchChange { .. } => (StatusCode::NOT_FOUND, "no-such-change"),
            Refused::WouldEmpty { .. } => (StatusCode::CONFLICT, "would-empty-cluster"),
            Refused::Invalid { .. } | Refused::Unfit(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid")
            }
            Refused::ChangedSince { .. } => (StatusCode::CONFLICT, "changed-since"),
            Refused::Conflict { .. } => (StatusCode::CONFLICT, "conflict"),
            Refused::FileChanged { .. } => (StatusCode::CONFLICT, "file-changed"),
            Refused::NotRecorded { .. } => (StatusCode::INSUFFICIENT_STORAGE, "not-recorded"),
            Refused::BadConfig { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad-config"),
            Refused::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            Refused::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        };
        let mut problem = Self::new(status, kind, refused.title()).detail(refused.detail());
        problem.hint = match &refused {
            Refused::WouldEmpty { .. } => {
                Some("enable another one first, or repeat with `?force=true`".into())
            }
            refused => refused.hint().map(Into::into),
        };
        match &refused {
            Refused::Invalid { field, detail } => problem = problem.at(pointer(field), detail),
            // A table is changed by its keys, so it is not in the body.
            Refused::Unfit(Unfit { field, detail, .. }) => {
                let key = field.strip_prefix("health.").or_else(|| field.strip_prefix("sticky."));
                problem = problem.at(pointer(key.unwrap_or(field)), detail);
            }
            _ => {}
        }
        if let Refused::BadConfig { mistakes, .. } = &refused
            && *mistakes != Mistakes::default()
        {
            let Mistakes { found, report } = mistakes.clone();
            problem.mistakes = Some(Box::new(ConfigMistakes { diagnostics: found, report }));
        }
        if refused == Refused::Busy {
            problem.retry_after = Some(1);
        }
        problem
    }
}

/// A field as a JSON pointer.
fn pointer(field: &str) -> String {
    format!("/{}", field.replace('.', "/"))
}
