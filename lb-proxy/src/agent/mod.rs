//! What runs beside an app on its node: starts it, announces it when it is ready, and
//! says goodbye before it stops, or the moment it has died.
//!
//! The hard decision: who announces the app is its parent. A parent hears of a death from
//! the kernel, and of nothing else so soon; an announcer that stands beside the app learns
//! of it by asking, or never. What follows from what is decided in [`supervisor`], which
//! has no clock and starts nothing; the others do as it says. It never looks into what the
//! app answers to clients, and it configures no balancer.

mod attend;
mod child;
mod lines;
mod notify_socket;
mod question;
mod restarts;
mod signals;
mod supervisor;
mod voice;

pub(crate) use self::{
    attend::{Agent, attend},
    child::Ready,
    lines::Format,
    question::Question,
    restarts::{Limit, Restarts},
    supervisor::{Patience, Supervisor},
};
