//! Drives one source: patience with its failures, doubt about its answers.
//!
//! A source only reads. What to do about what it says is the same for all of them
//! and stands here once: pause after an error, keep the last set for as long as it
//! takes, doubt a set that removes nearly everybody, bound how often the cluster is
//! rebuilt, and tell all that to whoever asks.
//!
//! Nothing is spawned. The source makes progress while somebody waits in
//! [`Supervisor::changed`], and ends with its supervisor.

mod backoff;
pub(crate) mod bucket;
mod gate;
mod status;

use std::{sync::Arc, time::Duration};

use lb_core::{Membership, Tick};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

pub use self::status::{Failure, Status};
use self::{backoff::Backoff, bucket::Bucket, gate::Gate};
use crate::source::{Report, Source, SourceError};

/// After an answer, the source is left alone for a moment, so that one that always
/// has another costs little.
const BREATH: Duration = Duration::from_millis(20);

/// How much a source is trusted to be steady.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// For how long a set must be true that removes more than half of the backends
    /// and at least two; `None`: not at all.
    pub confirm: Option<Duration>,
    /// Sets that may come into force in a row, at least one.
    pub burst: u32,
    /// After those, one set in this time; the latest wins.
    pub interval: Duration,
}

impl Default for Supervision {
    fn default() -> Self {
        let interval = Duration::from_millis(500);
        Self { confirm: Some(Duration::from_secs(1)), burst: 4, interval }
    }
}

impl Supervision {
    /// For lists that a person wrote, which are true at once.
    #[must_use]
    pub fn unconfirmed() -> Self {
        Self { confirm: None, ..Self::default() }
    }
}

/// A source, and what is known of it.
#[derive(Debug)]
pub struct Supervisor {
    source: Box<dyn Source>,
    gate: Gate,
    backoff: Backoff,
    /// Not asked before; `None`: at once.
    ask_at: Option<Instant>,
    start: Instant,
    status: watch::Sender<Arc<Status>>,
}

impl Supervisor {
    /// Drives this source. `seed` is entropy for the pauses after errors.
    #[must_use]
    pub fn new(source: Box<dyn Source>, supervision: &Supervision, seed: u64) -> Self {
        let status = Status {
            #[cfg(feature = "announce")]
            refusals: source.refusals(),
            ..Status::new(source.name())
        };
        let status = watch::Sender::new(Arc::new(status));
        let bucket = Bucket::new(supervision.interval, supervision.burst);
        Self {
            source,
            gate: Gate::new(supervision.confirm, bucket),
            backoff: Backoff::new(seed),
            ask_at: None,
            start: Instant::now(),
            status,
        }
    }

    /// Lets a set hold that was known before, until the source says another one.
    pub fn resume(&mut self, set: Membership) {
        self.source.resume(&set);
        self.gate.resume(set);
        self.publish(|_| {});
    }

    /// Waits until the source said something or failed, or a set came into force.
    /// It may also return without any of that.
    ///
    /// Cancel-safe. Needs a tokio runtime with time.
    pub async fn changed(&mut self) {
        let now = Instant::now();
        if self.pass(now) {
            return;
        }
        let (ask_at, opens_at) = (self.ask_at, self.gate.opens_at().map(|at| self.instant(at)));
        let answer = async {
            sleep_until_maybe(ask_at).await;
            self.source.next().await
        };
        tokio::select! {
            answer = answer => match answer {
                Ok(report) => self.answered(report),
                Err(error) => self.failed(&error),
            },
            () = sleep_until_or_never(opens_at) => {
                self.pass(Instant::now());
            }
        }
    }

    /// What is known of the source now.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status.borrow())
    }

    /// Where to read the status while the source is driven elsewhere.
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<Arc<Status>> {
        self.status.subscribe()
    }

    fn answered(&mut self, report: Report) {
        let now = Instant::now();
        self.backoff.succeeded();
        self.ask_at = Some(now + BREATH);
        self.gate.offer(report, self.tick(now));
        let at = Some(now.into_std());
        self.publish(|status| status.connected_since = status.connected_since.or(at));
        self.pass(now);
    }

    fn failed(&mut self, error: &SourceError) {
        let now = Instant::now();
        self.ask_at = Some(now + self.backoff.failed());
        self.gate.interrupt();
        let failure = Failure { at: now.into_std(), text: error.explained().into() };
        self.publish(|status| {
            status.connected_since = None;
            status.last_error = Some(failure);
        });
    }

    fn pass(&mut self, now: Instant) -> bool {
        let has_passed = self.gate.pass(self.tick(now));
        if has_passed {
            self.publish(|status| status.set_at = Some(now.into_std()));
        }
        has_passed
    }

    fn publish(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(|status| {
            let status = Arc::make_mut(status);
            change(status);
            let in_force = self.gate.in_force();
            status.set = in_force.map(|report| report.set.clone());
            status.warnings =
                in_force.map(|report| report.warnings.clone().into()).unwrap_or_default();
            status.held = self.gate.doubted().cloned();
        });
    }

    fn tick(&self, at: Instant) -> Tick {
        Tick::ZERO + at.saturating_duration_since(self.start)
    }

    fn instant(&self, at: Tick) -> Instant {
        self.start + at.since(Tick::ZERO)
    }
}

async fn sleep_until_maybe(at: Option<Instant>) {
    if let Some(at) = at {
        sleep_until(at).await;
    }
}

/// `None` is never.
pub(crate) async fn sleep_until_or_never(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use lb_core::Backend;

    use super::*;
    use crate::source::NextSet;

    type Step = (u64, Result<usize, &'static str>);

    /// Answers after a pause each, in milliseconds, and then falls silent.
    #[derive(Debug)]
    struct Script {
        steps: VecDeque<Step>,
        /// When the pause that goes on is over.
        until: Option<Instant>,
    }

    impl Script {
        fn supervised(steps: &[Step]) -> Supervisor {
            let script = Self { steps: steps.iter().copied().collect(), until: None };
            Supervisor::new(Box::new(script), &Supervision::default(), 7)
        }
    }

    impl Source for Script {
        fn name(&self) -> &str {
            "script"
        }

        fn next(&mut self) -> NextSet<'_> {
            Box::pin(async {
                let Some((pause, answer)) = self.steps.front().copied() else {
                    return std::future::pending().await;
                };
                let over = Instant::now() + Duration::from_millis(pause);
                sleep_until(*self.until.get_or_insert(over)).await;
                self.until = None;
                self.steps.pop_front();
                answer.map(|n| set(n).into()).map_err(SourceError::new)
            })
        }
    }

    fn set(n: usize) -> Membership {
        Membership::new((0..n).map(|n| Backend::new(format!("b{n}")))).unwrap()
    }

    /// Drives for a time, and then says what is known.
    async fn after(supervisor: &mut Supervisor, time: Duration) -> Arc<Status> {
        let forever = async {
            loop {
                supervisor.changed().await;
            }
        };
        assert!(tokio::time::timeout(time, forever).await.is_err());
        supervisor.status()
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_keeps_the_set_and_says_so_until_it_is_over() {
        let steps = [(0, Ok(3)), (100, Err("unplugged")), (5_000, Ok(3))];
        let mut supervisor = Script::supervised(&steps);
        assert!(!supervisor.status().has_answered());
        let status = after(&mut supervisor, Duration::from_millis(50)).await;
        assert!(!status.is_frozen() && status.connected_since.is_some());
        assert_eq!((status.members(), status.notes().count()), (3, 0));
        let set_at = status.set_at;
        let status = after(&mut supervisor, Duration::from_secs(1)).await;
        assert!(status.is_frozen());
        assert_eq!((status.members(), status.set_at), (3, set_at));
        let notes: Vec<_> = status.notes().map(|note| note.to_string()).collect();
        assert_eq!(notes, ["script: unplugged; its 3 backends are kept"]);
        let status = after(&mut supervisor, Duration::from_secs(10)).await;
        assert!(!status.is_frozen());
        assert_eq!((status.members(), status.notes().count()), (3, 0));
        assert_eq!(&*status.last_error.as_ref().unwrap().text, "unplugged", "remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_always_fails_is_asked_ever_more_rarely_and_for_ever() {
        let steps = vec![(0, Err("away")); 1_000];
        let mut supervisor = Script::supervised(&steps);
        after(&mut supervisor, Duration::from_secs(3_600)).await;
        let text = format!("{:?}", supervisor.source);
        let left = text.matches("Err").count();
        // 120 pauses of 30 s or 240 of 15 s fill an hour; a few short ones came first.
        assert!((740..=875).contains(&left), "{left} left of 1000");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_recovered_is_asked_again_soon_after_its_next_error() {
        let steps = [vec![(0, Err("away")); 10], vec![(0, Ok(1)), (0, Err("away")), (0, Ok(2))]];
        let mut supervisor = Script::supervised(&steps.concat());
        while supervisor.status().members() != 1 {
            supervisor.changed().await;
        }
        let status = after(&mut supervisor, Duration::from_secs(1)).await;
        assert_eq!(status.members(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_without_most_backends_is_held_for_a_second() {
        let mut supervisor = Script::supervised(&[(0, Ok(10)), (100, Ok(1))]);
        let status = after(&mut supervisor, Duration::from_millis(1_000)).await;
        assert_eq!((status.members(), status.held.as_ref().map(Membership::len)), (10, Some(1)));
        let notes: Vec<_> = status.notes().map(|note| note.to_string()).collect();
        assert_eq!(notes, ["script: most of its 10 backends are gone; kept until confirmed"]);
        let status = after(&mut supervisor, Duration::from_millis(200)).await;
        assert_eq!((status.members(), status.held.is_none()), (1, true));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_does_not_confirm_a_set_that_is_held() {
        let steps = [(0, Ok(10)), (100, Ok(0)), (500, Err("away")), (60_000, Ok(10))];
        let mut supervisor = Script::supervised(&steps);
        let status = after(&mut supervisor, Duration::from_secs(50)).await;
        assert_eq!((status.members(), status.is_frozen()), (10, true));
        let status = after(&mut supervisor, Duration::from_secs(50)).await;
        assert_eq!((status.members(), status.held.is_none()), (10, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_flaps_is_bounded_and_its_last_word_counts() {
        let steps: Vec<_> = (0..1_000).map(|n| (1, Ok(10 + n % 2))).chain([(1, Ok(12))]).collect();
        let mut supervisor = Script::supervised(&steps);
        let mut statuses = supervisor.watch_status();
        let mut sets = Vec::new();
        let watching = async {
            while statuses.changed().await.is_ok() {
                sets.push(statuses.borrow_and_update().set_at);
            }
        };
        tokio::select! {
            () = watching => {}
            _ = after(&mut supervisor, Duration::from_secs(60)) => {}
        }
        sets.dedup();
        // 1,001 answers, 21 ms each, last 21 s: four at once and two a second.
        assert!((20..=50).contains(&sets.len()), "{} sets", sets.len());
        assert_eq!(supervisor.status().members(), 12);
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_from_before_holds_until_the_source_knows_better() {
        let mut supervisor = Script::supervised(&[(0, Err("away")), (0, Ok(0)), (10_000, Ok(9))]);
        supervisor.resume(set(10));
        assert_eq!(supervisor.status().members(), 10);
        let status = after(&mut supervisor, Duration::from_millis(600)).await;
        assert_eq!((status.members(), status.set_at), (10, None));
        let status = after(&mut supervisor, Duration::from_secs(5)).await;
        assert_eq!(status.members(), 0, "nobody, for a second");
        let status = after(&mut supervisor, Duration::from_secs(10)).await;
        assert_eq!(status.members(), 9);
    }
}
