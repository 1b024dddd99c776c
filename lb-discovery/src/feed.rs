//! The sources of one cluster as one stream of sets.
//!
//! This is what whoever owns a cluster follows: it drives all sources, merges what
//! they say within their grants, and hands on a set whenever it differs. A failure
//! is no event of the stream but a note beside it, because nothing is to be done
//! about it but telling somebody.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use lb_core::Membership;
use tokio::{sync::watch, time::Instant};

use crate::{
    allow::Allow,
    merge::{Note, Part, merge},
    source::Source,
    supervise::{Status, Supervision, Supervisor, sleep_until_or_never},
};

/// How long the first update waits for sources that have not answered yet, so that a
/// cluster does not begin with half of its backends.
const PATIENCE: Duration = Duration::from_secs(1);

/// Several sources in the order of their authority, the first before all others.
///
/// ```
/// use lb_core::{Backend, Membership};
/// use lb_discovery::{Allow, Env, Feed, Fixed, Supervision};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let listed = Membership::new([Backend::new("10.0.0.1:80")]).unwrap();
/// let variable = |_: &str| Some("10.0.0.2 web".into());
///
/// let mut feed = Feed::new(7);
/// let plain = Supervision::unconfirmed();
/// feed.add(Box::new(Fixed::new("lb.toml", listed)), Allow::everything(), &plain);
/// let env = Env::with_lookup("WEB", Some(80), variable);
/// feed.add(Box::new(env), Allow { host_names: false, ..Allow::everything() }, &plain);
///
/// let update = feed.next().await;
/// assert_eq!(update.membership.unwrap().len(), 2);
/// assert_eq!(&*update.cause, "lb.toml, env WEB");
/// let note = "env WEB: web:80: `web` is a name, and this source may use addresses only";
/// assert_eq!(update.notes[0].to_string(), note);
/// # }
/// ```
#[derive(Debug)]
pub struct Feed {
    sources: Vec<Fed>,
    seed: u64,
    /// When the first update is given although a source has not answered; `None`
    /// before the first call.
    patient_until: Option<Instant>,
    /// What was handed on last.
    set: Option<Membership>,
    notes: watch::Sender<Arc<[Note]>>,
}

#[derive(Debug)]
struct Fed {
    supervisor: Supervisor,
    allow: Allow,
    /// What of it is in the merged set.
    merged: Option<Membership>,
}

/// What a feed has to say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Update {
    /// The backends from now on; `None`: as before.
    pub membership: Option<Membership>,
    /// Which sources brought that about.
    pub cause: Arc<str>,
    /// What a person should know and was not told before.
    pub notes: Vec<Note>,
}

impl Feed {
    /// A feed without sources, which says that nobody is there. `seed` is entropy
    /// for the pauses after errors.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            sources: Vec::new(),
            seed,
            patient_until: None,
            set: None,
            notes: watch::Sender::new(Arc::default()),
        }
    }

    /// Adds a source behind those there are.
    pub fn add(&mut self, source: Box<dyn Source>, allow: Allow, supervision: &Supervision) {
        let seed = lb_core::sample::mix(self.seed.wrapping_add(self.sources.len() as u64));
        let supervisor = Supervisor::new(source, supervision, seed);
        self.sources.push(Fed { supervisor, allow, merged: None });
    }

    /// Takes over what the sources of an earlier feed said, by their names: after a
    /// reload, a source that cannot be read goes on to hold its last set.
    pub fn resume(&mut self, earlier: &[Arc<Status>]) {
        for fed in &mut self.sources {
            let name = &fed.supervisor.status().source;
            let known = earlier.iter().find(|status| status.source == *name);
            if let Some(set) = known.and_then(|status| status.set.clone()) {
                fed.supervisor.resume(set);
            }
        }
    }

    /// How the sources are doing, to be read from anywhere.
    #[must_use]
    pub fn status(&self) -> FeedStatus {
        FeedStatus {
            sources: self.sources.iter().map(|fed| fed.supervisor.watch_status()).collect(),
            notes: self.notes.subscribe(),
        }
    }

    /// Drives the sources until the merged set differs or there is something new to
    /// know. The first call waits until every source has answered or failed, for a
    /// second at most.
    ///
    /// Cancel-safe. Needs a tokio runtime with time. O(n log n) for each answer of
    /// a source.
    pub async fn next(&mut self) -> Update {
        loop {
            let until = self.patient_until();
            if until.is_none()
                && let Some(update) = self.update()
            {
                return update;
            }
            tokio::select! {
                () = any_changed(&mut self.sources) => {}
                () = sleep_until_or_never(until) => {}
            }
        }
    }

    /// Until when to wait for those that have not answered; `None`: not any more.
    fn patient_until(&mut self) -> Option<Instant> {
        let until = *self.patient_until.get_or_insert_with(|| Instant::now() + PATIENCE);
        let is_waiting = self.set.is_none()
            && until > Instant::now()
            && self.sources.iter().any(|fed| !fed.supervisor.status().has_answered());
        is_waiting.then_some(until)
    }

    /// What differs from the last update. Sources that never had a set do not
    /// count, and as long as none has one, nothing is known about the backends.
    fn update(&mut self) -> Option<Update> {
        let statuses: Vec<_> = self.sources.iter().map(|fed| fed.supervisor.status()).collect();
        let parts = statuses.iter().zip(&self.sources).filter_map(|(status, fed)| {
            Some(Part { source: &status.source, set: status.set.as_ref()?, allow: &fed.allow })
        });
        let merged = merge(parts);
        let mut notes: Vec<Note> = statuses.iter().flat_map(|status| status.notes()).collect();
        notes.extend(merged.notes);
        let known = self.notes.borrow();
        let news: Vec<_> = notes.iter().filter(|note| !known.contains(note)).cloned().collect();
        let notes_differ = *notes != **known;
        drop(known);
        if notes_differ {
            self.notes.send_replace(notes.into());
        }
        let is_known = statuses.is_empty() || statuses.iter().any(|status| status.set.is_some());
        let differs = is_known && self.set.as_ref() != Some(&merged.set);
        let mut causes: Vec<&str> = Vec::new();
        for (status, fed) in statuses.iter().zip(&mut self.sources) {
            if fed.merged != status.set {
                fed.merged.clone_from(&status.set);
                causes.push(&status.source);
            }
        }
        if !differs && news.is_empty() {
            return None;
        }
        let membership = differs.then(|| self.set.insert(merged.set).clone());
        Some(Update { membership, cause: causes.join(", ").into(), notes: news })
    }
}

/// Waits until one of them has changed. Polls all of them each time, so that a busy
/// one does not starve the others.
async fn any_changed(sources: &mut [Fed]) {
    let mut all: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::new();
    for fed in sources {
        all.push(Box::pin(fed.supervisor.changed()));
    }
    poll_fn(|cx| {
        let ready = all.iter_mut().map(|one| one.as_mut().poll(cx).is_ready());
        if ready.fold(false, |any, ready| any | ready) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Reads how the sources of a feed are doing, while the feed is driven elsewhere.
#[derive(Clone, Debug)]
pub struct FeedStatus {
    sources: Vec<watch::Receiver<Arc<Status>>>,
    notes: watch::Receiver<Arc<[Note]>>,
}

impl FeedStatus {
    /// The sources in their order.
    #[must_use]
    pub fn sources(&self) -> Vec<Arc<Status>> {
        self.sources.iter().map(|status| Arc::clone(&status.borrow())).collect()
    }

    /// All that a person should know now: failures, junk, what is held up, what was
    /// refused, and what two sources both say.
    #[must_use]
    pub fn notes(&self) -> Arc<[Note]> {
        Arc::clone(&self.notes.borrow())
    }
}

#[cfg(test)]
mod tests {
    use lb_core::Backend;
    use tokio::{sync::mpsc, time::timeout};

    use super::*;
    use crate::{
        fixed::Fixed,
        source::{NextSet, Report, SourceError, Warning},
    };

    /// Says what it is told.
    #[derive(Debug)]
    struct Told(&'static str, mpsc::UnboundedReceiver<Result<Report, SourceError>>);

    type Teller = mpsc::UnboundedSender<Result<Report, SourceError>>;

    fn told(name: &'static str) -> (Teller, Box<dyn Source>) {
        let (teller, told) = mpsc::unbounded_channel();
        (teller, Box::new(Told(name, told)))
    }

    impl Source for Told {
        fn name(&self) -> &str {
            self.0
        }

        fn next(&mut self) -> NextSet<'_> {
            Box::pin(async {
                match self.1.recv().await {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            })
        }
    }

    fn set(names: &[&str]) -> Membership {
        Membership::new(names.iter().map(Backend::new)).unwrap()
    }

    fn names(update: &Update) -> Vec<&str> {
        update.membership.iter().flat_map(|set| set.iter()).map(|backend| backend.name()).collect()
    }

    fn feed(sources: Vec<Box<dyn Source>>) -> Feed {
        let mut feed = Feed::new(7);
        for source in sources {
            feed.add(source, Allow::everything(), &Supervision::default());
        }
        feed
    }

    async fn is_silent(feed: &mut Feed) -> bool {
        timeout(Duration::from_secs(3_600), feed.next()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_update_waits_for_all_sources_but_not_for_ever() {
        let (teller, slow) = told("slow");
        let listed: Box<dyn Source> = Box::new(Fixed::new("lb.toml", set(&["a:1"])));
        let mut feed = feed(vec![listed, slow]);
        let start = Instant::now();
        let update = feed.next().await;
        assert_eq!((names(&update), start.elapsed()), (vec!["a:1"], Duration::from_secs(1)));
        teller.send(Ok(set(&["b:1"]).into())).unwrap();
        let update = feed.next().await;
        assert_eq!((names(&update), &*update.cause), (vec!["a:1", "b:1"], "slow"));
        assert!(is_silent(&mut feed).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_a_note_once_and_no_set() {
        let (teller, source) = told("agent");
        let mut feed = feed(vec![source]);
        let status = feed.status();
        teller.send(Err(SourceError::new("refused"))).unwrap();
        let update = feed.next().await;
        assert!(update.membership.is_none(), "nothing is known, which is not nobody");
        assert_eq!(update.notes[0].to_string(), "agent: refused");
        teller.send(Err(SourceError::new("refused"))).unwrap();
        assert!(is_silent(&mut feed).await);
        teller.send(Ok(set(&["a:1", "b:1"]).into())).unwrap();
        assert_eq!(names(&feed.next().await), ["a:1", "b:1"]);
        assert!(status.notes().is_empty());
        teller.send(Err(SourceError::new("refused"))).unwrap();
        let update = feed.next().await;
        assert_eq!(update.notes[0].to_string(), "agent: refused; its 2 backends are kept");
        assert!(update.membership.is_none());
        assert!(status.sources()[0].is_frozen());
    }

    #[tokio::test(start_paused = true)]
    async fn a_warning_is_told_once_and_shown_until_it_is_over() {
        let (teller, source) = told("nodes");
        let mut feed = feed(vec![source]);
        let status = feed.status();
        let warnings = vec![Warning::about("n1", "it is empty")];
        teller.send(Ok(Report { set: set(&["a:1"]), warnings: warnings.clone() })).unwrap();
        assert_eq!(feed.next().await.notes.len(), 1);
        teller.send(Ok(Report { set: set(&["a:1", "b:1"]), warnings })).unwrap();
        let update = feed.next().await;
        assert_eq!((names(&update).len(), update.notes.len()), (2, 0));
        assert_eq!(status.notes()[0].to_string(), "nodes: n1: it is empty");
        teller.send(Ok(set(&["a:1", "b:1"]).into())).unwrap();
        assert!(is_silent(&mut feed).await);
        assert!(status.notes().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_dropped_loses_nothing() {
        let (teller, source) = told("nodes");
        let mut feed = feed(vec![source]);
        for n in 1..20_u64 {
            let known: Vec<_> = (0..n).map(|n| format!("h:{n}")).collect();
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            teller.send(Ok(set(&known).into())).unwrap();
            let mut last = None;
            for ms in 0..200 {
                let next = timeout(Duration::from_millis(ms * n % 13), feed.next()).await;
                last = next.ok().and_then(|update| update.membership).or(last);
            }
            assert_eq!(last, Some(set(&known)), "{n}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_goes_on_from_an_earlier_one_while_its_source_fails() {
        let (teller, source) = told("nodes");
        teller.send(Ok(set(&["a:1", "b:1"]).into())).unwrap();
        let mut old = feed(vec![source]);
        old.next().await;
        let (teller, source) = told("nodes");
        teller.send(Err(SourceError::new("gone"))).unwrap();
        let mut new = feed(vec![source]);
        new.resume(&old.status().sources());
        let update = new.next().await;
        assert_eq!(names(&update), ["a:1", "b:1"]);
        assert_eq!(update.notes[0].to_string(), "nodes: gone; its 2 backends are kept");
    }

    #[tokio::test(start_paused = true)]
    async fn without_sources_nobody_is_there() {
        let mut feed = feed(Vec::new());
        assert_eq!(feed.next().await.membership, Some(Membership::default()));
        assert!(is_silent(&mut feed).await);
    }
}
