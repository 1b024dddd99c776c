//! What people changed, as it is written down.
//!
//! Values are JSON with the names and the shapes of the configuration file, so that
//! this part knows neither the file nor the cluster: whoever makes a change says what
//! a field was and what it becomes, and what the file says of it.
//!
//! The one hard decision: a [`Setting`] tells a value that a person set from one that
//! came out of the file or a source. To undo "weight 1 becomes 3" is to have the file
//! decide again, not to pin the weight to the 1 that the file said then.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

/// A change, by the number that it was given when it was written down: 1, 2, 3, …
/// No number is ever given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChangeId(u64);

impl ChangeId {
    /// Before all changes.
    pub(crate) const ZERO: Self = Self(0);

    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A time of day in milliseconds since 1970, as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UnixMillis(i64);

impl UnixMillis {
    pub(crate) const fn new(millis: i64) -> Self {
        Self(millis)
    }

    pub(crate) const fn get(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; zero if the clock was set back.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for UnixMillis {
    fn from(time: SystemTime) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(span) => millis(span),
            Err(before) => -millis(before.duration()),
        })
    }
}

impl From<UnixMillis> for SystemTime {
    fn from(time: UnixMillis) -> Self {
        let span = Duration::from_millis(time.0.unsigned_abs());
        let found =
            if time.0 < 0 { UNIX_EPOCH.checked_sub(span) } else { UNIX_EPOCH.checked_add(span) };
        found.unwrap_or(UNIX_EPOCH)
    }
}

/// Whose field it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    Cluster {
        cluster: Box<str>,
    },
    /// By its name, which is its address if it has none. It need not exist (any more).
    Backend {
        cluster: Box<str>,
        backend: Box<str>,
    },
}

impl Subject {
    pub(crate) fn of_cluster(cluster: &str) -> Self {
        Self::Cluster { cluster: cluster.into() }
    }

    pub(crate) fn of_backend(cluster: &str, backend: &str) -> Self {
        Self::Backend { cluster: cluster.into(), backend: backend.into() }
    }

    pub(crate) fn cluster(&self) -> &str {
        match self {
            Self::Cluster { cluster } | Self::Backend { cluster, .. } => cluster,
        }
    }

    pub(crate) fn backend(&self) -> Option<&str> {
        match self {
            Self::Cluster { .. } => None,
            Self::Backend { backend, .. } => Some(backend),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cluster())?;
        self.backend().map_or(Ok(()), |backend| write!(f, "/{backend}"))
    }
}

/// What of a subject: a key of the configuration file, or that it is there at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Field {
    State,
    Weight,
    MaxInFlight,
    Strategy,
    /// One key of a table of a cluster, by its path: `health.interval`. Beside the keys
    /// of the file there is `enabled`: whether the table holds at all.
    Key(&'static str),
    /// A person put this backend into the cluster; the value is its table as a file
    /// would have it. What the file says of it: such a table if it has the backend,
    /// too, or else null.
    Added,
    /// A person took this backend out: a tombstone on one incarnation, `{ "address",
    /// "instance" }`. Another address or instance under the name is somebody else and
    /// comes in. What the file says of it: the address, or null.
    Removed,
}

impl Field {
    pub(crate) const ALL: &[Self] = &[
        Self::State,
        Self::Weight,
        Self::MaxInFlight,
        Self::Strategy,
        Self::Added,
        Self::Removed,
        Self::Key("health.enabled"),
        Self::Key("health.path"),
        Self::Key("health.tcp"),
        Self::Key("health.method"),
        Self::Key("health.headers"),
        Self::Key("health.expect"),
        Self::Key("health.body"),
        Self::Key("health.port"),
        Self::Key("health.interval"),
        Self::Key("health.interval_down"),
        Self::Key("health.timeout"),
        Self::Key("health.rise"),
        Self::Key("health.fall"),
        Self::Key("sticky.enabled"),
        Self::Key("sticky.cookie"),
        Self::Key("sticky.ttl"),
        Self::Key("sticky.path"),
        Self::Key("sticky.domain"),
        Self::Key("sticky.secure"),
        Self::Key("sticky.http_only"),
        Self::Key("sticky.same_site"),
        Self::Key("sticky.partitioned"),
    ];

    /// The keys of a table that can be changed while it runs, with their fields.
    pub(crate) fn keys_of(
        table: &'static str,
    ) -> impl Iterator<Item = (&'static str, Self)> + Clone {
        Self::ALL.iter().filter_map(move |field| {
            let (of, key) = field.key()?;
            (of == table).then_some((key, *field))
        })
    }

    /// The table and the key, where it is one.
    pub(crate) fn key(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Key(path) => path.split_once('.'),
            _ => None,
        }
    }

    /// Whether it is about how a cluster works, and not about one of its backends.
    pub(crate) const fn is_of_cluster(self) -> bool {
        matches!(self, Self::Strategy | Self::Key(_))
    }

    /// Whether it says if a backend is there at all.
    pub(crate) const fn is_presence(self) -> bool {
        matches!(self, Self::Added | Self::Removed)
    }

    /// As it is written in files and answers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Weight => "weight",
            Self::MaxInFlight => "max_in_flight",
            Self::Strategy => "strategy",
            Self::Key(path) => path,
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }

    /// The keys under which a file has it, below the table of its subject; `None` where
    /// no key says it: that a backend is there at all, or that a table holds.
    pub(crate) fn keys(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Added | Self::Removed => None,
            Self::Key(path) if path.ends_with(".enabled") => None,
            field => Some(field.name().split('.').collect()),
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a field was, or became.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Setting {
    /// A person's word.
    Override(Value),
    /// Nobody has overridden it; this is what file and sources said at that time.
    Configured(Value),
}

impl Setting {
    pub(crate) const fn value(&self) -> &Value {
        match self {
            Self::Override(value) | Self::Configured(value) => value,
        }
    }

    pub(crate) const fn is_override(&self) -> bool {
        matches!(self, Self::Override(_))
    }
}

/// A change that is to be written down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewChange {
    pub(crate) at: UnixMillis,
    /// Who: a user, or the name of a token.
    pub(crate) author: String,
    /// Through which door they came: `socket`, `token`, `loopback`.
    pub(crate) door: String,
    pub(crate) why: Option<String>,
    pub(crate) subject: Subject,
    pub(crate) field: Field,
    pub(crate) before: Setting,
    pub(crate) after: Setting,
    /// What the file says of the field now, defaults included, null if nothing. An
    /// override holds until it says something else.
    pub(crate) basis: Value,
    pub(crate) undoes: Option<ChangeId>,
}

/// A change that was written down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) id: ChangeId,
    pub(crate) at: UnixMillis,
    pub(crate) author: String,
    pub(crate) door: String,
    pub(crate) why: Option<String>,
    pub(crate) subject: Subject,
    pub(crate) field: Field,
    pub(crate) before: Setting,
    pub(crate) after: Setting,
    pub(crate) undoes: Option<ChangeId>,
    /// The change that stood in its field when this one was made; zero if none.
    pub(crate) found: ChangeId,
    /// The change that stands since: this one, or if it undoes one, what that one found.
    pub(crate) stands: ChangeId,
}

impl Change {
    /// Whether it has left the value as it was, and only given the field to file and sources:
    /// that is what saving does. There is nothing in it to take back.
    pub(crate) fn is_given_over(&self) -> bool {
        self.before.is_override()
            && !self.after.is_override()
            && self.before.value() == self.after.value()
    }
}

/// A field that a person has set, and that differs from what the file says, or would
/// if the file changed no more than now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Override {
    pub(crate) subject: Subject,
    pub(crate) field: Field,
    pub(crate) value: Value,
    /// What the file said of the field when this was set.
    pub(crate) basis: Value,
    /// The change that set it, which tells who, when and why. It is kept as long as this.
    pub(crate) change: ChangeId,
    /// When its subject was last there.
    pub(crate) seen: UnixMillis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_by_its_name() {
        for field in Field::ALL {
            assert_eq!(Field::of_name(field.name()), Some(*field));
        }
        assert_eq!(Field::of_name("wieght"), None);
    }

    #[test]
    fn a_time_is_the_same_there_and_back() {
        for millis in [0, 1, 1_763_655_926_123, -1, -86_400_000] {
            let time = UnixMillis::new(millis);
            assert_eq!(UnixMillis::from(SystemTime::from(time)), time);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_counts_as_no_time() {
        let span = UnixMillis::new(5).since(UnixMillis::new(9));
        assert_eq!(span, Duration::ZERO);
        assert_eq!(UnixMillis::new(9).since(UnixMillis::new(5)), Duration::from_millis(4));
    }

    #[test]
    fn a_subject_is_called_as_on_the_command_line() {
        assert_eq!(Subject::of_cluster("web").to_string(), "web");
        assert_eq!(Subject::of_backend("web", "w1").to_string(), "web/w1");
    }
}
