//! What is going on now, and what was before.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::traffic::{self, Point, Points};

/// What happened in the last ten seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "requests_per_second": 120.4, "error_share": 0.002, "p50_ms": 4.3, "p99_ms": 31.2,
}))]
pub(crate) struct Rate {
    /// Of a backend each try counts, of a cluster each request of a client.
    pub(crate) requests_per_second: f64,
    /// Which share of them were errors, 0 to 1: failures, and answers of 500 or more other
    /// than 501.
    pub(crate) error_share: f64,
    /// Until the head of the answer, to within 6 %; absent where nothing was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_ms: Option<f64>,
}

impl From<traffic::Rate> for Rate {
    fn from(rate: traffic::Rate) -> Self {
        let traffic::Rate { requests_per_second, error_share, p50, p99 } = rate;
        Self { requests_per_second, error_share, p50_ms: p50, p99_ms: p99 }
    }
}

/// Numbers of a cluster and its backends, step by step, for plots.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "cluster": "web", "step_ms": 1_000, "until": 1_790_000_000_000_u64, "series": [
        { "backend": null, "requests": [12, 11], "errors": [0, 0], "p50_ms": [4.3, 4.3],
          "p99_ms": [31.2, 27.4], "in_flight": [2, 0] },
        { "backend": "s1", "requests": [null, 11], "errors": [null, 0],
          "p50_ms": [null, 4.3], "p99_ms": [null, 27.4], "in_flight": [null, 0] },
    ],
}))]
pub(crate) struct Series {
    pub(crate) cluster: String,
    /// How long a step is.
    pub(crate) step_ms: u64,
    /// When the last step ended.
    pub(crate) until: u64,
    /// Of the cluster as its clients see it, then of its backends by name. All have as many
    /// steps.
    pub(crate) series: Vec<Columns>,
}

/// One column for each number, the latest step last; null where it was not there yet.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Columns {
    /// Null: of the cluster.
    pub(crate) backend: Option<String>,
    /// Those that were answered or given up.
    pub(crate) requests: Vec<Option<u32>>,
    pub(crate) errors: Vec<Option<u32>>,
    /// Null also where nothing was answered.
    pub(crate) p50_ms: Vec<Option<f64>>,
    pub(crate) p99_ms: Vec<Option<f64>>,
    /// At the end of the step; of steps of ten seconds the most.
    pub(crate) in_flight: Vec<Option<u32>>,
}

impl Columns {
    pub(crate) fn new(row: &Points) -> Self {
        let Points { backend, points } = row;
        let column = |of: fn(&Point) -> u32| -> Vec<Option<u32>> {
            points.iter().map(|point| point.as_ref().map(of)).collect()
        };
        let times = |of: fn(Point) -> Option<f64>| -> Vec<Option<f64>> {
            points.iter().map(|point| point.and_then(of)).collect()
        };
        Self {
            backend: backend.as_deref().map(str::to_owned),
            requests: column(|point| point.requests),
            errors: column(|point| point.errors),
            p50_ms: times(Point::p50_ms),
            p99_ms: times(Point::p99_ms),
            in_flight: column(|point| point.in_flight),
        }
    }
}
