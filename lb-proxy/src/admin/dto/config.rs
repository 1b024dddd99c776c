//! The configuration that is served.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Override;

/// Every value that holds, and what people changed on top.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct EffectiveConfig {
    /// Where it came from.
    pub(crate) origin: String,
    /// Which of the configurations that were served it is.
    pub(crate) generation: u64,
    /// As the file has it, defaults included; without secrets.
    pub(crate) settings: Vec<SettingLine>,
    /// What holds instead.
    pub(crate) overrides: Vec<Override>,
}

/// One value, and where it stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "key": "cluster.web.strategy.name", "value": "\"least-conn\"", "file": "lb.toml", "line": 7,
}))]
pub(crate) struct SettingLine {
    /// Its full name.
    pub(crate) key: String,
    /// In TOML.
    pub(crate) value: String,
    /// Absent for a default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Checked {
    pub(crate) ok: bool,
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
    /// As `lb check --json` has them.
    #[schema(value_type = Vec<Object>)]
    pub(crate) diagnostics: Vec<Value>,
}

/// What came of a reload.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "config_generation": 4, "says": "clusters: changed web; routes: as before", "effective": true,
}))]
pub(crate) struct Reloaded {
    pub(crate) config_generation: u64,
    /// What is different now.
    pub(crate) says: String,
    pub(crate) effective: bool,
}
