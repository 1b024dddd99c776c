//! Load balancing as a library: which backend gets the next request, and what
//! that decision needs to know. No sockets, no runtime, no clock.
//!
//! # The model in one page
//!
//! A [`Cluster`] is a named set of backends. It has two halves:
//!
//! * a slow, mutable **write side** that takes in what sources report
//!   ([`Membership`]), what probes saw ([`Health`]) and what people decided
//!   ([`AdminState`], weights), and *computes*;
//! * a fast, immutable **read side** that *answers*: a [`Snapshot`] of the set as
//!   pickable now, with the [`Picker`](strategy::Picker) that a
//!   [`Strategy`](strategy::Strategy) built for exactly that snapshot; one for each
//!   group, where tiers or zones share the requests.
//!
//! One atomic pointer lies between them. Each worker thread keeps a
//! [`ClusterHandle`], which caches the snapshot, so that a pick takes no lock,
//! allocates nothing and reads no clock. A pick that is really used is a
//! [`Lease`]: it counts the request in, and whatever happens to the request
//! (answer, error, panic, dropped future) it counts it out again.
//!
//! ```
//! use lb_core::{Backend, Cluster, Membership, Outcome, PickCx, Tick, sample::mix};
//!
//! let backends = ["10.0.0.1:3000", "10.0.0.2:3000"].map(Backend::new);
//! let cluster = Cluster::builder("api").membership(Membership::new(backends)?).build();
//! let mut handle = cluster.handle(); // one per thread
//! let lease = handle.acquire(&PickCx::new(Tick::ZERO, mix(7)))?;
//! println!("send the request to {}", lease.backend().address());
//! lease.complete(Outcome::Status(200), Tick::from_nanos(1_000));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it is not
//!
//! It opens no connection, resolves no name, sends no probe and never reads the
//! time: time ([`Tick`]) and randomness (a `u64` of entropy) are arguments. That
//! one rule buys deterministic tests, exact replay of a decision, and embedding
//! in any runtime or none.
//!
//! # Modules
//!
//! * [`backend`]: what is known of one backend
//! * [`membership`]: the ordered set a source reports, and the difference of two
//! * [`cluster`]: the write side, snapshots, handles and leases
//! * [`health`]: why a backend is thought to be up, ejected or down
//! * [`strategy`]: the two traits, and the strategies that come with the crate
//! * [`sticky`]: cookie values that bind a client to a backend, without a table
//! * [`retry`]: how many retries there may be
//! * [`time`], [`sample`], [`hash`]: ticks; entropy to an unbiased index; secrets

#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::cast_possible_truncation)]

/// Has the README's example compiled and run with the other doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

pub mod backend;
pub mod cluster;
pub mod hash;
pub mod health;
pub mod membership;
pub mod retry;
pub mod sample;
pub mod sticky;
pub mod strategy;
mod sync;
pub mod time;

pub use backend::{AdminState, Backend, Health, LoadReport, Weight};
pub use cluster::{Cause, Change, Cluster, ClusterHandle, Lease, Outcome, PickError, Snapshot};
pub use membership::Membership;
pub use strategy::{Binding, PickCx, Tried};
pub use time::{Tick, UnixTime};
