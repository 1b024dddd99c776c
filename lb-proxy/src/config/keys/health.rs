//! Active checks.

use super::{Key, Section, Shape};

const STATUS: Shape = Shape::AnyOf(&[Shape::Integer(100, 599), Shape::Text]);

pub(super) static HEALTH: Section = Section {
    exclusive: &[("path", &["tcp"]), ("tcp", &["path", "method", "headers", "expect", "body"])],
    is_layered: true,
    stands_for: Some("path"),
    later: &["grpc", "exec", "jitter", "tls"],
    ..Section::new(
        "health",
        "How backends are checked.",
        &[
            Key::new("path", Shape::Text, "what to ask for"),
            Key::new("tcp", Shape::Boolean, "only connect").or("false"),
            Key::new("method", Shape::Text, "with which method").or("\"GET\""),
            Key::new("headers", Shape::Table(&HEALTH_HEADERS), "headers to send"),
            Key::new(
                "expect",
                Shape::AnyOf(&[STATUS, Shape::List(&STATUS)]),
                "statuses that pass: 200, \"2xx\", \"200-399\", or a list",
            )
            .or("\"200-399\""),
            Key::new("body", Shape::Text, "what the first 4 KiB of the answer must contain"),
            Key::new("port", Shape::Integer(1, 65_535), "another port than that of requests"),
            Key::new("interval", Shape::Duration, "between two checks").or("\"2s\""),
            Key::new("interval_down", Shape::Duration, "while it is down; `interval` unless set"),
            Key::new("timeout", Shape::Duration, "a check that takes longer has failed")
                .or("\"1s\""),
            Key::new("rise", Shape::Integer(1, 1000), "passed checks in a row that bring it up")
                .or("2"),
            Key::new("fall", Shape::Integer(1, 1000), "failed checks in a row that take it down")
                .or("3"),
        ],
    )
};

pub(in crate::config) static HEALTH_HEADERS: Section =
    Section { any_key: Some(Shape::Text), ..Section::new("headers", "Headers by name.", &[]) };
