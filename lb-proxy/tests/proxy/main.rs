//! The proxy over real sockets: raw clients on one side, raw backends on the
//! other, so that every byte of both can be looked at.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod access_log;
mod bodies;
mod failure;
mod feedback;
mod forwarded;
mod forwarding;
mod health;
mod keep_alive;
mod keys;
mod limits;
mod outliers;
mod raw_bytes;
mod reload;
mod reported;
mod retries;
mod rewriting;
mod routes;
mod shutdown;
mod sticky;
mod support;
mod tiers;
mod timeouts;
