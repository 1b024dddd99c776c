//! The access log: one for all workers, and what each worker has of it.
//!
//! A worker renders its lines into a buffer of its own and hands the buffer over
//! when [`FULL`], or with the next tick. So a line is written up to a tick (100 ms)
//! after the request's end, and costs no system call and no lock of its own.

use std::{cell::RefCell, io, mem, sync::Arc, time::Duration};

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

/// How long the end of a log may take.
const CLOSING: Duration = Duration::from_secs(1);

/// Writes a line per request, in a thread of its own.
///
/// Cheap to clone. A proxy that is given one ([`Service::access_log`]) never waits for
/// it: when the target takes nothing, up to 4 MiB of lines wait and further ones are
/// [dropped](Self::dropped) and counted. Lines that wait are written when the last
/// clone is dropped, which takes at most a second.
///
/// [`Service::access_log`]: crate::Service::access_log
#[derive(Debug, Clone)]
pub struct AccessLog(Arc<Owner>);

/// Ends the log when dropped.
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

    /// How many lines were not written since the log was opened.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.queue.dropped()
    }

    /// A worker's part of it. Does not keep the log from being closed, and never
    /// waits for that.
    pub(crate) fn for_worker(&self) -> WorkerLog {
        let (format, queue) = (Arc::clone(&self.0.format), self.0.queue.clone());
        WorkerLog { format, queue, batch: RefCell::default() }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.queue.flush(CLOSING) {
            self.queue.give_up();
        }
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

    /// Hands over what there is. Called with every tick.
    pub(crate) fn hand_over(&self) {
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
