//! What happens on one incarnation right now: the numbers that picks read and
//! requests write.
//!
//! One cache line per incarnation for what every request writes, so that two backends
//! never share one, and further ones for what is written only where it is read. The
//! counts of a request's two phases and the two ways of being closed lie in *one*
//! word, so that nothing can slip in between a check and a count. Counting in is
//! one addition, taken back if the backend turns out to be closed; with a ceiling
//! it is a compare-and-swap instead.

use std::num::NonZeroU32;

use super::{
    AdminState,
    gate::{Gate, Trial},
    meters::Meters,
    phantom::{self, Phantom},
    report::LastReport,
    seat::Seat,
};
use crate::{
    health::Alarms,
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
/// In the word of failures: somebody wants to hear of the next success.
const TELL: u32 = 1 << 31;
/// What is added to the pressure of a backend that would send the request on: more
/// than it can ever have.
const OCCUPIED: u64 = 1 << 41;

/// Who asks to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    New,
    Bound,
    /// As a new one, by somebody who has asked everybody else.
    LastResort,
}

/// Why a backend that was picked could not be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Closed,
    Full,
    /// It is half-open, and another request tries it.
    Occupied,
    /// It is about to be taken out.
    Shunned,
}

/// The live numbers of one incarnation.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Load {
    /// Busy, held and closed bits. Written twice or three times per request by
    /// whichever worker has it; acquire/release, because seat and drain logic
    /// draw conclusions from reaching zero.
    word: AtomicU64,
    /// When the last local failure was, in ticks. A statistic.
    failed_at: AtomicU64,
    /// Local failures in a row, and [`TELL`]. A statistic, but for the bit, which is
    /// set by who keeps the verdict and cleared by whoever reports a success.
    failures: AtomicU32,
    /// From how many failures in a row on they are reported; 0: never. Written by
    /// who keeps the verdict, read by requests that failed.
    alarm: AtomicU32,
    /// Failures that weigh like requests.
    phantom: Phantom,
    /// One request at a time, while it is half-open.
    gate: Gate,
    /// The verdict on it is out, and no snapshot without it yet. Written by who keeps
    /// the verdict; nothing else hangs on it, so the order does not matter.
    shunned: AtomicU32,
    seat: Seat,
    /// On a line of their own.
    meters: Meters,
    /// As well.
    report: LastReport,
}

impl Load {
    pub(crate) fn new(seat: Seat) -> Self {
        let load = Self {
            word: AtomicU64::new(0),
            failed_at: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            alarm: AtomicU32::new(0),
            phantom: Phantom::new(),
            gate: Gate::new(),
            shunned: AtomicU32::new(0),
            seat,
            meters: Meters::new(),
            report: LastReport::new(),
        };
        load.seat.set_idle();
        load
    }

    #[inline]
    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.meters
    }

    pub(crate) fn report(&self) -> &LastReport {
        &self.report
    }

    #[inline]
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Whether a request would be counted in.
    pub(crate) fn look(
        &self,
        admission: Admission,
        limit: Option<NonZeroU32>,
    ) -> Result<(), Refused> {
        verdict(self.word.load(Ordering::Acquire), admission, limit)?;
        if self.is_shunned_by(admission) {
            Err(Refused::Shunned)
        } else if self.gate.is_occupied() {
            Err(Refused::Occupied)
        } else {
            Ok(())
        }
    }

    /// Sends requests on to others, where there are others, until a snapshot says who
    /// is to be used.
    pub(crate) fn shun(&self, shunned: bool) {
        self.shunned.store(u32::from(shunned), Ordering::Relaxed);
    }

    #[inline]
    fn is_shunned_by(&self, admission: Admission) -> bool {
        self.shunned.load(Ordering::Relaxed) != 0 && admission != Admission::LastResort
    }

    /// Counts one request in, as busy and as held. Where it is the one request that
    /// tries a half-open backend, it gets the right to do so, to be given back.
    ///
    /// Without a ceiling, that is one addition, taken back if the backend is
    /// closed. With one, a request that does not fit must not be counted even for
    /// a moment, or it would look full to a third request when it is not.
    #[inline]
    pub(crate) fn reserve(
        &self,
        admission: Admission,
        limit: Option<NonZeroU32>,
    ) -> Result<Option<Trial>, Refused> {
        if limit.is_some() {
            let counted_in =
                |word| verdict(word, admission, limit).is_ok().then_some(word + BUSY + HELD);
            if let Err(word) =
                self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, counted_in)
            {
                return verdict(word, admission, limit).map(|()| None);
            }
        } else {
            let before = self.word.fetch_add(BUSY | HELD, Ordering::AcqRel);
            if let Err(refused) = verdict(before, admission, limit) {
                self.finish(BUSY | HELD);
                return Err(refused);
            }
        }
        // After the count, which has brought the line here: these looks are free then.
        if self.is_shunned_by(admission) {
            self.finish(BUSY | HELD);
            return Err(Refused::Shunned);
        }
        self.gate.pass().map_err(|()| {
            self.finish(BUSY | HELD);
            Refused::Occupied
        })
    }

    /// Counts one request out of `phases`: [`BUSY`], [`HELD`] or both.
    #[inline]
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
        if phases & BUSY != 0
            && before & COUNT == BUSY
            && self.seat.is_tracked()
            && !self.seat.is_idle()
            && !self.phantom.is_there()
        {
            self.seat.set_idle();
        }
    }

    /// Whether it has nothing to do, and no failure of a moment ago weighs on it.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.busy() == 0 && !self.phantom.is_there()
    }

    /// The same for who found its idle bit set: a bit that is wrong is cleared.
    pub(crate) fn confirm_idle(&self) -> bool {
        let idle = self.is_idle();
        if !idle {
            self.seat.clear_idle();
            self.restore_idle();
        }
        idle
    }

    /// Sets the idle bit where it is wrongly clear. Looks at the count by a write, so
    /// that a request which ends after this look sees what was done to the bit and the
    /// phantom before it, and one that ended before it is seen.
    fn restore_idle(&self) {
        let busy = self.word.fetch_or(0, Ordering::AcqRel) & COUNT;
        if busy == 0 && !self.phantom.is_there() && !self.seat.is_idle() {
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
    /// under traffic, and to hand back the bit of a backend whose failures have
    /// decayed.
    pub(crate) fn sweep(&self, now: Tick) {
        self.phantom.sweep(now);
        if self.seat.is_idle() && !self.is_idle() {
            self.seat.clear_idle();
        }
        self.restore_idle();
    }

    /// Requests in flight and failures that still weigh like some, in 1/256 of a
    /// request.
    #[inline]
    pub(crate) fn pressure(&self, now: Tick) -> u64 {
        u64::from(self.busy()) * phantom::ONE + self.failure_pressure(now)
    }

    /// The part of it that is not in flight.
    #[inline]
    pub(crate) fn failure_pressure(&self, now: Tick) -> u64 {
        if !self.phantom.is_there() && !self.gate.is_shut() {
            return 0;
        }
        self.present_failure_pressure(now)
    }

    #[cold]
    fn present_failure_pressure(&self, now: Tick) -> u64 {
        let occupied = if self.gate.is_occupied() { OCCUPIED } else { 0 };
        self.phantom.at(now) + occupied
    }

    /// Lets it look busier for a while.
    pub(crate) fn hold_against(&self, now: Tick) {
        self.phantom.add(now);
    }

    #[inline]
    pub(crate) fn busy(&self) -> u32 {
        (self.word.load(Ordering::Acquire) & COUNT) as u32
    }

    pub(crate) fn held(&self) -> u32 {
        ((self.word.load(Ordering::Acquire) / HELD) & COUNT) as u32
    }

    /// Counts one more failure in a row, and says how many there are if that is to be
    /// reported.
    pub(crate) fn observe_failure(&self, now: Tick) -> Option<u32> {
        self.failed_at.store(now.as_nanos(), Ordering::Relaxed);
        // Where nobody ever ends a row, it must not run over into the bit.
        let more = |word: u32| (word & !TELL != !TELL).then_some(word + 1);
        let before = self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        let count = (before.unwrap_or(!TELL - 1) & !TELL) + 1;
        let alarm = self.alarm.load(Ordering::Relaxed);
        (alarm > 0 && count >= alarm).then_some(count)
    }

    /// Says whether the success is to be reported. Writes only when there is something
    /// to forget: no shared write per good answer.
    #[inline]
    pub(crate) fn forget_failures(&self) -> bool {
        self.failures.load(Ordering::Relaxed) != 0
            && self.failures.swap(0, Ordering::Relaxed) & TELL != 0
    }

    /// Ends a row of failures without a success that anybody waits for.
    pub(crate) fn end_row(&self) {
        if self.failures.load(Ordering::Relaxed) & !TELL != 0 {
            self.failures.fetch_and(TELL, Ordering::Relaxed);
        }
    }

    /// How many failures in a row, and when the last one was.
    pub(crate) fn failures(&self) -> Option<(u32, Tick)> {
        let count = self.failures.load(Ordering::Relaxed) & !TELL;
        (count > 0).then(|| (count, Tick::from_nanos(self.failed_at.load(Ordering::Relaxed))))
    }

    /// Which ends of requests are to be reported from now on.
    pub(crate) fn set_alarms(&self, alarms: Alarms) {
        self.alarm.store(alarms.failures.unwrap_or(0), Ordering::Relaxed);
        if alarms.success {
            self.failures.fetch_or(TELL, Ordering::Relaxed);
        } else {
            self.failures.fetch_and(!TELL, Ordering::Relaxed);
        }
    }
}

/// Whether a request that finds `word` is let in.
#[inline]
fn verdict(word: u64, admission: Admission, limit: Option<NonZeroU32>) -> Result<(), Refused> {
    let closed = match admission {
        Admission::New | Admission::LastResort => CLOSED | CLOSED_TO_NEW,
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

#[cfg(all(test, loom))]
mod races;
#[cfg(all(test, not(loom)))]
mod tests;
