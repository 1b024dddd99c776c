//! `max_fails` and `fail_timeout`, of clusters and of backends: nginx's words with
//! nginx's meaning.

use std::time::Duration;

use lb_core::cluster::{Passive, SlowStart};

use super::reader::{Table, Value};

/// What a table says of failed requests.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fails {
    most: Option<u32>,
    time: Option<Duration>,
}

impl Fails {
    /// Takes both keys.
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self { most: table.take_integer("max_fails"), time: table.take_duration("fail_timeout") }
    }

    /// These, and what they do not say from `outer`; `None` when they say nothing.
    pub(super) fn over(self, outer: Self) -> Option<Self> {
        let says = self.most.is_some() || self.time.is_some();
        says.then_some(Self { most: self.most.or(outer.most), time: self.time.or(outer.time) })
    }

    /// What they mean.
    pub(super) fn passive(self) -> Passive {
        match (Passive::default(), self) {
            (_, Self { most: Some(0), .. }) => Passive::Off,
            (_, Self { most: Some(max_fails), time }) => {
                Passive::Windowed { max_fails, fail_timeout: time.unwrap_or(FAIL_TIMEOUT) }
            }
            (Passive::Consecutive { failures, .. }, Self { time: Some(eject), .. }) => {
                Passive::Consecutive { failures, eject }
            }
            (default, _) => default,
        }
    }
}

const FAIL_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads `slow_start`: a duration, or a table.
pub(super) fn read_slow_start(value: Value<'_>) -> Option<SlowStart> {
    if value.is_off() {
        return None;
    }
    if !value.is_table() {
        return value.duration(Duration::from_nanos(1)).map(SlowStart::over);
    }
    let mut table = value.into_table()?;
    let window = table.take("window");
    if window.is_none() {
        table.report(table.missing("window", "how long?").help("add `window = \"10s\"`"));
    }
    let window = window.and_then(|window| window.duration(Duration::from_nanos(1)));
    let default = SlowStart::over(window.unwrap_or_default());
    let aggression = table.take("aggression").and_then(Value::number);
    let least = table.take_percent("least");
    table.finish();
    Some(SlowStart {
        window: window?,
        aggression: aggression.unwrap_or(default.aggression),
        least: least.unwrap_or(default.least),
    })
}
