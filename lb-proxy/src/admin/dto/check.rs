//! What checks of a backend have found.

use lb_proxy::CheckResult;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::at_tick;

/// One check of a backend.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "at": 1_763_655_926_123_u64, "took": 0.0012, "request": "GET http://10.0.0.1:80/healthz",
    "status": 500, "passed": false, "why": "status 500", "body": "no disk", "asked_for": true,
    "counted": true,
}))]
pub(crate) struct Check {
    /// When it ended.
    pub(crate) at: u64,
    /// How long it took, in seconds.
    pub(crate) took: f64,
    /// What was done.
    pub(crate) request: String,
    /// The status of the answer, if one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    pub(crate) passed: bool,
    /// Why it has not passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// How the body begins, of checks that failed or were asked for. Only for those who may
    /// change things.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
    /// Whether somebody asked for it.
    pub(crate) asked_for: bool,
    /// Whether it is evidence; it is not where the balancer itself stood still.
    pub(crate) counted: bool,
}

/// A check that was asked for, and what is thought of the backend since.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct CheckedNow {
    pub(crate) check: Check,
    /// `up`, `down`, `unknown`, …: several checks in a row change it.
    pub(crate) health: String,
    /// Why it is that.
    pub(crate) why: String,
}

impl Check {
    /// As somebody may see it.
    pub(crate) fn new(result: &CheckResult, shows_body: bool) -> Self {
        Self {
            at: at_tick(result.at),
            took: result.took.as_secs_f64(),
            request: result.request.to_string(),
            status: result.status,
            passed: result.verdict.is_ok(),
            why: result.verdict.as_ref().err().map(ToString::to_string),
            body: result.excerpt.as_deref().filter(|_| shows_body).map(str::to_owned),
            asked_for: result.is_asked_for,
            counted: result.counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_backend_has_sent_is_for_those_who_may_change_things() {
        let result = CheckResult {
            at: lb_proxy::now(),
            took: Duration::from_millis(2),
            request: "GET http://a:1/".into(),
            status: Some(500),
            excerpt: Some("password=1".into()),
            verdict: Err("status 500".into()),
            is_asked_for: false,
            counts: true,
        };
        assert_eq!(Check::new(&result, true).body.as_deref(), Some("password=1"));
        let seen = serde_json::to_string(&Check::new(&result, false)).unwrap();
        assert!(!seen.contains("password"), "{seen}");
        assert!(seen.contains("status 500"), "{seen}");
    }
}
