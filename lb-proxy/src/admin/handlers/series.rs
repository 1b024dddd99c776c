//! What went on, step by step.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use lb_proxy::parse_duration;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    admin::{
        api::{Api, cluster},
        dto::{Columns, Series},
        problem::Problem,
    },
    control::unix_millis,
    traffic::{self, COARSE, SECONDS, Step, TENS},
};

/// How much of it.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// How far back: `15m` unless it is said. At most `15m` by the second, and `6h` by ten.
    #[serde(default)]
    window: Option<String>,
    /// `1s` or `10s`; unless it is said, the finest for the window.
    #[serde(default)]
    step: Option<String>,
}

const SECOND: Duration = Duration::from_secs(1);
const TEN: Duration = Duration::from_secs(COARSE as u64);
const FINE: Duration = Duration::from_secs(SECONDS as u64);
const ALL: Duration = Duration::from_secs((TENS * COARSE) as u64);

/// Requests, errors, latency and requests in flight of a cluster and its backends, by the
/// second for a quarter of an hour, and by ten seconds for six hours. Since the start, and
/// of at most a thousand clusters and backends.
#[utoipa::path(get, path = "/api/v1/clusters/{cluster}/series", operation_id = "show_series",
    params(("cluster" = String, Path, description = "its name"), Which),
    responses(
        (status = OK, body = Series),
        (status = NOT_FOUND, body = Problem),
        (status = UNPROCESSABLE_ENTITY, body = Problem),
    ))]
pub(crate) async fn show(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Series>, Problem> {
    let overview = api.desk.overview();
    cluster(&overview, &name)?;
    let (step, points) = which.read()?;
    let traffic::Series { ended, rows } = api.desk.traffic().series(&name, step, points);
    let ago = u64::try_from(ended.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(Series {
        cluster: name,
        step_ms: match step {
            Step::Second => SECOND,
            Step::Ten => TEN,
        }
        .as_millis() as u64,
        until: unix_millis().saturating_sub(ago),
        series: rows.iter().map(Columns::new).collect(),
    }))
}

impl Which {
    /// The step, and how many of them.
    fn read(&self) -> Result<(Step, usize), Problem> {
        let duration = |name: &str, text: &Option<String>| {
            let read = text.as_deref().map(parse_duration).transpose();
            read.map_err(|error| Problem::invalid(format!("`{name}` is no duration: {error}")))
        };
        let window = duration("window", &self.window)?.unwrap_or(FINE);
        let step = match duration("step", &self.step)? {
            Some(SECOND) => Step::Second,
            None if window <= FINE => Step::Second,
            Some(TEN) | None => Step::Ten,
            Some(_) => {
                return Err(Problem::invalid("there are no steps of that length")
                    .hint("`step` is `1s` or `10s`"));
            }
        };
        let (length, most) = match step {
            Step::Second => (SECOND, FINE),
            Step::Ten => (TEN, ALL),
        };
        if window > most || window < length {
            return Err(Problem::invalid("nothing is kept for as long, or it is less than a step")
                .hint("`window` is up to `15m` with `step=1s`, and up to `6h` with `step=10s`"));
        }
        let points = window.as_secs().div_ceil(length.as_secs());
        Ok((step, usize::try_from(points).unwrap_or(SECONDS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(window: Option<&str>, step: Option<&str>) -> Result<(Step, usize), String> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let which = Which { window: text(window), step: text(step) };
        which.read().map_err(|problem| problem.detail.unwrap_or_default().into())
    }

    #[test]
    fn the_finest_step_is_taken_that_goes_so_far_back() {
        assert_eq!(read(None, None), Ok((Step::Second, 900)));
        assert_eq!(read(Some("1m"), None), Ok((Step::Second, 60)));
        assert_eq!(read(Some("16m"), None), Ok((Step::Ten, 96)));
        assert_eq!(read(Some("6h"), None), Ok((Step::Ten, 2_160)));
        assert_eq!(read(Some("1m"), Some("10s")), Ok((Step::Ten, 6)));
    }

    #[test]
    fn what_is_not_kept_is_refused() {
        for (window, step) in [
            (Some("7h"), None),
            (Some("16m"), Some("1s")),
            (None, Some("2s")),
            (Some("5s"), Some("10s")),
            (Some("0s"), None),
            (Some("15"), None),
        ] {
            assert!(read(window, step).is_err(), "{window:?} {step:?}");
        }
    }
}
