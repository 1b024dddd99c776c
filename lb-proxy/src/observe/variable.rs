//! What a line can say, by name. The names are those of the JSON keys.

/// One fact about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variable {
    Attempts,
    Backend,
    BytesIn,
    BytesOut,
    Client,
    Cluster,
    Duration,
    End,
    Host,
    Id,
    Level,
    Listener,
    Method,
    Path,
    PickedBy,
    Proto,
    Referer,
    Request,
    Route,
    Status,
    Sticky,
    Time,
    Ts,
    UpstreamAddr,
    UpstreamStatus,
    UpstreamTime,
    UserAgent,
}

impl Variable {
    pub(super) const ALL: &[(&str, Self)] = &[
        ("attempts", Self::Attempts),
        ("backend", Self::Backend),
        ("bytes_in", Self::BytesIn),
        ("bytes_out", Self::BytesOut),
        ("client", Self::Client),
        ("cluster", Self::Cluster),
        ("duration", Self::Duration),
        ("end", Self::End),
        ("host", Self::Host),
        ("id", Self::Id),
        ("level", Self::Level),
        ("listener", Self::Listener),
        ("method", Self::Method),
        ("path", Self::Path),
        ("picked_by", Self::PickedBy),
        ("proto", Self::Proto),
        ("referer", Self::Referer),
        ("request", Self::Request),
        ("route", Self::Route),
        ("status", Self::Status),
        ("sticky", Self::Sticky),
        ("time", Self::Time),
        ("ts", Self::Ts),
        ("upstream_addr", Self::UpstreamAddr),
        ("upstream_status", Self::UpstreamStatus),
        ("upstream_time", Self::UpstreamTime),
        ("user_agent", Self::UserAgent),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
    }

    /// The name that was probably meant.
    pub(super) fn like(name: &str) -> Option<&'static str> {
        let allowed = (name.len() / 3).max(1);
        let distance = |known| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), known);
        let known = Self::ALL.iter().map(|(known, _)| (distance(known), *known));
        let (_, known) = known.filter(|(distance, _)| *distance <= allowed).min()?;
        Some(known)
    }
}
