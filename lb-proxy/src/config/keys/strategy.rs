//! Strategies with options.

use super::{Key, OFF, SECRET, Section, Shape, TEXT_OR_TEXTS};

/// Defaults are those of every strategy that reads the option; where they differ, there
/// is none here.
pub(in crate::config) static STRATEGY: Section = Section::new(
    "strategy",
    "How a backend is chosen, with options; each strategy reads some of them.",
    &[
        Key::new("name", Shape::Text, "its name").required(),
        Key::new(
            "key",
            TEXT_OR_TEXTS,
            "what it picks by: `client-ip`, `uri`, `path`, `header:NAME`, `cookie:NAME`, \
             `query:NAME`, or several",
        )
        .or("\"client-ip\""),
        Key::new(
            "bounded_load",
            Shape::AnyOf(&[Shape::Number(1.0, 100.0), OFF]),
            "no backend has more than this times its share in flight; 1.25 unless the strategy \
             is another program's",
        ),
        Key::new(
            "secret",
            Shape::AnyOf(&[Shape::Text, Shape::Table(&SECRET)]),
            "makes picks unforeseeable",
        )
        .secret(),
        Key::new("draws", Shape::Integer(2, 8), "how many backends are compared"),
        Key::new("memory", Shape::Boolean, "compare the best of the last pick again").or("false"),
        Key::new("decay", Shape::Duration, "in which time an average forgets").or("\"10s\""),
        Key::new("tickets", Shape::Words(&["exact", "blocks"]), "how turns are handed out")
            .or("\"exact\""),
        Key::new(
            "measure",
            Shape::Words(&["first-byte", "last-byte"]),
            "until when a response time is measured",
        )
        .or("\"first-byte\""),
        Key::new("compat", Shape::Words(&["envoy"]), "whose table is to be the same"),
        Key::new(
            "type",
            Shape::Words(&["map-based", "consistent"]),
            "HAProxy's `hash-type`: how a hash becomes a backend",
        )
        .or("\"map-based\""),
        Key::new(
            "function",
            Shape::Words(&["sdbm", "djb2", "wt6", "crc32", "none"]),
            "HAProxy's hash function",
        ),
        Key::new("avalanche", Shape::Boolean, "HAProxy's: mix the bits of a hash once more"),
        Key::new("stale_after", Shape::Duration, "when what a backend reported means nothing")
            .or("\"10s\""),
        Key::new(
            "header",
            Shape::Text,
            "in which header backends report their load; ORCA's `endpoint-load-metrics` unless set",
        ),
        Key::new(
            "metric",
            Shape::Text,
            "which number of a report is the load; `application_utilization` or `cpu_utilization` \
             unless set, with `prequal` `rif`",
        ),
        Key::new("probes", Shape::Table(&PROBES), "how backends are asked for their load"),
    ],
);

pub(in crate::config) static PROBES: Section = Section::new(
    "probes",
    "How `prequal` asks backends for their load.",
    &[
        Key::new("path", Shape::Text, "what to ask for, by `GET`").required(),
        Key::new(
            "per_request",
            Shape::Number(0.1, 16.0),
            "how many backends are asked per request",
        )
        .or("3.0"),
        Key::new("timeout", Shape::Duration, "a probe that takes longer has failed")
            .or("\"100ms\""),
    ],
);
