//! Time limits of connections and requests: deadlines checked on a tick.
//!
//! A timer of the runtime costs a microsecond and more per request; nearly all
//! of these limits are disarmed long before they are due. So a worker keeps one
//! slab of deadlines, arming writes one number, and a ticker scans the numbers
//! every [`TICK`] and wakes the tasks whose time is up.
//!
//! The price is precision: a limit of `d` fires between `d` and `d` + 2 ticks
//! (one for the coarse time it was armed with, one for the scan), and not early.
//!
//! A limit is about somebody else's time. When the thread itself has stood still, as
//! in a suspended process, what was waited for may have come long ago and is not yet
//! read, and blaming the others would eject every backend at once. So time does not
//! pass during a standstill: a tick that comes [`LATE`] moves all deadlines by its
//! delay. For the same reason nothing is due between ticks, only at one.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use lb_core::Tick;

use super::clock::Clock;

/// How often deadlines are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// A tick that is later than this tells of a standstill. A busy worker's are late by a
/// few milliseconds.
const LATE: Duration = Duration::from_millis(500);

const NEVER: u64 = u64::MAX;

/// All timers of one worker.
#[derive(Debug, Clone)]
pub(crate) struct Timers(Rc<Slab>);

#[derive(Debug)]
struct Slab {
    clock: Rc<Clock>,
    /// The last tick: what is due is judged by it.
    ticked: Cell<Tick>,
    /// Kept apart from the wakers: the scan reads nothing else.
    deadlines: RefCell<Vec<u64>>,
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl Timers {
    pub(crate) fn new(clock: Rc<Clock>) -> Self {
        Self(Rc::new(Slab {
            ticked: Cell::new(clock.coarse()),
            clock,
            deadlines: RefCell::default(),
            wakers: RefCell::default(),
            free: RefCell::default(),
        }))
    }

    /// A disarmed timer.
    pub(crate) fn timer(&self) -> Timer {
        let slab = &self.0;
        let reused = slab.free.borrow_mut().pop();
        let index = reused.unwrap_or_else(|| {
            let mut deadlines = slab.deadlines.borrow_mut();
            deadlines.push(NEVER);
            slab.wakers.borrow_mut().push(None);
            deadlines.len() - 1
        });
        Timer { slab: Rc::clone(slab), index }
    }

    /// Wakes every task whose deadline has passed at this time, which is now.
    pub(crate) fn tick(&self, now: Tick) {
        let delay = now.since(self.0.ticked.replace(now)).saturating_sub(TICK);
        if delay > LATE {
            self.postpone(delay);
        }
        let now = now.as_nanos();
        let deadlines = self.0.deadlines.borrow();
        let wakers = self.0.wakers.borrow();
        for (deadline, waker) in deadlines.iter().zip(wakers.iter()) {
            if *deadline <= now
                && let Some(waker) = waker
            {
                // Schedules the task; nothing of it runs inside this loop.
                waker.wake_by_ref();
            }
        }
    }

    fn postpone(&self, delay: Duration) {
        let delay = u64::try_from(delay.as_nanos()).unwrap_or(NEVER);
        for deadline in self.0.deadlines.borrow_mut().iter_mut() {
            *deadline = deadline.saturating_add(delay);
        }
    }

    /// Wakes every task that has registered with a timer, due or not.
    pub(crate) fn wake_all(&self) {
        for waker in self.0.wakers.borrow().iter().flatten() {
            waker.wake_by_ref();
        }
    }
}

/// One deadline. Its slot is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Timer {
    slab: Rc<Slab>,
    index: usize,
}

impl Timer {
    /// Due `after` from now. Replaces what was armed before.
    pub(crate) fn arm(&self, after: Duration) {
        self.arm_from(self.slab.clock.coarse(), after);
    }

    /// Due `after` from a coarse time, which may be past.
    pub(crate) fn arm_from(&self, since: Tick, after: Duration) {
        // One tick more: coarse time may be that far behind, and a limit must
        // not end early.
        let wait = u64::try_from(after.saturating_add(TICK).as_nanos()).unwrap_or(NEVER);
        self.set(since.as_nanos().saturating_add(wait));
    }

    /// The clock it goes by.
    pub(crate) fn clock(&self) -> Rc<Clock> {
        Rc::clone(&self.slab.clock)
    }

    /// Due `after` from now, unless it is due earlier.
    pub(crate) fn arm_no_later(&self, after: Duration) {
        let due = self.slab.deadlines.borrow()[self.index];
        self.arm(after);
        if due < self.slab.deadlines.borrow()[self.index] {
            self.set(due);
        }
    }

    pub(crate) fn disarm(&self) {
        self.set(NEVER);
    }

    /// Disarms, and forgets the task: what is kept for later must not keep a
    /// finished task's memory.
    pub(crate) fn park(&self) {
        self.disarm();
        // Dropped after the borrow has ended: it may be the last thing that
        // keeps a task, and dropping a task may drop other timers.
        let _waker = self.slab.wakers.borrow_mut()[self.index].take();
    }

    /// Ready, and disarmed, once the deadline has passed at a tick; otherwise the task of
    /// `cx` is woken when it has.
    pub(crate) fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.slab.deadlines.borrow()[self.index] <= self.slab.ticked.get().as_nanos() {
            self.disarm();
            return Poll::Ready(());
        }
        self.register(cx);
        Poll::Pending
    }

    /// Notes which task to wake.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        let mut wakers = self.slab.wakers.borrow_mut();
        let slot = &mut wakers[self.index];
        if slot.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
            let old = slot.replace(cx.waker().clone());
            drop(wakers);
            drop(old);
        }
    }

    fn set(&self, deadline: u64) {
        self.slab.deadlines.borrow_mut()[self.index] = deadline;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.park();
        self.slab.free.borrow_mut().push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Bench {
        clock: Rc<Clock>,
        timers: Timers,
        woken: Arc<Woken>,
        waker: Waker,
    }

    fn bench() -> Bench {
        let clock = Rc::new(Clock::new());
        let woken = Arc::<Woken>::default();
        Bench {
            timers: Timers::new(Rc::clone(&clock)),
            clock,
            waker: Waker::from(Arc::clone(&woken)),
            woken,
        }
    }

    impl Bench {
        fn expired(&self, timer: &Timer) -> bool {
            timer.poll_expired(&mut Context::from_waker(&self.waker)).is_ready()
        }

        /// Ticks this long after the clock was made. How often somebody was woken so far.
        fn wakes(&self, after: Duration) -> usize {
            self.timers.tick(self.clock.coarse() + after);
            self.woken.0.load(Ordering::Relaxed)
        }
    }

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_timer_wakes_its_task_after_the_limit_and_a_tick() {
        let bench = bench();
        let timer = bench.timers.timer();
        timer.arm(millis(5));
        assert!(!bench.expired(&timer));
        assert_eq!(bench.wakes(millis(6)), 0, "coarse time may lag by a tick: never early");
        assert!(!bench.expired(&timer));
        assert_eq!(bench.wakes(millis(106)), 1);
        assert!(bench.expired(&timer));
        assert!(!bench.expired(&timer), "an expired timer is disarmed");
        assert_eq!(bench.wakes(millis(206)), 1);
    }

    #[test]
    fn a_disarmed_timer_wakes_nobody() {
        let bench = bench();
        let timer = bench.timers.timer();
        timer.arm(Duration::ZERO);
        assert!(!bench.expired(&timer));
        timer.disarm();
        assert_eq!(bench.wakes(millis(101)), 0);
        assert!(!bench.expired(&timer));
    }

    #[test]
    fn time_does_not_pass_during_a_standstill() {
        let bench = bench();
        let timer = bench.timers.timer();
        timer.arm(millis(1000));
        assert!(!bench.expired(&timer));
        assert_eq!(bench.wakes(millis(100)), 0);
        // Five seconds late.
        assert_eq!(bench.wakes(millis(5200)), 0);
        assert!(!bench.expired(&timer), "what has come is read first");
        assert_eq!(bench.wakes(millis(5700)), 0);
        assert_eq!(bench.wakes(millis(6100)), 1, "then the rest of the limit passes");
        assert!(bench.expired(&timer));
        assert_eq!(bench.wakes(millis(60_000)), 1, "a disarmed timer stays disarmed");
    }

    #[test]
    fn nothing_is_due_before_a_standstill_is_noticed() {
        let bench = bench();
        let timer = bench.timers.timer();
        timer.arm(Duration::ZERO);
        let armed = bench.clock.coarse();
        while bench.clock.now() < armed + TICK {
            std::thread::yield_now();
        }
        assert!(!bench.expired(&timer), "a task that runs before the next tick");
    }

    #[test]
    fn a_worker_that_is_busy_for_a_while_keeps_its_limits() {
        let bench = bench();
        let timer = bench.timers.timer();
        timer.arm(millis(900));
        assert!(!bench.expired(&timer));
        assert_eq!(bench.wakes(millis(500)), 0);
        assert_eq!(bench.wakes(millis(1000)), 1);
    }

    #[test]
    fn a_slot_is_used_again_and_comes_disarmed() {
        let bench = bench();
        let timer = bench.timers.timer();
        timer.arm(Duration::ZERO);
        assert!(!bench.expired(&timer));
        let index = timer.index;
        drop(timer);
        let timer = bench.timers.timer();
        assert_eq!(timer.index, index);
        assert!(!bench.expired(&timer), "it comes disarmed");
        assert_eq!(bench.wakes(millis(101)), 0, "the old task is forgotten");
    }

    #[test]
    fn everybody_can_be_woken_at_once() {
        let bench = bench();
        let timers: Vec<_> = (0..3).map(|_| bench.timers.timer()).collect();
        for timer in &timers {
            assert!(!bench.expired(timer));
        }
        bench.timers.wake_all();
        assert_eq!(bench.woken.0.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn an_endless_limit_never_ends() {
        let bench = bench();
        let timer = bench.timers.timer();
        for limit in [Duration::from_secs(u64::from(u32::MAX)), Duration::MAX] {
            timer.arm(limit);
            assert!(!bench.expired(&timer));
        }
    }
}
