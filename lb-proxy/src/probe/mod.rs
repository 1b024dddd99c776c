//! Active checks: asks backends how they are and tells their clusters, which
//! decide.
//!
//! Checks run beside the workers, on the runtime that runs [`Prober::run`]: a slow
//! check delays no request. A verdict takes several results in a row, and those are
//! counted in `lb-core`; here one result is made from one connection.
//!
//! Three rules keep checks from doing harm. *Spread*: the checks of a cluster are
//! not sent at the same moment; each backend has its own phase, from its address, so
//! that two balancers and a restart keep it. *Bounded*: at most so many a second,
//! whatever the number of backends. *Fair*: an address that several clusters have is
//! asked once for all of them, and what failed while this process itself stood still
//! says nothing about anybody. A check that a person asks for is made beside all that.

mod asked;
mod check;
mod found;
mod names;
mod prober;
mod schedule;
mod settings;
mod targets;

pub use asked::NotChecked;
pub use found::CheckResult;
pub use prober::{Prober, Watched};
pub use settings::{CheckKind, HealthCheck, HttpCheck};
