//! The memory as a whole: on disk, with real processes, and against a naive model.

mod figures;
mod files;
mod killed;
mod remembered;
mod undone;

use std::path::Path;

use serde_json::{Value, json};

use super::{Field, NewChange, Setting, Store, Subject, UnixMillis};

const NOW: UnixMillis = UnixMillis::new(1_763_655_926_000);

fn open(path: &Path) -> Store {
    Store::open(path, NOW).unwrap()
}

fn memory() -> Store {
    Store::in_memory(NOW).unwrap()
}

/// Somebody gives `web/w1` another weight, which the file says is 1.
fn weight(before: Setting, after: u32) -> NewChange {
    NewChange {
        at: NOW,
        author: "ann".to_owned(),
        door: "socket".to_owned(),
        why: Some("a test".to_owned()),
        subject: Subject::of_backend("web", "w1"),
        field: Field::Weight,
        before,
        after: Setting::Override(json!(after)),
        basis: json!(1),
        undoes: None,
    }
}

fn configured(value: impl Into<Value>) -> Setting {
    Setting::Configured(value.into())
}

fn overridden(value: impl Into<Value>) -> Setting {
    Setting::Override(value.into())
}
