//! The same loop on several threads at once.

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// Makes one worker per thread, lets them begin together, has each do its work
/// `iterations` times, and returns how long that took on average.
///
/// # Panics
///
/// When a worker does.
pub fn on_threads<W: FnMut(u64) -> u64 + Send>(
    threads: usize,
    iterations: u64,
    worker: impl Fn(usize) -> W,
) -> Duration {
    let barrier = Barrier::new(threads);
    let total: Duration = thread::scope(|scope| {
        let timed: Vec<_> = (0..threads)
            .map(|number| {
                let (mut work, barrier) = (worker(number), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let begin = Instant::now();
                    black_box(work(iterations));
                    begin.elapsed()
                })
            })
            .collect();
        timed.into_iter().map(|thread| thread.join().expect("a worker panicked")).sum()
    });
    total.div_f64(threads as f64)
}
