//! The one place that reads the clock.
//!
//! Two kinds of time. *Precise*, for latency: [`now`], one call into the vDSO.
//! *Coarse*, for time limits: a cell per worker that the ticker and every
//! precise reading refresh, so that arming a limit costs a load. Coarse time is
//! never ahead of the truth and at most one tick (100 ms) behind it.
//!
//! Wall-clock time exists as the text of the `Date` header, as the second that values
//! in cookies are made in, and as the difference to ticks, for the names of requests
//! and for what people read. It is set with every tick, and may jump.

use std::{
    cell::{Cell, RefCell},
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;
use lb_core::{Tick, UnixTime};

/// Where ticks start: the first reading in this process. Shared by all threads,
/// so that ticks of workers, builder and control can be compared.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time now, in ticks since the first reading in this process.
#[must_use]
pub fn now() -> Tick {
    let elapsed = START.elapsed();
    Tick::from_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
}

/// What the clock on the wall says, since the first second of 1970.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

/// What one worker knows about time.
#[derive(Debug)]
pub(crate) struct Clock {
    coarse: Cell<Tick>,
    /// From the first second of 1970 to the start of the ticks.
    start: Cell<Duration>,
    date: RefCell<HeaderValue>,
    date_second: Cell<u64>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let clock = Self {
            coarse: Cell::new(now()),
            start: Cell::new(Duration::ZERO),
            date: RefCell::new(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT")),
            date_second: Cell::new(0),
        };
        clock.tick();
        clock
    }

    /// The time now; also refreshes the coarse time.
    pub(crate) fn now(&self) -> Tick {
        let now = now();
        self.coarse.set(now);
        now
    }

    /// The time as of the last reading or tick.
    pub(crate) fn coarse(&self) -> Tick {
        self.coarse.get()
    }

    /// Refreshes coarse time and the text of the date. Called by the ticker.
    pub(crate) fn tick(&self) -> Tick {
        let since_epoch = since_epoch();
        let now = self.now();
        self.start.set(since_epoch.saturating_sub(now.since(Tick::ZERO)));
        let second = since_epoch.as_secs();
        if second != self.date_second.replace(second)
            && let Ok(text) =
                HeaderValue::from_str(&httpdate::fmt_http_date(UNIX_EPOCH + since_epoch))
        {
            *self.date.borrow_mut() = text;
        }
        now
    }

    /// What the clock on the wall said then, since the first second of 1970.
    pub(crate) fn wall(&self, at: Tick) -> Duration {
        self.start.get() + at.since(Tick::ZERO)
    }

    /// Milliseconds since 1970, as of the last reading or tick. For names and logs: the
    /// wall clock may be set back.
    pub(crate) fn unix_millis(&self) -> u64 {
        u64::try_from(self.wall(self.coarse()).as_millis()).unwrap_or(u64::MAX)
    }

    /// The seconds since 1970, at most one tick late.
    pub(crate) fn unix(&self) -> UnixTime {
        UnixTime::from_secs(self.date_second.get())
    }

    /// The value of a `Date` header, at most one tick old.
    pub(crate) fn date(&self) -> HeaderValue {
        self.date.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_run_backwards() {
        let clock = Clock::new();
        let coarse = clock.coarse();
        let precise = clock.now();
        assert!(precise >= coarse);
        assert_eq!(clock.coarse(), precise);
    }

    #[test]
    fn the_clock_on_the_wall_goes_with_the_ticks() {
        let before = since_epoch();
        let clock = Clock::new();
        let wall = clock.wall(clock.now());
        // The two clocks are read one after the other.
        assert!(wall + Duration::from_secs(1) > before, "{wall:?} {before:?}");
        assert_eq!(
            clock.wall(clock.coarse() + Duration::from_secs(5)),
            wall + Duration::from_secs(5)
        );
    }

    #[test]
    fn wall_clock_time_goes_on_between_ticks() {
        let clock = Clock::new();
        let millis = clock.unix_millis();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        assert!(u128::from(millis) <= wall + 1 && wall < u128::from(millis) + 10_000);
        while clock.unix_millis() == millis {
            clock.now();
        }
    }

    #[test]
    fn the_date_is_the_form_http_wants() {
        let date = Clock::new().date();
        assert!(httpdate::parse_http_date(date.to_str().unwrap()).is_ok());
    }
}
