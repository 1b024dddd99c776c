//! Cookies that bind clients to backends.

use super::{DURATION_OR_OFF, Key, Section, Shape};

pub(super) const KEY: Shape = Shape::AnyOf(&[Shape::Text, Shape::Table(&SECRET)]);

pub(super) static STICKY: Section = Section {
    stands_for: Some("cookie"),
    later: &["header", "mode"],
    ..Section::new(
        "sticky",
        "A cookie that binds clients to backends.",
        &[
            Key::new("cookie", Shape::Text, "its name").required(),
            Key::new("value", Shape::Words(&["derived", "sealed", "name"]), "what it says")
                .or("\"derived\""),
            Key::new("key", KEY, "a key for its values: 16 bytes in base64").secret(),
            Key::new("keys", Shape::List(&KEY), "several: the first is used, all are accepted")
                .secret(),
            Key::new("ttl", DURATION_OR_OFF, "how long it is kept; for the session unless set"),
            Key::new("path", Shape::Text, "`Path`").or("\"/\""),
            Key::new("domain", Shape::Text, "`Domain`"),
            Key::new("secure", Shape::Boolean, "`Secure`").or("false"),
            Key::new("http_only", Shape::Boolean, "`HttpOnly`").or("true"),
            Key::new("same_site", Shape::Words(&["strict", "lax", "none", "off"]), "`SameSite`")
                .or("\"lax\""),
            Key::new("partitioned", Shape::Boolean, "`Partitioned`").or("false"),
        ],
    )
};

pub(super) static SECRET: Section = Section::new(
    "secret",
    "Where a secret is.",
    &[
        Key::new("file", Shape::Text, "a file that holds it, relative to the one that says so"),
        Key::new("env", Shape::Text, "a variable that holds it"),
    ],
);
