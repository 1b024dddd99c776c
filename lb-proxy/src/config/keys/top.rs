//! The file itself.

use super::{
    ADMIN, CLUSTER, DEFAULTS, Key, LIMITS, LISTENER, LISTENER_TIMEOUT, LOG, ROUTE, Section, Shape,
    TEXT_OR_TEXTS, cluster::BACKENDS,
};

pub(in crate::config) static TOP: Section = Section {
    elsewhere: &[(
        &["strategy", "backends", "sticky", "health", "retry", "discover"],
        "is a matter of clusters: set it in `[cluster.NAME]`, or for all of them in `[defaults]`",
    )],
    later: &["metrics", "discovery", "tls", "http", "drain"],
    ..Section::new(
        "file",
        "The configuration of lb.",
        &[
            Key::new("version", Shape::Integer(1, 1), "version of the format").or("1"),
            Key::new("workers", Shape::Integer(1, 1024), "threads; one per core unless set"),
            Key::new("include", TEXT_OR_TEXTS, "more files; `*` and `?` are wildcards"),
            Key::new("timeout", Shape::Table(&LISTENER_TIMEOUT), "time limits of all listeners")
                .or("{}"),
            Key::new("limits", Shape::Table(&LIMITS), "limits of all listeners").or("{}"),
            Key::new(
                "trusted_proxies",
                TEXT_OR_TEXTS,
                "networks whose `X-Forwarded-*` is believed, for all listeners",
            )
            .or("[]"),
            Key::new("request_id", Shape::Boolean, "give requests of all listeners an id")
                .or("true"),
            Key::new("listen", Shape::Text, "where to listen").or("\"127.0.0.1:8080\""),
            Key::new("listener", Shape::List(&Shape::Table(&LISTENER)), "several listeners"),
            Key::new("to", BACKENDS, "backends of a cluster `default` that gets every request"),
            Key::new("route", Shape::List(&Shape::Table(&ROUTE)), "which requests go where"),
            Key::new("cluster", Shape::Table(&CLUSTERS), "sets of backends, by name"),
            Key::new("defaults", Shape::Table(&DEFAULTS), "what every cluster starts from")
                .or("{}"),
            Key::new("admin", Shape::Table(&ADMIN), "where people see and change what runs")
                .or("{}"),
            Key::new("log", Shape::Table(&LOG), "logs").or("{}"),
        ],
    )
};

static CLUSTERS: Section = Section {
    any_key: Some(Shape::Table(&CLUSTER)),
    ..Section::new("clusters", "Sets of backends, by name.", &[])
};
