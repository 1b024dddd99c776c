//! Strategies with options.

use super::{Key, SECRET, Section, Shape};

pub(super) static STRATEGY: Section = Section {
    later: &["draws", "memory", "decay", "compat", "type", "function", "tickets"],
    ..Section::new(
        "strategy",
        "How a backend is chosen, with options.",
        &[
            Key::new("name", Shape::Text, "its name").required(),
            Key::new("key", Shape::Words(&["client-ip"]), "what `ip-hash` and `maglev` pick by")
                .or("\"client-ip\""),
            Key::new(
                "bounded_load",
                Shape::AnyOf(&[Shape::Number(1.0, 100.0), Shape::Words(&["off"])]),
                "no backend has more than this times its share in flight; 1.25 with `maglev`",
            ),
            Key::new(
                "secret",
                Shape::AnyOf(&[Shape::Text, Shape::Table(&SECRET)]),
                "with `maglev`: makes picks unforeseeable",
            )
            .secret(),
        ],
    )
};
