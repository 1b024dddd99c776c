//! Where a request would go.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A request that is not sent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "method": "GET", "target": "/api/x", "headers": { "host": ["www.example.org"] },
}))]
pub(crate) struct Asked {
    /// `GET` unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    /// `/api/x?y=z`
    pub(crate) target: String,
    /// The values of each header.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    /// Whose connection it comes on; `127.0.0.1` unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) client: Option<IpAddr>,
}

/// Where it would go, and who could not have it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Explained {
    /// What `lb explain --json` prints, of what runs now.
    #[schema(value_type = Object)]
    pub(crate) explanation: Value,
    /// The same as text, as `lb explain` prints it.
    pub(crate) text: String,
    /// Every backend of the cluster it goes to, and what speaks against it.
    pub(crate) backends: Vec<Candidate>,
}

/// A backend that might get it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "name": "d3", "eligible": false, "reason": "down: connect: refused" }))]
pub(crate) struct Candidate {
    pub(crate) name: String,
    /// Whether new clients come here.
    pub(crate) eligible: bool,
    /// Its state, and why.
    pub(crate) reason: String,
}
