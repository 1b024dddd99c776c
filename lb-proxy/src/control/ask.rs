//! What somebody may want.

use std::{fmt, time::Duration};

use serde_json::{Map, Value};

use super::settings::SettingTable;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Author {
    /// What he is called: a user of this machine, or the name of a token.
    pub(crate) name: String,
    /// Where he came in.
    pub(crate) door: Door,
}

/// Where somebody came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Door {
    /// By the socket, as this user of the system.
    Socket { uid: u32 },
    /// With the token of this name.
    Token { name: String },
    /// From this machine, with the token that was printed at the start.
    Loopback,
    /// With the session of a browser that had a token.
    Browser,
    /// By a signal to the process.
    Signal,
}

impl Author {
    /// Whoever sent the process a signal; the system does not say who.
    pub(crate) fn of_signal() -> Self {
        Self { name: "HUP".to_owned(), door: Door::Signal }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { uid } => write!(f, "socket, uid {uid}"),
            Self::Token { name } => write!(f, "token {name}"),
            Self::Loopback => f.write_str("loopback"),
            Self::Browser => f.write_str("browser"),
            Self::Signal => f.write_str("signal"),
        }
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.door)
    }
}

/// Everything that is wanted at once: all of it is done, or nothing.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) wishes: Vec<Wish>,
    pub(crate) author: Author,
    /// What he says it is for.
    pub(crate) why: Option<String>,
    /// Only say what it would do.
    pub(crate) dry_run: bool,
    /// Also where it leaves a cluster without a backend that can be used.
    pub(crate) force: bool,
}

/// One thing that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wish {
    /// Another state, weight or ceiling of a backend.
    Patch { cluster: String, backend: String, patch: BackendPatch },
    /// A backend that neither the file nor a source has. Where there are checks, it
    /// takes requests once one has passed.
    Add { cluster: String, backend: NewBackend },
    /// No such backend any more, also if the file or a source has it; another life of
    /// it comes back. With `drain`, its clients have so long to go elsewhere.
    Remove { cluster: String, backend: String, drain: Option<Duration> },
    /// Another strategy: a name, or a table of what the file may have there.
    Strategy { cluster: String, strategy: Value },
    /// Other keys of one of its tables; null is what the file says.
    Tune { cluster: String, table: SettingTable, set: Map<String, Value> },
    /// The value before that change.
    Undo { change: u64 },
    /// The file, read again. Only on its own.
    Reload,
    /// What people have set, written into the file. Only on its own.
    Save(Which),
    /// Another file in the place of the one that is served. Only on its own.
    Replace { text: String },
}

/// Which of the things that people have set: all, or those that are named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Which {
    /// Clusters, with all that belongs to them, or backends.
    pub(crate) subjects: Vec<(String, Option<String>)>,
    /// What came by these changes.
    pub(crate) changes: Vec<u64>,
}

/// What is to be different of a backend; `None` is left as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct BackendPatch {
    pub(crate) state: Option<WantedState>,
    /// The inner `None`: what the file or the source says.
    pub(crate) weight: Option<Option<u32>>,
    /// The inner `None`: what the file or the source says.
    pub(crate) max_in_flight: Option<Option<u32>>,
}

/// Whether a backend is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WantedState {
    Enabled,
    /// Only clients that are bound to it, for so long, or for ever.
    Draining {
        limit: Option<Duration>,
    },
    Disabled,
}

/// A backend as somebody describes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct NewBackend {
    pub(crate) address: String,
    /// Its address, where it is not said.
    pub(crate) name: Option<String>,
    pub(crate) weight: Option<u32>,
    pub(crate) tier: Option<u8>,
    pub(crate) max_in_flight: Option<u32>,
    pub(crate) zone: Option<String>,
}
