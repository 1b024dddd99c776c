//! The same loop on several threads at once.

use std::{hint::black_box, sync::Barrier, thread, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// Makes one worker per thread, lets them begin together, has each do its work
/// `iterations` times, and returns how long that kept a processor busy on average: what
/// else runs on the machine takes its time elsewhere. Nothing here waits but for memory.
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
                    let begin = busy();
                    black_box(work(iterations));
                    busy() - begin
                })
            })
            .collect();
        timed.into_iter().map(|thread| thread.join().expect("a worker panicked")).sum()
    });
    total.div_f64(threads as f64)
}

/// How long this thread has been running.
fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("it is not negative")
}
