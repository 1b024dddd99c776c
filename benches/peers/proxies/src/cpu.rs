//! CPU time of a process and all its descendants, and of a core, from `/proc`.
//!
//! The total comes from the scheduler's own account (`schedstat`, nanoseconds);
//! `stat` has ticks of 10 ms only, but is the sole source of the split into user
//! and system. Without `schedstat` the ticks are used for both.

use std::{fs, ops::Sub, path::Path, time::Duration};

use anyhow::{Context as _, Result};

/// CPU time used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime {
    /// Share counted as user, in ticks.
    user_ticks: u64,
    /// Share counted as system, in ticks.
    system_ticks: u64,
    /// All of it.
    nanos: u64,
}

impl CpuTime {
    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// The total's part spent in user code; the ticks give the proportion.
    pub(crate) fn user(&self) -> Duration {
        let ticks = self.user_ticks + self.system_ticks;
        if ticks == 0 {
            return Duration::ZERO;
        }
        self.total().mul_f64(self.user_ticks as f64 / ticks as f64)
    }

    pub(crate) fn system(&self) -> Duration {
        self.total() - self.user()
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            user_ticks: self.user_ticks - earlier.user_ticks,
            system_ticks: self.system_ticks - earlier.system_ticks,
            nanos: self.nanos - earlier.nanos,
        }
    }
}

/// CPU time of `root` and its descendants, all threads.
pub(crate) fn of_tree(root: u32) -> Result<CpuTime> {
    let mut sum = CpuTime { user_ticks: 0, system_ticks: 0, nanos: 0 };
    let mut precise = true;
    for pid in tree(root)? {
        let stat = stat(pid).with_context(|| format!("process {pid} is gone"))?;
        sum.user_ticks += stat.user_ticks;
        sum.system_ticks += stat.system_ticks;
        match scheduled_nanos(pid) {
            Some(nanos) => sum.nanos += nanos,
            None => precise = false,
        }
    }
    if !precise {
        let hertz = rustix::param::clock_ticks_per_second();
        sum.nanos = (sum.user_ticks + sum.system_ticks) * 1_000_000_000 / hertz;
    }
    Ok(sum)
}

/// Time `core` has not been idle since the machine started.
pub(crate) fn of_core(core: usize) -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    let fields = line.with_context(|| format!("/proc/stat knows no core {core}"))?;
    let mut ticks = Vec::new();
    for field in fields.split_ascii_whitespace() {
        ticks.push(field.parse::<u64>()?);
    }
    // user, nice, system, then idle and waiting, then interrupts hard and soft.
    let busy: u64 = ticks.iter().take(3).chain(ticks.iter().skip(5).take(2)).sum();
    let hertz = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(busy as f64 / hertz as f64))
}

/// `root` and every process that descends from it.
pub(crate) fn tree(root: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end between the listing and the reading.
        if let Some(stat) = stat(pid) {
            parents.push((pid, stat.parent));
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(found)
}

struct Stat {
    parent: u32,
    user_ticks: u64,
    system_ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name stands in parentheses and may hold anything, so count from its end.
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        user_ticks: fields.get(11)?.parse().ok()?,
        system_ticks: fields.get(12)?.parse().ok()?,
    })
}

/// Nanoseconds all threads of `pid` have been on a core, if the kernel keeps that account.
fn scheduled_nanos(pid: u32) -> Option<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        sum += thread_nanos(&thread.ok()?.path())?;
    }
    Some(sum)
}

fn thread_nanos(thread: &Path) -> Option<u64> {
    let text = fs::read_to_string(thread.join("schedstat")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}
