//! `cargo run -p lb-examples --bin custom-strategy`: a strategy of your own.
//!
//! A strategy is a recipe: once per set of backends it builds a picker, taking
//! the time it needs, and the picker then answers every request. This one sends
//! most requests to the backends near us and goes further only when those have
//! too much to do. Which names are near is its own knowledge; what is in flight
//! where, it reads through the view.

use anyhow::ensure;
use lb_core::{
    Backend, Cluster, Membership, PickCx, Tick,
    cluster::{Slot, View},
    sample::mix,
    strategy::{BuildCx, Choice, Picker, Reason, Strategy},
};

/// Prefers backends whose name begins with `zone`, up to `crowded` requests each.
#[derive(Debug)]
struct Nearest {
    zone: &'static str,
    crowded: u32,
}

/// What is built for one set of backends: who is near, who is not.
#[derive(Debug)]
struct NearestPicker {
    near: Box<[Slot]>,
    far: Box<[Slot]>,
    crowded: u32,
}

impl Strategy for Nearest {
    fn name(&self) -> &'static str {
        "nearest"
    }

    fn build(&mut self, view: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        let (near, far): (Vec<Slot>, Vec<Slot>) = view
            .new_set()
            .as_slice()
            .iter()
            .partition(|slot| view.backend(**slot).name().starts_with(self.zone));
        Box::new(NearestPicker { near: near.into(), far: far.into(), crowded: self.crowded })
    }
}

impl Picker for NearestPicker {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let near = least_busy(&self.near, view, cx);
        if let Some(slot) = near.filter(|slot| view.in_flight(*slot) < self.crowded) {
            return Some(Choice::new(slot, Reason::Custom(&"near")));
        }
        let slot = least_busy(&self.far, view, cx).or(near)?;
        Some(Choice::new(slot, Reason::Custom(&"near ones are crowded")))
    }
}

fn least_busy(slots: &[Slot], view: View<'_>, cx: &PickCx<'_>) -> Option<Slot> {
    let candidates = slots.iter().copied().filter(|slot| view.is_candidate(*slot, cx));
    candidates.min_by_key(|slot| view.in_flight(*slot))
}

fn main() -> anyhow::Result<()> {
    let backends = [
        Backend::new("10.1.0.1:80").named("basel-1"),
        Backend::new("10.2.0.1:80").named("geneva-1"),
        Backend::new("10.1.0.2:80").named("basel-2"),
    ];
    let cluster = Cluster::builder("shop")
        .strategy(Nearest { zone: "basel", crowded: 2 })
        .membership(Membership::new(backends)?)
        .build();
    let mut handle = cluster.handle();

    // Nobody finishes: from the fifth request on the near ones are crowded.
    let mut in_flight = Vec::new();
    for number in 1..=6 {
        let lease = handle.acquire(&PickCx::new(Tick::ZERO, mix(number)))?;
        println!("request {number}: {:8}  ({})", lease.backend().name(), lease.reason());
        let near = lease.backend().name().starts_with("basel");
        ensure!(near == (number <= 4), "request {number} went to {}", lease.backend());
        in_flight.push(lease);
    }
    Ok(())
}
