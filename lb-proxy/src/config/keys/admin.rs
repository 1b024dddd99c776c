//! Where people see the farm and change it.

use super::{Key, OFF, Section, Shape, TEXTS, sticky::SECRET};

const TOKEN: Shape = Shape::AnyOf(&[Shape::Text, Shape::Table(&SECRET)]);

pub(super) static ADMIN: Section = Section::new(
    "admin",
    "Where people see the farm and change it.",
    &[
        Key::new(
            "listen",
            Shape::AnyOf(&[OFF, Shape::Text]),
            "where the API is served; beyond this machine only with a `token`",
        )
        .or("\"127.0.0.1:9900\""),
        Key::new(
            "socket",
            Shape::AnyOf(&[OFF, Shape::Text]),
            "a Unix socket; `$XDG_RUNTIME_DIR/lb.sock` or `/run/lb/lb.sock` unless set",
        ),
        Key::new("token", TOKEN, "who has it may see and change").secret(),
        Key::new("read_token", TOKEN, "who has it may see").secret(),
        Key::new("hosts", TEXTS, "names under which clients may ask for it").or("[]"),
    ],
);
