//! Where a request would go.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
};

use axum::{Json, extract::State};
use http::{HeaderName, HeaderValue};
use lb_core::{AdminState, Weight, cluster::Standing};
use lb_proxy::config::{self, Config};

use crate::{
    admin::{
        api::Api,
        body,
        dto::{Asked, Candidate, Cluster, Explained},
        problem::Problem,
    },
    control::{ClusterOverview, Overview},
    explain::{Explanation, Question},
};

/// Where a request would go now, and why. Nothing is sent, and nobody's turn is taken.
#[utoipa::path(post, path = "/api/v1/explain", operation_id = "explain",
    request_body = Asked,
    responses((status = OK, body = Explained), (status = UNPROCESSABLE_ENTITY, body = Problem)))]
pub(crate) async fn explain(
    State(api): State<Api>,
    body::Json(asked): body::Json<Asked>,
) -> Result<Json<Explained>, Problem> {
    let question = question(&asked)?;
    let overview = api.desk.overview();
    let now = overview.clone();
    let (explanation, text) = api
        .aside(move || {
            let explanation = Explanation::new(&as_it_is(&now), &question);
            (explanation.json(&question), explanation.text(&question))
        })
        .await?;
    let taken = explanation["cluster"].as_str().and_then(|name| overview.cluster(name));
    let backends = taken.map_or_else(Vec::new, |taken| {
        let cluster = Cluster::new(taken, &overview, &api.desk);
        let candidate = |one: super::super::dto::Backend| Candidate {
            reason: match one.why {
                Some(why) => format!("{}: {why}", one.state),
                None => one.state,
            },
            name: one.name,
            eligible: one.takes_requests,
        };
        cluster.backends.into_iter().map(candidate).collect()
    });
    Ok(Json(Explained { explanation, text, backends }))
}

fn question(asked: &Asked) -> Result<Question, Problem> {
    let wrong = |pointer: &str, error: String| {
        Problem::invalid("no such request can be made").at(pointer, error)
    };
    let method = asked.method.as_deref().unwrap_or("GET");
    let method = method.parse().map_err(|_| wrong("/method", format!("`{method}`")))?;
    let target = asked.target.parse();
    let target = target.map_err(|error| wrong("/target", format!("{error}")))?;
    let mut headers = Vec::new();
    for (name, values) in &asked.headers {
        let pointer = format!("/headers/{name}");
        let header = HeaderName::from_bytes(name.as_bytes());
        let header = header.map_err(|error| wrong(&pointer, error.to_string()))?;
        for value in values {
            let value = HeaderValue::from_str(value);
            let value = value.map_err(|error| wrong(&pointer, error.to_string()))?;
            headers.push((header.clone(), value));
        }
    }
    let client = asked.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Ok(Question { method, target, headers, client })
}

/// What runs, as a configuration would say it.
fn as_it_is(overview: &Overview) -> Config {
    let mut config = Config::clone(&overview.config);
    config.routes.clone_from(&overview.routes);
    config.clusters = overview.clusters.iter().map(cluster_as_it_is).collect();
    config
}

/// A cluster that lists whom the snapshot has. Whoever is out, for whatever reason, is
/// disabled in it: who comes next is found by the same code then.
pub(super) fn cluster_as_it_is(overview: &ClusterOverview) -> config::Cluster {
    let snapshot = overview.cluster.snapshot();
    let view = snapshot.view();
    let backends = view.slots().map(|slot| {
        let state = match view.standing(slot) {
            Standing::Draining => AdminState::Draining { until: None },
            Standing::Drained | Standing::Disabled | Standing::Ejected | Standing::Down => {
                AdminState::Disabled
            }
            _ => AdminState::Enabled,
        };
        let backend = view.backend(slot).clone().in_state(state);
        match NonZeroU32::new(view.base_weight(slot)).and_then(|one| Weight::new(one.get())) {
            Some(weight) => backend.weighted(weight),
            None => backend,
        }
    });
    let backends = backends.collect();
    config::Cluster {
        backends,
        // They have spoken: that is who is there.
        discover: Vec::new(),
        ..config::Cluster::clone(&overview.settings)
    }
}
