//! From what was seen of a backend to a verdict, with the reason in words.
//!
//! Each incarnation has one machine: active checks and real requests are its
//! inputs, time is an argument, and every change of mind is a [`Transition`] that
//! carries the numbers it rests on. Who sends checks, and when the verdict reaches
//! the picks, is decided elsewhere.
//!
//! Two kinds of evidence are kept apart, because they are worth different things.
//! A check says how the backend is *now*, and says it again in a moment: it can
//! take a backend [down](Health::Down) for as long as it fails. Failed requests
//! say how it *was*; once they have it [ejected](Health::Ejected), no more of them
//! arrive. So an ejection ends by itself, and one request at a time
//! ([half-open](Health::HalfOpen)) finds out what has become of it. An ejection
//! whose trial fails is followed by one twice as long, up to eight times the
//! configured one.
//!
//! That a backend does worse than others ([`Outlier`]) is evidence of the second kind.

mod counts;
mod machine;
mod outlier;
mod reason;
mod transition;
mod window;

pub use counts::TransitionCounts;
pub(crate) use machine::{Alarms, Input, Machine, Request, Rules};
pub use outlier::Outlier;
pub(crate) use outlier::{Counted, Sample};
pub use reason::{Failure, Reason};
pub use transition::{Condition, Transition};

#[cfg(doc)]
use crate::backend::Health;
