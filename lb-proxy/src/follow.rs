//! From a source of backends to the cluster they belong to.

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use lb_core::{Cause, Change, Cluster, Membership, cluster::CauseKind};
use lb_discovery::Source;

/// How long a source that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// The set that a source knows without waiting, so that the first request finds
/// somebody; nobody, if it has to ask first.
pub(crate) fn at_once(source: &mut dyn Source) -> Membership {
    let mut cx = Context::from_waker(Waker::noop());
    match source.next().as_mut().poll(&mut cx) {
        Poll::Ready(Ok(report)) => report.set,
        Poll::Ready(Err(_)) | Poll::Pending => Membership::default(),
    }
}

/// Passes on every set a source reports. An error changes nothing: the last set
/// goes on to hold.
pub(crate) async fn follow(mut source: Box<dyn Source>, cluster: Cluster) {
    loop {
        match source.next().await {
            Ok(report) => {
                let cause = Cause::new(CauseKind::Source, source.name());
                // A membership names no backend that could be missing.
                let applied = cluster.apply(Change::Membership(report.set), cause);
                debug_assert!(applied.is_ok(), "{applied:?}");
            }
            Err(error) => {
                let (cluster, source) = (cluster.name(), source.name());
                tracing::warn!(cluster, source, %error, "source failed; its last set holds");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lb_core::{Backend, Tick};
    use lb_discovery::{Fixed, NextSet, SourceError};

    use super::*;

    /// Fails, then reports one backend, then falls silent.
    #[derive(Debug)]
    struct Shaky(u32);

    impl Source for Shaky {
        fn name(&self) -> &str {
            "shaky"
        }

        fn next(&mut self) -> NextSet<'_> {
            self.0 += 1;
            let step = self.0;
            Box::pin(async move {
                match step {
                    1 => Err(SourceError::new("unplugged")),
                    2 => Ok(Membership::new([Backend::new("a")]).unwrap().into()),
                    _ => std::future::pending().await,
                }
            })
        }
    }

    #[test]
    fn a_fixed_set_is_there_at_once_and_a_failing_source_has_nobody() {
        let set = Membership::new([Backend::new("a")]).unwrap();
        assert_eq!(at_once(&mut Fixed::new("test", set.clone())), set);
        assert_eq!(at_once(&mut Shaky(0)), Membership::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_is_applied_and_an_error_is_survived() {
        let cluster = Cluster::builder("test").build();
        let following = follow(Box::new(Shaky(0)), cluster.clone());
        let limit = tokio::time::timeout(Duration::from_secs(10), following);
        assert!(limit.await.is_err(), "a follower never ends by itself");
        cluster.drive(&|| Tick::from_millis(1_000));
        assert!(cluster.snapshot().find("a").is_some());
        assert_eq!(cluster.generations()[1].causes[0].text(), "shaky");
    }
}
