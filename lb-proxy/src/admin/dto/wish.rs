//! What may be asked for.

use lb_proxy::parse_duration;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    admin::problem::Problem,
    control::{self, BackendPatch, SettingTable, WantedState, Wish},
};

/// Whether a backend is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It takes requests.
    Enabled,
    /// Only of clients that are bound to it.
    Draining,
    /// None.
    Disabled,
}

/// What is to be different of a backend. What is left out stays as it is; null is what
/// the file or the source says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "state": "draining", "drain": "30s" }))]
pub(crate) struct BackendChanges {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<State>,
    /// How long bound clients have, with `draining`: `30s`. For ever unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) drain: Option<String>,
    /// 1 to 65535.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 65535)]
    pub(crate) weight: Option<Option<u32>>,
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub(crate) max_in_flight: Option<Option<u32>>,
}

/// Tells null from nothing.
fn said<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl BackendChanges {
    pub(crate) fn patch(&self) -> Result<BackendPatch, Problem> {
        let limit = match (&self.drain, self.state) {
            (None, _) => None,
            (Some(drain), Some(State::Draining)) => {
                let read = parse_duration(drain);
                Some(read.map_err(|error| {
                    Problem::invalid("`drain` is no duration").at("/drain", error)
                })?)
            }
            (Some(_), _) => {
                let problem = Problem::invalid("`drain` goes with `\"state\": \"draining\"`");
                return Err(problem.at("/drain", "nothing is drained"));
            }
        };
        let state = self.state.map(|state| match state {
            State::Enabled => WantedState::Enabled,
            State::Draining => WantedState::Draining { limit },
            State::Disabled => WantedState::Disabled,
        });
        let (weight, max_in_flight) = (self.weight, self.max_in_flight);
        if state.is_none() && weight.is_none() && max_in_flight.is_none() {
            return Err(Problem::invalid("nothing is to be different")
                .hint("`state`, `weight` or `max_in_flight`"));
        }
        Ok(BackendPatch { state, weight, max_in_flight })
    }
}

/// A backend that is to be added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "address": "10.0.0.4:3000", "name": "s4", "weight": 2 }))]
pub(crate) struct NewBackend {
    /// `ip:port` or `name:port`.
    pub(crate) address: String,
    /// Its address unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tier: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_in_flight: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
}

impl From<NewBackend> for control::NewBackend {
    fn from(backend: NewBackend) -> Self {
        let NewBackend { address, name, weight, tier, max_in_flight, zone } = backend;
        Self { address, name, weight, tier, max_in_flight, zone }
    }
}

/// Several changes at once: all of them, or none.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "changes": [
    { "op": "patch", "cluster": "web", "backend": "s1", "set": { "state": "disabled" } },
    { "op": "add", "cluster": "web", "backend": { "address": "10.0.0.4:3000" } },
] }))]
pub(crate) struct Bulk {
    pub(crate) changes: Vec<Operation>,
}

/// One of several changes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Operation {
    /// Changes a backend.
    Patch { cluster: String, backend: String, set: BackendChanges },
    /// Adds one.
    Add { cluster: String, backend: NewBackend },
    /// Removes one.
    Remove {
        cluster: String,
        backend: String,
        /// How long its clients have to go elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        drain: Option<String>,
    },
    /// Changes the strategy of a cluster.
    Strategy {
        cluster: String,
        #[schema(value_type = Object)]
        strategy: Value,
    },
    /// Changes how the backends of a cluster are checked.
    Health { cluster: String, set: SettingChanges },
    /// Changes how its clients are bound.
    Sticky { cluster: String, set: SettingChanges },
}

/// Keys of a table of a cluster, as the file has them. What is left out stays as it is; null
/// is what the file says. `enabled`: whether the table holds at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object, example = json!({ "interval": "500ms", "fall": 2, "path": null }))]
pub(crate) struct SettingChanges(pub(crate) Map<String, Value>);

impl SettingChanges {
    pub(crate) fn wish(self, cluster: String, table: SettingTable) -> Result<Wish, Problem> {
        let Self(set) = self;
        if set.is_empty() {
            let known: Vec<&str> = table.keys().collect();
            let problem = Problem::invalid("nothing is to be different");
            return Err(problem.hint(format!("keys: {}", known.join(", "))));
        }
        Ok(Wish::Tune { cluster, table, set })
    }
}

impl Operation {
    pub(crate) fn wish(self) -> Result<Wish, Problem> {
        Ok(match self {
            Self::Patch { cluster, backend, set } => {
                Wish::Patch { cluster, backend, patch: set.patch()? }
            }
            Self::Add { cluster, backend } => Wish::Add { cluster, backend: backend.into() },
            Self::Remove { cluster, backend, drain } => {
                Wish::Remove { cluster, backend, drain: read_drain(drain.as_deref())? }
            }
            Self::Strategy { cluster, strategy } => Wish::Strategy { cluster, strategy },
            Self::Health { cluster, set } => set.wish(cluster, SettingTable::Health)?,
            Self::Sticky { cluster, set } => set.wish(cluster, SettingTable::Sticky)?,
        })
    }
}

/// A duration as texts have it.
pub(crate) fn read_drain(text: Option<&str>) -> Result<Option<std::time::Duration>, Problem> {
    let read = text.map(parse_duration).transpose();
    read.map_err(|error| Problem::invalid(format!("`drain`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BackendChanges, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn null_is_what_the_file_says_and_nothing_is_as_it_is() {
        let patch = read(r#"{"weight": null}"#).unwrap().patch().unwrap();
        assert_eq!((patch.weight, patch.max_in_flight), (Some(None), None));
        let patch = read(r#"{"max_in_flight": 3}"#).unwrap().patch().unwrap();
        assert_eq!((patch.weight, patch.max_in_flight), (None, Some(Some(3))));
        assert!(read("{}").unwrap().patch().is_err());
        for wrong in [r#"{"weight": "banana"}"#, r#"{"weight": -1}"#, r#"{"wieght": 1}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_that_of_a_drain() {
        let patch = |text| read(text).unwrap().patch();
        let limit = Some(std::time::Duration::from_secs(30));
        let state = patch(r#"{"state": "draining", "drain": "30s"}"#).unwrap().state;
        assert_eq!(state, Some(WantedState::Draining { limit }));
        assert!(patch(r#"{"state": "disabled", "drain": "30s"}"#).is_err());
        assert!(patch(r#"{"state": "draining", "drain": "soon"}"#).is_err());
    }
}
