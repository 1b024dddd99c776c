//! Routes and their conditions.

use super::{Key, Section, Shape, TEXT_OR_TEXTS};

pub(super) static ROUTE: Section = Section {
    also: Some(&CONDITION),
    exclusive: &[("exact", &["path", "regex"]), ("regex", &["path", "exact"])],
    later: &["rewrite", "redirect", "timeout"],
    ..Section::new(
        "route",
        "Which requests go to a cluster. Everything given must hold.",
        &[
            Key::new("name", Shape::Text, "what logs call it"),
            Key::new("host", Shape::Text, "the host, or `*.example.org`; any unless set"),
            Key::new("path", Shape::Text, "a prefix of the path").or("\"/\""),
            Key::new("exact", Shape::Text, "the whole path"),
            Key::new("regex", Shape::Text, "an expression for the whole path"),
            Key::new(
                "slash",
                Shape::Words(&["either"]),
                "with `exact`: with and without a slash at the end",
            ),
            Key::new("strip", Shape::Boolean, "take the prefix off before forwarding").or("false"),
            Key::new("to", Shape::Text, "the name of a cluster").required(),
        ],
    )
};

pub(super) static CONDITION: Section = Section::new(
    "condition",
    "What must hold beside host and path. Everything given must hold.",
    &[
        Key::new("method", TEXT_OR_TEXTS, "one of these methods"),
        Key::new("header", Shape::Table(&FIELDS), "headers of the request"),
        Key::new("query", Shape::Table(&FIELDS), "parameters of the query"),
        Key::new("client", TEXT_OR_TEXTS, "networks the client is in"),
        Key::new("any", Shape::List(&Shape::Table(&CONDITION)), "one of these must hold"),
        Key::new("all", Shape::List(&Shape::Table(&CONDITION)), "all of these must hold"),
        Key::new("not", Shape::Table(&CONDITION), "this must not hold"),
    ],
);

pub(super) static FIELDS: Section = Section {
    any_key: Some(Shape::AnyOf(&[Shape::Text, Shape::Boolean, Shape::Table(&VALUE)])),
    ..Section::new("fields", "By name: a value, `true` for any value, `false` for none.", &[])
};

pub(super) static VALUE: Section = Section::new(
    "value",
    "A value by expression.",
    &[Key::new("regex", Shape::Text, "an expression for the whole value").required()],
);
