//! Logs.

use super::{Key, Section, Shape};

pub(super) static LOG: Section = Section::new(
    "log",
    "Logs.",
    &[
        Key::new(
            "access",
            Shape::AnyOf(&[Shape::Words(&["off"]), Shape::Table(&ACCESS)]),
            "a line per request",
        )
        .or("\"off\""),
        Key::new("level", Shape::Text, "what is told on stderr; `LB_LOG` wins").or("\"info\""),
    ],
);

pub(super) static ACCESS: Section = Section::new(
    "access_log",
    "A line per request.",
    &[
        Key::new("to", Shape::Text, "`stdout`, `stderr` or the path of a file").or("\"stdout\""),
        Key::new("format", Shape::Text, "what a line looks like").or("\"combined\""),
        Key::new("sample", Shape::Share, "share of the requests; failed ones always are logged")
            .or("\"100%\""),
        Key::new("query", Shape::Boolean, "log query strings").or("false"),
    ],
);
