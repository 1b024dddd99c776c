//! Listeners.

use super::{Key, Section, Shape, TEXT_OR_TEXTS};

pub(super) static LISTENER: Section = Section {
    later: &["tls", "http", "redirect", "ready_path"],
    ..Section::new(
        "listener",
        "One address to listen on.",
        &[
            Key::new("bind", Shape::Text, "where to listen").required(),
            Key::new("timeout", Shape::Table(&LISTENER_TIMEOUT), "how long clients may take")
                .or("{}"),
            Key::new("limits", Shape::Table(&LIMITS), "how much clients may send").or("{}"),
            Key::new(
                "trusted_proxies",
                TEXT_OR_TEXTS,
                "networks whose `X-Forwarded-*` is believed",
            )
            .or("[]"),
            Key::new("request_id", Shape::Boolean, "give requests an `X-Request-Id`").or("true"),
        ],
    )
};

pub(super) static LISTENER_TIMEOUT: Section = Section {
    elsewhere: &[(
        &["connect", "first_byte", "idle", "pool_idle", "per_try", "total"],
        "is a matter of clusters: set it in `timeout` of `[defaults]` or of a cluster",
    )],
    later: &["tls_handshake"],
    ..Section::new(
        "listener_timeout",
        "How long clients may take.",
        &[
            Key::new("header", Shape::Duration, "for a request head; then 408").or("\"10s\""),
            Key::new("body_idle", Shape::Duration, "between parts of a body; then 408")
                .or("\"30s\""),
            Key::new("keep_alive", Shape::Duration, "without a request; then close").or("\"1m\""),
            Key::new("send_stall", Shape::Duration, "while a client takes nothing; then reset")
                .or("\"30s\""),
            Key::new("shutdown", Shape::Duration, "for requests in flight when draining")
                .or("\"30s\""),
        ],
    )
};

pub(super) static LIMITS: Section = Section {
    elsewhere: &[(&["per_backend"], "is called `max_in_flight` here, and is a matter of backends")],
    later: &["connections_per_client", "streams", "in_flight", "queue", "queue_timeout"],
    ..Section::new(
        "limits",
        "How much clients may send.",
        &[
            Key::new("header", Shape::Size, "a request head; beyond: 431").or("\"64KiB\""),
            Key::new("headers", Shape::Integer(1, 100), "header lines; beyond: 431").or("100"),
            Key::new("target", Shape::Size, "a request target; beyond: 414").or("\"16KiB\""),
            Key::new("body", Shape::Size, "a request body; beyond: 413"),
            Key::new("connections", Shape::Integer(1, 10_000_000), "at a time; beyond: refused")
                .or("100000"),
        ],
    )
};
