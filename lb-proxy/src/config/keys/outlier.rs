//! Backends that do worse than the others.

use super::{Key, OFF, Section, Shape};

pub(super) static OUTLIER: Section = Section {
    is_layered: true,
    ..Section::new(
        "outlier",
        "When a backend is ejected that does worse than the others.",
        &[
            Key::new(
                "consecutive_5xx",
                Shape::AnyOf(&[OFF, Shape::Integer(1, 1_000_000)]),
                "after so many errors in a row, at once",
            )
            .or("5"),
            Key::new(
                "success_rate",
                Shape::AnyOf(&[OFF, Shape::Number(0.1, 100.0)]),
                "so many standard deviations below the mean of all",
            )
            .or("1.9"),
            Key::new(
                "failure_percentage",
                Shape::AnyOf(&[OFF, Shape::Share]),
                "from so large a share of errors on",
            ),
            Key::new(
                "latency",
                Shape::AnyOf(&[OFF, Shape::Number(1.1, 1_000.0)]),
                "so many times the median of all times to the first byte",
            ),
            Key::new("interval", Shape::Duration, "how often backends are compared").or("\"10s\""),
            Key::new(
                "request_volume",
                Shape::Integer(1, 1_000_000),
                "who had fewer requests in an interval is not compared",
            )
            .or("100"),
            Key::new(
                "min_backends",
                Shape::Integer(1, 1_000_000),
                "where fewer are left, nobody is compared",
            )
            .or("5"),
            Key::new("eject", Shape::Duration, "the first time; the second twice as long, …")
                .or("\"30s\""),
            Key::new("max_eject", Shape::Duration, "at most").or("\"5m\""),
            Key::new(
                "max_ejected",
                Shape::Share,
                "of a tier, for whatever requests failed; one may be in any case but `\"0%\"`",
            )
            .or("\"50%\""),
        ],
    )
};
