//! The API: where people see the farm and change it.
//!
//! It decides nothing and changes nothing: it reads the overview, passes wishes on to the
//! desk of `control`, and says in HTTP what came of it. Served beside the requests that
//! are balanced, never among them: on sockets of its own, by the control runtime, in no
//! count and no log of the data path.
//!
//! The way in, outermost first: [`server`] bounds connections and their time, [`finish`]
//! carries changes to their end, [`audit`] writes down what comes of it, [`origin`] refuses what a web page sends, [`access`]
//! whoever is not known, [`body`] what is too large, [`repeated`] answers again what was
//! done before; then [`router`] leads to one handler per resource. What they answer with is
//! in [`dto`]: its names are promised, those of the crates below are not.

mod access;
mod api;
mod audit;
mod bind;
mod body;
mod caller;
mod cookie;
pub(crate) mod dto;
mod failures;
mod finish;
mod handlers;
mod origin;
mod patient;
mod problem;
mod repeated;
mod router;
mod rules;
mod running;
mod server;
mod sessions;
mod socket;
mod sse;
mod streams;
#[cfg(test)]
mod tests;
mod users;

pub(crate) use self::{bind::bind, problem::Problem, running::RunningConfig, server::Process};
