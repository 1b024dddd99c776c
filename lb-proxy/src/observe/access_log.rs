//! The access log: one for all workers, and what each worker has of it.
//!
//! A worker renders its lines into a buffer of its own and hands the buffer over
//! when [`FULL`], or with the next tick. So a line is written up to a tick (100 ms)
//! after the request's end, and costs no system call and no lock of its own.

use std::{
    cell::RefCell,
    io, mem,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use super::{
    record::{Record, Wanted},
    render::{Renderer, When},
    settings::{AccessLogSettings, LogTarget},
    sink::Sink,
    writer::{Batch, Queue},
};
use crate::runtime::{clock::Clock, entropy::Entropy};

/// Bytes that are handed over without waiting for the tick.
const FULL: usize = 16 * 1024;

/// How long a flush may take.
const FLUSH: Duration = Duration::from_secs(1);

/// Writes a line per request, in a thread of its own.
///
/// Cheap to clone. A proxy that is given one ([`Service::access_log`]) never waits for
/// it: when the target takes nothing, up to 4 MiB of lines wait and further ones are
/// [dropped](Self::dropped) and counted. Dropping a log does not wait either: what was
/// handed over is written while the process lives. A proxy that ends
/// [flushes](Self::flush) its log.
///
/// [`Service::access_log`]: crate::Service::access_log
#[derive(Debug, Clone)]
pub struct AccessLog(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    target: LogTarget,
    format: Arc<Format>,
    queue: Queue,
}

/// What decides on lines.
#[derive(Debug)]
struct Format {
    renderer: Renderer,
    sample: Sample,
}

impl AccessLog {
    /// Opens the target and starts to write. A file is created where there is none,
    /// and appended to.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or no thread be started.
    pub fn open(settings: AccessLogSettings) -> io::Result<Self> {
        let sink = Sink::open(&settings.to)?;
        Self::writing_to(sink, settings)
    }

    fn writing_to(sink: Sink, settings: AccessLogSettings) -> io::Result<Self> {
        let renderer = Renderer::new(&settings.format, settings.query);
        let format = Arc::new(Format { renderer, sample: Sample::of(settings.sample) });
        Ok(Self(Arc::new(Owner { target: settings.to, format, queue: Queue::start(sink)? })))
    }

    /// Opens the file again by its name: after somebody has renamed it, say. Lines
    /// that were handed over before go to the old one. Without effect where the target
    /// is no file.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened; the old one stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        if let LogTarget::File(path) = &self.0.target {
            self.0.queue.switch(Sink::append(path)?);
        }
        Ok(())
    }

    /// Waits until the lines of workers that have ended, and those of others that are
    /// older than 100 ms, are written; for at most a second. Returns whether they are.
    pub fn flush(&self) -> bool {
        self.0.queue.flush(FLUSH)
    }

    /// How many lines were not written since the log was opened.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.queue.dropped()
    }

    /// A worker's part of it. The log may be closed while it lives.
    fn for_worker(&self) -> WorkerLog {
        let (format, queue) = (Arc::clone(&self.0.format), self.0.queue.clone());
        WorkerLog { format, queue, batch: RefCell::default() }
    }
}

/// The same log, not only one with the same settings.
impl PartialEq for AccessLog {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for AccessLog {}

impl Drop for Owner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The log as one worker has it. Hands its lines over when dropped.
#[derive(Debug)]
pub(crate) struct WorkerLog {
    format: Arc<Format>,
    queue: Queue,
    batch: RefCell<Batch>,
}

impl WorkerLog {
    /// What records need not have.
    pub(crate) fn wanted(&self) -> Wanted {
        self.format.renderer.wanted()
    }

    /// Writes the line of a request that has just ended, if it is one of the sample.
    pub(crate) fn write(&self, record: &Record, clock: &Clock, entropy: &Entropy) {
        if !record.is_failure() && !self.format.sample.takes(|| entropy.next()) {
            return;
        }
        let took = clock.now().since(record.started);
        let when = When { started: clock.wall(record.started), took };
        let mut batch = self.batch.borrow_mut();
        self.format.renderer.line(&mut batch.bytes, record, when);
        batch.lines += 1;
        if batch.bytes.len() >= FULL {
            self.queue.push(mem::take(&mut batch));
        }
    }

    fn hand_over(&self) {
        let mut batch = self.batch.borrow_mut();
        if batch.lines > 0 {
            self.queue.push(mem::take(&mut batch));
        }
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.hand_over();
    }
}

/// The logs of one worker: the one in use, and those that requests which began
/// before a change still use.
#[derive(Debug, Default)]
pub(crate) struct WorkerLogs(RefCell<Vec<Weak<WorkerLog>>>);

impl WorkerLogs {
    /// The worker's part of a log, always the same one.
    pub(crate) fn part_of(&self, log: &AccessLog) -> Rc<WorkerLog> {
        let mut known = self.0.borrow_mut();
        known.retain(|part| part.strong_count() > 0);
        let mut parts = known.iter().filter_map(Weak::upgrade);
        if let Some(part) = parts.find(|part| Arc::ptr_eq(&part.format, &log.0.format)) {
            return part;
        }
        let part = Rc::new(log.for_worker());
        known.push(Rc::downgrade(&part));
        part
    }

    /// Hands over what there is. Called with every tick.
    pub(crate) fn hand_over(&self) {
        self.0.borrow().iter().filter_map(Weak::upgrade).for_each(|part| part.hand_over());
    }
}

/// A share of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sample {
    All,
    /// Those with entropy below.
    Below(u64),
}

impl Sample {
    fn of(percent: f64) -> Self {
        if percent >= 100.0 {
            return Self::All;
        }
        // Saturates; what is no number is nothing.
        Self::Below((percent / 100.0 * 2_f64.powi(64)) as u64)
    }

    fn takes(self, entropy: impl FnOnce() -> u64) -> bool {
        match self {
            Self::All => true,
            Self::Below(limit) => entropy() < limit,
        }
    }
}

#[cfg(test)]
mod tests;
