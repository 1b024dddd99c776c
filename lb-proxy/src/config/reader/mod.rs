//! Reading a TOML document by hand, so that every mistake is reported at once.
//!
//! serde stops at the first value of a wrong type. Here a [`Table`] hands out
//! [`Value`]s by key and remembers which keys it was asked for; a value converts
//! itself, and reports and answers `None` when it cannot. What nobody asked for
//! is an unknown key. Sections (`listener.rs`, `cluster.rs`, …) are written in
//! these terms only and know nothing of TOML.

mod quantity;
mod settings;
mod size;
mod suggest;
mod table;
mod text;
mod value;

pub use settings::Setting;
pub(super) use settings::settings_of;
pub(super) use size::shown_size;
pub(super) use suggest::code_list;
pub use suggest::did_you_mean;
use suggest::which_key;
pub(super) use table::Table;
pub(super) use text::Text;
pub(super) use value::Value;
