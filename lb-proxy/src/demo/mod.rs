//! A backend to try things against: small, fast, and able to misbehave on request.
//!
//! `lb demo` shows the balancer with four of them, tests and load tests run
//! against them, and `examples/` has a program around one. Each has a thread of
//! its own and stops when it is dropped, in the middle of whatever it was doing:
//! that is how a crashing backend looks from outside.
//!
//! | request | answer |
//! |---|---|
//! | `/`, and every other path | JSON: who answered the how-manieth request |
//! | `/headers` | JSON: the request as it arrived |
//! | `/bytes/N` | N bytes of [`pattern_byte`] with `Content-Length` |
//! | `/chunked/N` | the same in chunks |
//! | `/truncate/N` | promises N bytes and closes after half of them |
//! | `POST`, `PUT` `/echo` | the body, as it comes |
//! | `/status/CODE` | this status |
//! | `/delay/250ms` | JSON, but later |
//! | `/load` | JSON: how loaded it is; at once, and not counted as a request |
//!
//! It trusts its clients: no timeouts, no limits. Not for production.

mod answer;
mod backend;
mod connection;
mod load;
mod options;
mod pattern;
mod reply;

pub use backend::DemoBackend;
pub use options::DemoOptions;
pub use pattern::pattern_byte;

#[cfg(test)]
mod tests;
