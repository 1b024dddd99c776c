//! How loaded a demo backend is.
//!
//! It waits more than it works, so its utilisation is the share of time in which it had
//! any request: an average that halves its memory in about a second.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use serde_json::json;

/// In this time an average forgets all but 1/e of what it was.
const MEMORY: Duration = Duration::from_millis(1_500);

/// What is known of the load. Of one thread.
#[derive(Debug)]
pub(super) struct Load {
    in_flight: Cell<u32>,
    /// Moving average of how long requests take, in seconds; 0 before the first.
    latency: Cell<f64>,
    busy: RefCell<Busy>,
}

/// The share of time with requests, up to a moment.
#[derive(Debug)]
struct Busy {
    share: f64,
    until: Instant,
}

/// A request that is worked on, until it is dropped.
pub(super) struct Work<'a> {
    load: &'a Load,
    began: Instant,
}

impl Load {
    pub(super) fn new() -> Self {
        let busy = Busy { share: 0.0, until: Instant::now() };
        Self { in_flight: Cell::new(0), latency: Cell::new(0.0), busy: RefCell::new(busy) }
    }

    pub(super) fn begin(&self) -> Work<'_> {
        let began = Instant::now();
        self.utilization(began);
        self.in_flight.set(self.in_flight.get() + 1);
        Work { load: self, began }
    }

    /// `TEXT` of ORCA.
    pub(super) fn to_report(&self) -> String {
        format!(
            "TEXT application_utilization={:.3}, named_metrics.rif={}, named_metrics.latency={:.6}",
            self.utilization(Instant::now()),
            self.in_flight.get(),
            self.latency.get()
        )
    }

    pub(super) fn to_json(&self) -> String {
        let (in_flight, latency) = (self.in_flight.get(), self.latency.get());
        let utilization = self.utilization(Instant::now());
        json!({ "in_flight": in_flight, "latency": latency, "utilization": utilization })
            .to_string()
    }

    /// Brings the average up to `now`.
    fn utilization(&self, now: Instant) -> f64 {
        let mut busy = self.busy.borrow_mut();
        let elapsed = now.saturating_duration_since(busy.until).as_secs_f64();
        let kept = (-elapsed / MEMORY.as_secs_f64()).exp();
        let present = if self.in_flight.get() > 0 { 1.0 } else { 0.0 };
        busy.share = busy.share * kept + present * (1.0 - kept);
        busy.until = now;
        busy.share
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        self.load.utilization(now);
        self.load.in_flight.set(self.load.in_flight.get() - 1);
        let took = now.saturating_duration_since(self.began).as_secs_f64();
        let before = self.load.latency.get();
        let next = if before == 0.0 { took } else { before + (took - before) / 8.0 };
        self.load.latency.set(next);
    }
}
