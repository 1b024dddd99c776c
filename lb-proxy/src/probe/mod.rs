//! Active checks: asks backends how they are, and tells the cluster.

mod settings;

pub use settings::{CheckKind, HealthCheck, HttpCheck};
