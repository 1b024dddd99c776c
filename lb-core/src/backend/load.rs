//! What happens on one incarnation right now: the numbers that picks read and
//! requests write.
//!
//! One cache line per incarnation, so that two backends never share one. The
//! counts of a request's two phases and the two ways of being closed lie in *one*
//! word, so that nothing can slip in between a check and a count. Counting in is
//! one addition, taken back if the backend turns out to be closed; with a ceiling
//! it is a compare-and-swap instead.

use std::{num::NonZeroU32, time::Duration};

use super::{AdminState, seat::Seat};
use crate::{
    sync::{AtomicU32, AtomicU64, Ordering},
    time::Tick,
};

/// Requests whose answer the backend has not finished.
pub(crate) const BUSY: u64 = 1;
/// Requests whose answer the client has not got whole.
pub(crate) const HELD: u64 = 1 << 31;
const COUNT: u64 = HELD - 1;
/// Closed to everybody but bound clients.
const CLOSED_TO_NEW: u64 = 1 << 62;
/// Closed to everybody.
const CLOSED: u64 = 1 << 63;

/// Who asks to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    New,
    Bound,
}

/// Why a backend that was picked could not be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Closed,
    Full,
}

/// The live numbers of one incarnation.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Load {
    /// Busy, held and closed bits. Written twice or three times per request by
    /// whichever worker has it; acquire/release, because seat and drain logic
    /// draw conclusions from reaching zero.
    word: AtomicU64,
    /// Moving average of the time to the first byte in nanoseconds; 0: none yet.
    /// A statistic: two workers may overwrite each other's sample.
    latency: AtomicU64,
    /// When the last local failure was, in ticks. A statistic.
    failed_at: AtomicU64,
    /// Local failures in a row. A statistic.
    failures: AtomicU32,
    seat: Seat,
}

impl Load {
    pub(crate) fn new(seat: Seat) -> Self {
        let load = Self {
            word: AtomicU64::new(0),
            latency: AtomicU64::new(0),
            failed_at: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            seat,
        };
        load.seat.set_idle();
        load
    }

    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Whether a request would be counted in.
    pub(crate) fn look(
        &self,
        admission: Admission,
        limit: Option<NonZeroU32>,
    ) -> Result<(), Refused> {
        verdict(self.word.load(Ordering::Acquire), admission, limit)
    }

    /// Counts one request in, as busy and as held.
    ///
    /// Without a ceiling, that is one addition, taken back if the backend is
    /// closed. With one, a request that does not fit must not be counted even for
    /// a moment, or it would look full to a third request when it is not.
    pub(crate) fn reserve(
        &self,
        admission: Admission,
        limit: Option<NonZeroU32>,
    ) -> Result<(), Refused> {
        if limit.is_some() {
            let counted_in =
                |word| verdict(word, admission, limit).is_ok().then_some(word + BUSY + HELD);
            if let Err(word) =
                self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, counted_in)
            {
                self.give_back();
                return verdict(word, admission, limit);
            }
        } else {
            let before = self.word.fetch_add(BUSY | HELD, Ordering::AcqRel);
            if let Err(refused) = verdict(before, admission, limit) {
                self.finish(BUSY | HELD);
                return Err(refused);
            }
        }
        if self.seat.is_tracked() && self.seat.is_idle() {
            self.seat.claim();
        }
        Ok(())
    }

    /// Counts one request out of `phases`: [`BUSY`], [`HELD`] or both.
    pub(crate) fn finish(&self, phases: u64) {
        let before = self.word.fetch_sub(phases, Ordering::AcqRel);
        debug_assert!(
            phases & HELD == 0 || (before / HELD) & COUNT > 0,
            "held is counted out twice"
        );
        debug_assert!(
            phases & BUSY == 0 || before & COUNT > 0,
            "busy is counted out more often than in"
        );
        if phases & BUSY != 0 && before & COUNT == BUSY && self.seat.is_tracked() {
            self.seat.set_idle();
        }
    }

    /// Undoes the claim of an idle bit that came to nothing.
    fn give_back(&self) {
        if self.seat.is_tracked() && self.busy() == 0 {
            self.seat.set_idle();
        }
    }

    /// Opens or closes it for requests that begin from now on.
    pub(crate) fn admit(&self, state: AdminState, now: Tick) {
        let bits = if !state.admits_bound(now) {
            CLOSED | CLOSED_TO_NEW
        } else if !state.admits_new() {
            CLOSED_TO_NEW
        } else {
            0
        };
        self.word.fetch_or(bits, Ordering::AcqRel);
        self.word.fetch_and(!((CLOSED | CLOSED_TO_NEW) & !bits), Ordering::AcqRel);
    }

    /// Puts the idle bit right. Needed after the upkeep of the bits was switched on
    /// under traffic.
    pub(crate) fn sweep(&self) {
        let idle = self.seat.is_idle();
        if self.busy() > 0 && idle {
            self.seat.claim();
        }
        // After the claim: the last request may have ended just before it.
        if self.busy() == 0 && !self.seat.is_idle() {
            self.seat.set_idle();
        }
    }

    pub(crate) fn busy(&self) -> u32 {
        (self.word.load(Ordering::Acquire) & COUNT) as u32
    }

    pub(crate) fn held(&self) -> u32 {
        ((self.word.load(Ordering::Acquire) / HELD) & COUNT) as u32
    }

    /// Takes one time to the first byte into the average, which keeps 7/8 of
    /// what it was (the gain of TCP's smoothed round-trip time, RFC 6298).
    pub(crate) fn observe_latency(&self, sample: Duration) {
        let sample = u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX).max(1);
        let average = self.latency.load(Ordering::Relaxed);
        let next = if average == 0 { sample } else { average - average / 8 + sample / 8 };
        self.latency.store(next, Ordering::Relaxed);
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        let nanos = self.latency.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    pub(crate) fn observe_failure(&self, now: Tick) {
        self.failed_at.store(now.as_nanos(), Ordering::Relaxed);
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes only when there is something to forget: no shared write per good
    /// answer.
    pub(crate) fn forget_failures(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// How many failures in a row, and when the last one was.
    pub(crate) fn failures(&self) -> Option<(u32, Tick)> {
        let count = self.failures.load(Ordering::Relaxed);
        (count > 0).then(|| (count, Tick::from_nanos(self.failed_at.load(Ordering::Relaxed))))
    }
}

/// Whether a request that finds `word` is let in.
fn verdict(word: u64, admission: Admission, limit: Option<NonZeroU32>) -> Result<(), Refused> {
    let closed = match admission {
        Admission::New => CLOSED | CLOSED_TO_NEW,
        Admission::Bound => CLOSED,
    };
    if word & closed != 0 {
        Err(Refused::Closed)
    } else if limit.is_some_and(|limit| word & COUNT >= u64::from(limit.get())) {
        Err(Refused::Full)
    } else {
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::backend::seat::Seats;

    fn load() -> Load {
        let mut seats = Seats::default();
        seats.track(true);
        Load::new(seats.take())
    }

    #[test]
    fn busy_and_held_end_apart() {
        let load = load();
        load.reserve(Admission::New, None).unwrap();
        assert_eq!((load.busy(), load.held()), (1, 1));
        load.finish(BUSY);
        assert_eq!((load.busy(), load.held()), (0, 1));
        load.finish(HELD);
        assert_eq!((load.busy(), load.held()), (0, 0));
    }

    #[test]
    fn a_full_backend_refuses_and_forgets_the_attempt() {
        let load = load();
        let limit = NonZeroU32::new(2);
        load.reserve(Admission::New, limit).unwrap();
        load.reserve(Admission::New, limit).unwrap();
        assert_eq!(load.reserve(Admission::New, limit), Err(Refused::Full));
        assert_eq!(load.busy(), 2);
    }

    #[test]
    fn a_draining_backend_admits_bound_clients_only() {
        let load = load();
        load.admit(AdminState::Draining { until: None }, Tick::ZERO);
        assert_eq!(load.reserve(Admission::New, None), Err(Refused::Closed));
        assert_eq!(load.reserve(Admission::Bound, None), Ok(()));
        load.admit(AdminState::Disabled, Tick::ZERO);
        assert_eq!(load.reserve(Admission::Bound, None), Err(Refused::Closed));
        load.admit(AdminState::Enabled, Tick::ZERO);
        assert_eq!(load.reserve(Admission::New, None), Ok(()));
        assert_eq!(load.busy(), 2);
    }

    #[test]
    fn the_idle_bit_follows_the_busy_count_and_not_the_held_one() {
        let load = load();
        assert!(load.seat.is_idle());
        load.reserve(Admission::New, None).unwrap();
        assert!(!load.seat.is_idle());
        load.finish(BUSY);
        assert!(load.seat.is_idle());
        load.finish(HELD);
        assert!(load.seat.is_idle());
    }

    #[test]
    fn a_refused_claim_gives_the_idle_bit_back() {
        for limit in [None, NonZeroU32::new(1)] {
            let load = load();
            load.admit(AdminState::Disabled, Tick::ZERO);
            load.seat.claim();
            assert_eq!(load.reserve(Admission::New, limit), Err(Refused::Closed));
            assert!(load.seat.is_idle());
        }
    }

    #[test]
    fn a_sweep_puts_the_idle_bit_right_either_way() {
        let load = load();
        load.seat.claim();
        load.sweep();
        assert!(load.seat.is_idle());
        load.reserve(Admission::New, None).unwrap();
        load.seat.set_idle();
        load.sweep();
        assert!(!load.seat.is_idle());
    }

    #[test]
    fn latency_is_a_moving_average_and_failures_are_a_run() {
        let load = load();
        assert_eq!(load.latency(), None);
        load.observe_latency(Duration::from_nanos(800));
        load.observe_latency(Duration::from_nanos(1600));
        assert_eq!(load.latency(), Some(Duration::from_nanos(900)));
        load.observe_failure(Tick::from_nanos(1));
        load.observe_failure(Tick::from_nanos(2));
        assert_eq!(load.failures(), Some((2, Tick::from_nanos(2))));
        load.forget_failures();
        assert_eq!(load.failures(), None);
    }
}

/// Every interleaving of claim, finish and reuse. Run with
/// `RUSTFLAGS="--cfg loom" cargo test -p lb-core --release --lib races`.
#[cfg(all(test, loom))]
mod races {
    use loom::thread;

    use super::*;
    use crate::{backend::seat::Seats, sync::Arc};

    fn tracked() -> (Seats, Arc<Load>) {
        let mut seats = Seats::default();
        seats.track(true);
        let load = Arc::new(Load::new(seats.take()));
        (seats, load)
    }

    /// What the idle-first picker and a lease do.
    fn claim_and_serve(load: &Load) {
        if load.seat().is_idle() && load.seat().claim() {
            load.reserve(Admission::New, None).unwrap();
            load.finish(BUSY);
            load.finish(HELD);
        }
    }

    #[test]
    fn an_idle_backend_never_stays_marked_busy() {
        loom::model(|| {
            let (_seats, load) = tracked();
            let other = {
                let load = Arc::clone(&load);
                thread::spawn(move || claim_and_serve(&load))
            };
            // A pick that did not go through the bitmap.
            load.reserve(Admission::New, None).unwrap();
            load.finish(BUSY | HELD);
            other.join().unwrap();
            assert_eq!((load.busy(), load.held()), (0, 0));
            assert!(load.seat().is_idle(), "nothing in flight, yet not idle");
        });
    }

    #[test]
    fn two_claims_of_one_bit_and_a_refusal_leave_it_set() {
        loom::model(|| {
            let (_seats, load) = tracked();
            let limit = NonZeroU32::new(1);
            let other = {
                let load = Arc::clone(&load);
                thread::spawn(move || claim_and_serve(&load))
            };
            if load.seat().claim() && load.reserve(Admission::New, limit).is_ok() {
                load.finish(BUSY | HELD);
            }
            other.join().unwrap();
            assert_eq!(load.busy(), 0);
            assert!(load.seat().is_idle());
        });
    }

    #[test]
    fn a_claim_refused_by_a_ceiling_leaves_the_bit_to_who_holds_the_place() {
        loom::model(|| {
            let (_seats, load) = tracked();
            let limit = NonZeroU32::new(1);
            let other = {
                let load = Arc::clone(&load);
                thread::spawn(move || {
                    if load.reserve(Admission::New, limit).is_ok() {
                        load.finish(BUSY | HELD);
                    }
                })
            };
            if load.seat().claim() && load.reserve(Admission::New, limit).is_ok() {
                load.finish(BUSY | HELD);
            }
            other.join().unwrap();
            assert_eq!(load.busy(), 0);
            assert!(load.seat().is_idle(), "nothing in flight, yet not idle");
        });
    }

    #[test]
    fn a_sweep_among_requests_leaves_an_idle_backend_idle() {
        loom::model(|| {
            let (_seats, load) = tracked();
            let other = {
                let load = Arc::clone(&load);
                thread::spawn(move || claim_and_serve(&load))
            };
            load.sweep();
            other.join().unwrap();
            assert!(load.seat().is_idle(), "nothing in flight, yet not idle");
        });
    }

    #[test]
    fn a_ceiling_holds_across_workers() {
        loom::model(|| {
            let (_seats, load) = tracked();
            let limit = NonZeroU32::new(1);
            let other = {
                let load = Arc::clone(&load);
                thread::spawn(move || load.reserve(Admission::New, limit).is_ok())
            };
            let mine = load.reserve(Admission::New, limit).is_ok();
            let theirs = other.join().unwrap();
            assert!(!(mine && theirs), "two requests on a backend that takes one");
            assert_eq!(load.busy(), u32::from(mine) + u32::from(theirs));
        });
    }

    #[test]
    fn after_it_was_disabled_nobody_new_gets_in() {
        loom::model(|| {
            let (_seats, load) = tracked();
            let other = {
                let load = Arc::clone(&load);
                thread::spawn(move || load.reserve(Admission::New, None).is_ok())
            };
            load.admit(AdminState::Disabled, Tick::ZERO);
            assert!(load.reserve(Admission::New, None).is_err());
            let in_time = other.join().unwrap();
            assert_eq!(load.busy(), u32::from(in_time));
        });
    }

    #[test]
    fn a_new_life_on_an_old_seat_is_idle() {
        loom::model(|| {
            let (mut seats, load) = tracked();
            let last = thread::spawn(move || drop(load));
            let next = Load::new(seats.take());
            last.join().unwrap();
            assert!(next.seat().is_idle(), "who left the seat took the idle bit along");
        });
    }

    #[test]
    fn a_sweep_repairs_what_was_missed_before_the_bits_were_kept() {
        loom::model(|| {
            let mut seats = Seats::default();
            let load = Arc::new(Load::new(seats.take()));
            load.seat().claim();
            load.reserve(Admission::New, None).unwrap();
            let other = {
                let load = Arc::clone(&load);
                thread::spawn(move || load.finish(BUSY | HELD))
            };
            seats.track(true);
            load.sweep();
            other.join().unwrap();
            load.sweep();
            assert!(load.seat().is_idle());
        });
    }

    #[test]
    fn a_seat_is_reused_only_when_its_last_request_is_counted_out() {
        loom::model(|| {
            let (mut seats, load) = tracked();
            load.reserve(Admission::New, None).unwrap();
            let lease = Arc::clone(&load);
            let worker = thread::spawn(move || {
                lease.finish(BUSY);
                lease.finish(HELD);
                drop(lease);
            });
            drop(load); // the last snapshot that named it
            let next = Load::new(seats.take());
            if next.seat().number() == 0 {
                // The old life can't touch this bit any more.
                next.reserve(Admission::New, None).unwrap();
                assert!(!next.seat().is_idle());
                worker.join().unwrap();
                assert!(!next.seat().is_idle(), "an ended request marked its successor idle");
                next.finish(BUSY | HELD);
                assert!(next.seat().is_idle(), "an ended life keeps its successor busy");
            } else {
                worker.join().unwrap();
            }
        });
    }
}
