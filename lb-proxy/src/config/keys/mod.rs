//! Every key of the file, described once.
//!
//! The reader takes a key from a table only if it stands here, and a debug build
//! insists that everything that stands here is taken: so what is read, what is
//! suggested for a misspelt key, the JSON Schema and `lb config show` cannot drift
//! apart. Deriving all of it from structs was the alternative; it would have read
//! the file with serde, which stops at the first value of a wrong type.

mod admin;
mod cluster;
mod health;
mod listener;
mod log;
mod outlier;
mod route;
mod sticky;
mod strategy;
mod top;

use self::{
    admin::ADMIN,
    cluster::{CLUSTER, DEFAULTS},
    health::HEALTH,
    listener::{LIMITS, LISTENER, LISTENER_TIMEOUT},
    log::LOG,
    outlier::OUTLIER,
    route::ROUTE,
    sticky::{KEY, SECRET, STICKY},
};
pub(in crate::config) use self::{health::HEALTH_HEADERS, strategy::STRATEGY, top::TOP};

/// A table of the file.
#[derive(Debug)]
pub(in crate::config) struct Section {
    /// Its name in the schema.
    pub(in crate::config) name: &'static str,
    /// A sentence.
    pub(in crate::config) about: &'static str,
    pub(in crate::config) keys: &'static [Key],
    /// Keys it shares with another section.
    pub(in crate::config) also: Option<&'static Self>,
    /// What every other key means, where any is taken: a name somebody chose.
    pub(in crate::config) any_key: Option<Shape>,
    /// Keys that belong into another table; the second ends a sentence that begins
    /// with the key.
    pub(in crate::config) elsewhere: &'static [(&'static [&'static str], &'static str)],
    /// Keys that exclude others, which are not inherited then.
    pub(in crate::config) exclusive: &'static [(&'static str, &'static [&'static str])],
    /// Whether that of a cluster is read over that of `[defaults]`, key by key, although
    /// it can be switched off.
    pub(in crate::config) is_layered: bool,
    /// The key that somebody means who writes its value in place of the table.
    pub(in crate::config) stands_for: Option<&'static str>,
    /// Keys that are planned.
    pub(in crate::config) later: &'static [&'static str],
}

impl Section {
    const fn new(name: &'static str, about: &'static str, keys: &'static [Key]) -> Self {
        Self {
            name,
            about,
            keys,
            also: None,
            any_key: None,
            elsewhere: &[],
            exclusive: &[],
            is_layered: false,
            stands_for: None,
            later: &[],
        }
    }

    /// Its keys in the order in which they are shown.
    pub(in crate::config) fn keys(&self) -> impl Iterator<Item = &'static Key> + Clone {
        let also = self.also.map_or(&[][..], |also| also.keys);
        self.keys.iter().chain(also)
    }

    /// The key of this name.
    pub(in crate::config) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

/// One key.
#[derive(Debug)]
pub(in crate::config) struct Key {
    pub(in crate::config) name: &'static str,
    pub(in crate::config) shape: Shape,
    /// In TOML. `None`: absence means something else, or it is required.
    pub(in crate::config) default: Option<&'static str>,
    pub(in crate::config) is_required: bool,
    pub(in crate::config) is_secret: bool,
    /// What it means: a phrase.
    pub(in crate::config) about: &'static str,
}

impl Key {
    const fn new(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, shape, default: None, is_required: false, is_secret: false, about }
    }

    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) enum Shape {
    /// Any string.
    Text,
    /// One of these strings.
    Words(&'static [&'static str]),
    /// `"1m30s"`
    Duration,
    /// `"64KiB"`
    Size,
    /// `"20%"`
    Share,
    Boolean,
    Integer(u64, u64),
    Number(f64, f64),
    Table(&'static Section),
    List(&'static Self),
    AnyOf(&'static [Self]),
}

const OFF: Shape = Shape::Words(&["off"]);
const DURATION_OR_OFF: Shape = Shape::AnyOf(&[OFF, Shape::Duration]);
const TEXTS: Shape = Shape::List(&Shape::Text);
const TEXT_OR_TEXTS: Shape = Shape::AnyOf(&[Shape::Text, TEXTS]);

impl Shape {
    /// Of alternatives the one of which this is so.
    fn alternative<T>(self, find: impl Fn(Self) -> Option<T> + Copy) -> Option<T> {
        match self {
            Self::AnyOf(shapes) => shapes.iter().find_map(|shape| shape.alternative(find)),
            shape => find(shape),
        }
    }

    /// What it is where it is a table.
    pub(in crate::config) fn table(self) -> Option<&'static Section> {
        self.alternative(|shape| match shape {
            Self::Table(section) => Some(section),
            _ => None,
        })
    }

    /// What its items are where it is a list.
    pub(in crate::config) fn of_items(self) -> Option<Self> {
        self.alternative(|shape| match shape {
            Self::List(items) => Some(*items),
            _ => None,
        })
    }

    /// The words it may be.
    pub(in crate::config) fn words(self) -> Option<&'static [&'static str]> {
        self.alternative(|shape| match shape {
            Self::Words(words) => Some(words),
            _ => None,
        })
    }

    /// The limits of a whole number.
    pub(in crate::config) fn integers(self) -> Option<(u64, u64)> {
        self.alternative(|shape| match shape {
            Self::Integer(from, to) => Some((from, to)),
            _ => None,
        })
    }

    /// The limits of a number.
    pub(in crate::config) fn numbers(self) -> Option<(f64, f64)> {
        self.alternative(|shape| match shape {
            Self::Number(from, to) => Some((from, to)),
            _ => None,
        })
    }
}
