//! The last requests, kept to be asked about: where each went, and why.
//!
//! To keep a request is to copy it once, when it has ended: a dozen allocations. So no
//! more are kept than nobody has to pay for, in each worker: of errors a ring full at once,
//! and [`ERRORS`] a second in the long run, as a worker all of whose backends fail has other
//! things to do; of the others up to [`BURST`] at once, and [`OTHERS`]. One that is not kept
//! costs a comparison here. Errors and others have rings of their own, so that neither
//! drives the other out, of [`KEPT`] each. Paths and queries are cut off after [`LONGEST`] bytes, so that a worker
//! keeps some hundred kilobytes, and never more than 8 MiB.
//!
//! The hard decision is who waits: nobody. A worker keeps to itself what it has until its
//! next tick, and hands it over then if no reader is just reading, else with the tick after
//! that. So a request is to be seen a tick (100 ms) after its end.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, TryLockError},
    time::Duration,
};

use lb_core::{Tick, cluster::Standing, strategy::Reason};

use super::record::Record;
use crate::{http::attempts::Attempt, runtime::clock::Clock};

/// Requests in each of a worker's two rings.
const KEPT: usize = 512;
/// Errors that are kept a second, in the long run.
const ERRORS: u32 = 500;
/// How many of the others are kept at once,
const BURST: u32 = 256;
/// and a second in the long run.
const OTHERS: u32 = 20;
/// Bytes of a path, and of a query.
const LONGEST: usize = 1_024;

/// A request that is over.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeptRequest {
    /// What it is called, where requests have names.
    pub id: Option<Box<str>>,
    /// When it came, since the first second of 1970.
    pub at: Duration,
    /// Until the last byte of its answer was written.
    pub took: Duration,
    /// Where it came from, as far as trusted proxies tell it.
    pub client: Box<str>,
    /// `GET`; empty where what came was no request.
    pub method: Box<str>,
    /// The host it asked for.
    pub host: Option<Box<str>>,
    /// The path it asked for.
    pub path: Box<str>,
    /// What stood behind the `?`.
    pub query: Option<Box<str>>,
    /// The name of the route it took.
    pub route: Option<Box<str>>,
    /// The cluster it went to.
    pub cluster: Option<Box<str>>,
    /// What it was answered; 0: nothing.
    pub status: u16,
    /// Bytes of its body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// How it ended, in a word: `done`, or why not well.
    pub end: &'static str,
    /// What became of the client's binding: `kept`, `new` or `moved`.
    pub sticky: Option<&'static str>,
    /// Whether it was answered with 500 or more other than 501, or ended badly without a
    /// mistake of the client's.
    pub is_error: bool,
    /// The backends that were tried, in order.
    pub tries: Box<[KeptTry]>,
}

/// One try with one backend.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeptTry {
    /// Its name.
    pub backend: Box<str>,
    /// Where it was.
    pub address: Box<str>,
    /// Why it was picked.
    pub reason: Reason,
    /// Where it stood then.
    pub standing: Standing,
    /// From the request to the pick.
    pub after: Duration,
    /// How long it took to connect; `None` where a connection was at hand, or none came.
    pub connect: Option<Duration>,
    /// From the pick to the head of the answer.
    pub first_byte: Option<Duration>,
    /// From the pick until the backend was done.
    pub total: Option<Duration>,
    /// What it answered.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<&'static str>,
    /// It was sent once more, as the first connection was stale.
    pub replayed: bool,
}

/// What is kept of all workers.
#[derive(Debug, Default)]
pub(crate) struct RecentBoard(Mutex<Vec<Arc<Mutex<Rings>>>>);

impl RecentBoard {
    /// The part of a worker that begins.
    pub(crate) fn part(&self) -> Recents {
        let rings = Arc::<Mutex<Rings>>::default();
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.push(Arc::clone(&rings));
        Recents {
            rings,
            pending: RefCell::default(),
            errors: Allowance::new(KEPT as u32, ERRORS),
            others: Allowance::new(BURST, OTHERS),
        }
    }

    /// All that is kept, newest first.
    pub(crate) fn read(&self) -> Vec<Arc<KeptRequest>> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all = Vec::new();
        for part in parts {
            let rings = part.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(rings.errors.iter().chain(&rings.others).cloned());
        }
        all.sort_by_key(|request: &Arc<KeptRequest>| std::cmp::Reverse(request.at));
        all
    }
}

/// Written by one worker with its ticks, read by whoever asks.
#[derive(Debug, Default)]
struct Rings {
    errors: VecDeque<Arc<KeptRequest>>,
    others: VecDeque<Arc<KeptRequest>>,
}

impl Rings {
    fn push(&mut self, request: KeptRequest) {
        let ring = if request.is_error { &mut self.errors } else { &mut self.others };
        if ring.len() == KEPT {
            ring.pop_front();
        }
        ring.push_back(Arc::new(request));
    }
}

/// The last requests of one worker.
#[derive(Debug)]
pub(crate) struct Recents {
    rings: Arc<Mutex<Rings>>,
    /// Since the last tick.
    pending: RefCell<VecDeque<KeptRequest>>,
    errors: Allowance,
    others: Allowance,
}

impl Recents {
    /// Keeps a request that has just ended, if it is one of those to be kept.
    pub(crate) fn consider(&self, record: &Record, clock: &Clock) {
        let allowance = if record.is_error() { &self.errors } else { &self.others };
        if allowance.take(clock.coarse()) {
            let mut pending = self.pending.borrow_mut();
            if pending.len() == 2 * KEPT {
                pending.pop_front();
            }
            pending.push_back(KeptRequest::new(record, clock));
        }
    }

    /// Hands over what there is. Called with every tick.
    pub(crate) fn hand_over(&self) {
        if self.pending.borrow().is_empty() {
            return;
        }
        let mut rings = match self.rings.try_lock() {
            Ok(rings) => rings,
            Err(TryLockError::Poisoned(rings)) => rings.into_inner(),
            // Somebody reads.
            Err(TryLockError::WouldBlock) => return,
        };
        self.pending.borrow_mut().drain(..).for_each(|request| rings.push(request));
    }
}

/// How many may still be kept.
#[derive(Debug)]
struct Allowance {
    most: u32,
    /// One more after so long.
    pause: Duration,
    /// As of `since`.
    left: Cell<u32>,
    since: Cell<Tick>,
}

impl Allowance {
    fn new(most: u32, per_second: u32) -> Self {
        let pause = Duration::from_secs(1) / per_second;
        Self { most, pause, left: Cell::new(most), since: Cell::new(Tick::ZERO) }
    }

    fn take(&self, now: Tick) -> bool {
        let passed = now.since(self.since.get()).as_nanos() / self.pause.as_nanos();
        let mut left = self.left.get();
        if passed > 0 {
            // Parts of a pause are given away, so that it is less rather than more.
            self.since.set(now);
            left = u32::try_from(passed).unwrap_or(self.most).saturating_add(left).min(self.most);
        }
        self.left.set(left.saturating_sub(1));
        left > 0
    }
}

impl Drop for Recents {
    /// There is no next tick: this once it is waited for.
    fn drop(&mut self) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        self.pending.take().into_iter().for_each(|request| rings.push(request));
    }
}

impl KeptRequest {
    fn new(record: &Record, clock: &Clock) -> Self {
        let asked = record.request.as_ref();
        let text = |bytes: &[u8]| cut(&String::from_utf8_lossy(bytes));
        let tries = record.attempts().map(|attempts| {
            attempts.iter().map(|attempt| KeptTry::new(attempt, record.started)).collect()
        });
        Self {
            id: record.id.as_ref().map(|id| text(id.as_bytes())),
            at: clock.wall(record.started),
            took: clock.now().since(record.started),
            client: record.client().as_ref().into(),
            method: asked.map_or_else(Box::default, |asked| cut(asked.method.as_str())),
            host: asked.and_then(|asked| asked.host()).map(text),
            path: asked.map_or_else(Box::default, |asked| cut(asked.path(false))),
            query: asked.and_then(|asked| asked.target.query()).map(cut),
            route: record.route.as_deref().map(Into::into),
            cluster: record.cluster.as_deref().map(Into::into),
            status: record.status,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            end: record.end(),
            sticky: record.sticky().map(|stickiness| stickiness.word()),
            is_error: record.is_error(),
            tries: tries.unwrap_or_default(),
        }
    }
}

impl KeptTry {
    fn new(attempt: &Attempt, came: Tick) -> Self {
        let Attempt { backend, address, reason, standing, started, .. } = attempt;
        Self {
            backend: (**backend).into(),
            address: (**address).into(),
            reason: *reason,
            standing: *standing,
            after: started.since(came),
            connect: attempt.connect,
            first_byte: attempt.first_byte,
            total: attempt.total,
            status: attempt.status,
            error: attempt.error,
            replayed: attempt.replayed,
        }
    }
}

fn cut(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(LONGEST)].into()
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;
    use crate::observe::record::{Asked, Wanted};

    fn record(status: u16, target: &str) -> Record {
        let request = Request::get(target).body(()).unwrap();
        let client = HeaderValue::from_static("192.0.2.1");
        let mut record = Record::new(Tick::ZERO, client, "127.0.0.1:80".into());
        record.request = Some(Asked::new(&request, Wanted::default()));
        record.status = status;
        record
    }

    #[test]
    fn errors_are_kept_however_many_others_come_after_them() {
        let (board, clock) = (RecentBoard::default(), Clock::new());
        let part = board.part();
        part.consider(&record(503, "/bad"), &clock);
        for _ in 0..10_000 {
            part.consider(&record(200, "/good"), &clock);
            part.hand_over();
        }
        let kept = board.read();
        assert!(kept.len() <= 1 + KEPT, "{}", kept.len());
        assert_eq!(kept.iter().filter(|one| one.is_error && *one.path == *"/bad").count(), 1);
        assert!(kept.len() > BURST as usize, "those that came first are kept too");
    }

    #[test]
    fn of_more_errors_than_there_is_room_for_the_last_are_kept() {
        let (board, clock) = (RecentBoard::default(), Clock::new());
        let mut part = board.part();
        part.errors = Allowance::new(u32::MAX, 1);
        for number in 0..2 * KEPT {
            part.consider(&record(500, &format!("/{number}")), &clock);
            part.hand_over();
        }
        let kept = board.read();
        let last = format!("/{}", 2 * KEPT - 1);
        assert_eq!(kept.len(), KEPT);
        assert!(kept.iter().any(|one| *one.path == *last));
        assert!(kept.iter().all(|one| *one.path != *"/0"));
    }

    #[test]
    fn a_worker_keeps_so_many_at_once_and_so_many_a_second() {
        let start = Tick::from_millis(1_000_000);
        for (most, per_second) in [(BURST, OTHERS), (KEPT as u32, ERRORS)] {
            let allowance = Allowance::new(most, per_second);
            // As many as nobody keeps: two in each millisecond.
            let kept = |from: u64| {
                let ticks = (0..2_000).map(|half| start + Duration::from_micros(from + half * 500));
                ticks.filter(|now| allowance.take(*now)).count()
            };
            let (first, then) = (kept(0), kept(1_000_000));
            let per_second = per_second as usize;
            assert!((most as usize..=most as usize + per_second).contains(&first), "{first}");
            assert!((per_second - 1..=per_second).contains(&then), "{then}");
        }
    }

    #[test]
    fn a_flood_of_errors_costs_no_more_than_a_ring_full() {
        let (board, clock) = (RecentBoard::default(), Clock::new());
        let part = board.part();
        let start = crate::runtime::clock::now();
        (0..20_000).for_each(|_| part.consider(&record(500, "/"), &clock));
        let seconds = crate::runtime::clock::now().since(start).as_secs_f64();
        let copied = part.pending.borrow().len();
        let most = KEPT as f64 + (f64::from(ERRORS) * seconds).ceil() + 1.0;
        assert!(copied >= KEPT && copied as f64 <= most, "{copied} in {seconds} s");
    }

    #[test]
    fn no_target_is_too_long_to_be_kept() {
        let (board, clock) = (RecentBoard::default(), Clock::new());
        let part = board.part();
        part.consider(&record(200, &format!("/{0}?{0}", "a".repeat(8_000))), &clock);
        part.hand_over();
        let kept = &board.read()[0];
        assert_eq!((kept.path.len(), kept.query.as_ref().unwrap().len()), (LONGEST, LONGEST));
    }

    #[test]
    fn a_worker_does_not_wait_for_a_reader() {
        let (board, clock) = (RecentBoard::default(), Clock::new());
        let part = board.part();
        part.consider(&record(500, "/"), &clock);
        let reading = Arc::clone(&part.rings);
        let reading = reading.lock().unwrap();
        part.hand_over();
        drop(reading);
        assert!(board.read().is_empty());
        part.hand_over();
        assert_eq!(board.read().len(), 1);
    }
}
