//! `cargo run -p lb-examples --bin pick`: choose a backend, in five lines.
//!
//! `lb-core` opens no connection and reads no clock, so this is all there is to
//! using it beside an HTTP client, a database driver or a job queue of your own.

use anyhow::Context as _;
use lb_core::{
    Backend, Cluster, Membership, Outcome, PickCx, Tick, Weight, sample::mix, strategy::RoundRobin,
};

fn main() -> anyhow::Result<()> {
    // Once: the set of backends, and how to choose among them.
    let heavy = Backend::new("10.0.0.1:3000")
        .named("heavy")
        .weighted(Weight::new(3).context("a weight is 1 to 65535")?);
    let light = Backend::new("10.0.0.2:3000").named("light");
    let members = Membership::new([heavy, light])?;
    let cluster =
        Cluster::builder("api").strategy(RoundRobin::default()).membership(members).build();
    // Once per thread: it caches the set, so that a pick takes no lock.
    let mut handle = cluster.handle();

    for number in 0..8 {
        // The time and a random number are arguments. With an async client you would
        // take them from its clock and generator.
        let now = Tick::from_millis(number);
        let lease = handle.acquire(&PickCx::new(now, mix(number)))?;
        println!("request {number} goes to {} at {}", lease.backend(), lease.backend().address());
        // Holding the lease is what counts the request as in flight.
        lease.complete(Outcome::Status(200), now);
    }
    Ok(())
}
