//! Work that must go on: following sources, checking backends.
//!
//! A panic there is a bug that nobody thought of, and the worst answer to it is a
//! balancer that looks well and hears of no change any more. So it is told, and the
//! work begins again; with a pause, because the bug may still be there.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    time::Duration,
};

/// Between a panic and the next try.
const PAUSE: Duration = Duration::from_secs(1);

/// Does a piece of work to its end or its panic. Whatever it borrows is used again
/// after a panic: it must be as good as after being dropped half-way.
pub(super) async fn survive(what: &str, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    let panicked = poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(poll) => poll.map(|()| false),
            // The panic hook has said what and where.
            Err(_) => Poll::Ready(true),
        }
    });
    if panicked.await {
        tracing::error!("{what}: panicked, which is a bug; begins again in {PAUSE:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_panics_is_paused_and_can_be_done_again() {
        let start = Instant::now();
        let mut done = 0;
        survive("counting", async {
            tokio::task::yield_now().await;
            done += 1;
            assert_eq!(done, 0, "on purpose");
        })
        .await;
        assert_eq!(start.elapsed(), PAUSE);
        survive("counting", async { done += 1 }).await;
        assert_eq!((done, start.elapsed()), (2, PAUSE));
    }
}
