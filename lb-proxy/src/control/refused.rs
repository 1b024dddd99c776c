//! Why something was not done. Everything is as it was then.

use super::settings::Unfit;

/// What is wrong with a configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mistakes {
    /// Each finding, as `lb check --json` has it.
    pub(crate) found: Vec<serde_json::Value>,
    /// All of them, as `lb check` prints them; empty where none has a place.
    pub(crate) report: String,
}

/// Why an [`Ask`](super::Ask) was not done.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub(crate) enum Refused {
    NoSuchCluster {
        name: String,
        near: Option<String>,
    },
    NoSuchBackend {
        cluster: String,
        name: String,
        near: Option<String>,
    },
    /// No change has this number, or it was forgotten.
    NoSuchChange {
        change: u64,
    },
    /// Nobody in the cluster could be used any more.
    WouldEmpty {
        cluster: String,
        detail: String,
    },
    /// A value that makes no sense.
    Invalid {
        field: String,
        detail: String,
    },
    /// A setting that no file may have, or not together with the others.
    Unfit(Unfit),
    /// What is to be undone is not what is true now.
    ChangedSince {
        change: u64,
        detail: String,
    },
    /// It contradicts something else.
    Conflict {
        detail: String,
    },
    /// The file on the disk is not the one that is served.
    FileChanged {
        file: String,
    },
    /// It could not be written down, so it was not done.
    NotRecorded {
        detail: String,
    },
    /// The file cannot be served.
    BadConfig {
        detail: String,
        mistakes: Mistakes,
    },
    /// The balancer ends while the change is written down, and nobody knows whether it was.
    Stopping,
    /// Nobody is there to do it: the balancer is stopping, or too much is asked of it.
    Busy,
}

impl Refused {
    /// What is wrong, without the particulars.
    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::NoSuchCluster { .. } => "No such cluster",
            Self::NoSuchBackend { .. } => "No such backend",
            Self::NoSuchChange { .. } => "No such change",
            Self::WouldEmpty { .. } => "No backend would be left",
            Self::Invalid { .. } | Self::Unfit(_) => "Not a possible value",
            Self::ChangedSince { .. } => "Changed since",
            Self::FileChanged { .. } => "The file was changed",
            Self::Conflict { .. } => "Contradicts something else",
            Self::NotRecorded { .. } => "Could not be written down",
            Self::BadConfig { .. } => "The configuration cannot be served",
            Self::Stopping => "Not known to be done",
            Self::Busy => "Busy",
        }
    }

    /// The particulars, as a sentence.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::NoSuchCluster { name, .. } => format!("there is no cluster `{name}`"),
            Self::NoSuchBackend { cluster, name, .. } => {
                format!("`{cluster}` has no backend `{name}`")
            }
            Self::NoSuchChange { change } => format!("there is no change {change}"),
            // The reader of files names the key itself.
            Self::Unfit(Unfit { field, detail, .. }) if detail.contains(field) => detail.clone(),
            Self::Invalid { field, detail } | Self::Unfit(Unfit { field, detail, .. }) => {
                format!("`{field}`: {detail}")
            }
            Self::FileChanged { file } => {
                format!("`{file}` was changed since it was read; nothing was written")
            }
            Self::WouldEmpty { detail, .. }
            | Self::ChangedSince { detail, .. }
            | Self::Conflict { detail }
            | Self::NotRecorded { detail }
            | Self::BadConfig { detail, .. } => detail.clone(),
            Self::Stopping => "the balancer is stopping, and its disk is slow: the change may be \
                               written down, and holds from the next start on then"
                .to_owned(),
            Self::Busy => "the balancer is stopping, or has too much to do".to_owned(),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoSuchCluster { near, .. } | Self::NoSuchBackend { near, .. } => {
                return near.as_ref().map(|near| format!("did you mean `{near}`?"));
            }
            Self::WouldEmpty { .. } => "enable another one first, or force it",
            Self::ChangedSince { .. } => "undo the later change first, or set the value you want",
            Self::FileChanged { .. } => "`lb reload` takes the file up; then save again",
            Self::NotRecorded { .. } => "nothing was changed; see to the state file",
            Self::BadConfig { .. } => "what ran before still runs; `lb check` says more",
            Self::Stopping => "`lb changes` tells after the next start",
            Self::Busy => "try again",
            Self::NoSuchChange { .. } => "`lb events` lists the changes",
            Self::Unfit(unfit) => return unfit.hint.clone(),
            Self::Invalid { .. } | Self::Conflict { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
