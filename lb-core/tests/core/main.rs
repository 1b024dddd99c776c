//! What a cluster and its strategies do, seen from outside.
//!
//! One binary, because linking is the slowest part of testing.

#![expect(clippy::unwrap_used, reason = "a test that can't go on may panic")]

mod blocks;
mod changes;
mod distribution;
mod feedback;
mod feedback_loops;
mod golden;
mod groups;
mod health;
mod keys;
mod leases;
mod outliers;
mod peers_hash;
mod peers_keys;
mod prequal;
mod properties;
mod reported;
mod simulation;
mod slow_start;
mod sticky;
mod stress;
mod support;
mod tiers;
mod traffic;
