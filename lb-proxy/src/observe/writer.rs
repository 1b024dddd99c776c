//! The thread that writes, and the queue in front of it.
//!
//! Workers never wait: they put a batch of lines into the queue, or, when more than
//! [`LIMIT`] bytes wait already, they drop it and count its lines. All waiting for
//! disks and readers, and all complaining about it, is done here; a complaint may
//! go the same stuck way as the lines.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender},
    },
    thread,
    time::Duration,
};

use lb_core::Tick;

use super::sink::{Sink, WriteError};
use crate::runtime::clock;

/// Bytes that may wait to be written.
const LIMIT: usize = 4 * 1024 * 1024;

/// How long to wait for a reader when there is no owner any more.
const CLOSING: Duration = Duration::from_secs(1);

/// The least time between two complaints.
const QUIET: Duration = Duration::from_secs(1);

/// Lines that are handed over together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

#[derive(Debug)]
enum Job {
    Write(Batch),
    /// Go on there.
    Switch(Sink),
    /// Say when everything before this is written.
    Flush(SyncSender<()>),
}

/// The end of the queue that takes. The writer lives as long as there is one.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    jobs: Sender<Job>,
    state: Arc<State>,
}

/// What both ends know. Statistics, but for `closing`, which nothing hangs on either:
/// it bounds a wait.
#[derive(Debug, Default)]
struct State {
    /// Bytes that wait, those being written included. By all.
    waiting: AtomicUsize,
    /// Lines that were not written. By all.
    dropped: AtomicU64,
    /// The log has no owner any more. Set by the last.
    closing: AtomicBool,
}

impl Queue {
    /// Starts a writer.
    pub(super) fn start(sink: Sink) -> io::Result<Self> {
        let (jobs, received) = mpsc::channel();
        let state = Arc::<State>::default();
        let (told, closing) = (Told::default(), None);
        let writer = Writer { sink, is_closed: false, state: Arc::clone(&state), told, closing };
        thread::Builder::new().name("lb-log".into()).spawn(move || writer.run(&received))?;
        Ok(Self { jobs, state })
    }

    /// Hands a batch over, or drops it. Never waits.
    pub(super) fn push(&self, batch: Batch) {
        let (bytes, lines) = (batch.bytes.len(), batch.lines);
        let fits = self.state.waiting.fetch_add(bytes, Relaxed) + bytes <= LIMIT;
        if !fits || self.jobs.send(Job::Write(batch)).is_err() {
            self.state.waiting.fetch_sub(bytes, Relaxed);
            self.state.dropped.fetch_add(lines, Relaxed);
        }
    }

    /// Lines after this go elsewhere.
    pub(super) fn switch(&self, sink: Sink) {
        // Without a writer there are no lines.
        let _ = self.jobs.send(Job::Switch(sink));
    }

    pub(super) fn dropped(&self) -> u64 {
        self.state.dropped.load(Relaxed)
    }

    /// Waits until everything handed over so far is written, for at most `limit`.
    /// Returns whether it is.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let (done, is_done) = mpsc::sync_channel(1);
        self.jobs.send(Job::Flush(done)).is_ok() && is_done.recv_timeout(limit).is_ok()
    }

    /// Has the writer give up when it cannot write for a while.
    pub(super) fn close(&self) {
        self.state.closing.store(true, Relaxed);
    }
}

struct Writer {
    sink: Sink,
    /// Nobody reads what is written there.
    is_closed: bool,
    state: Arc<State>,
    told: Told,
    /// When it was noticed that nobody reads and there is no owner any more.
    closing: Option<Tick>,
}

/// What was complained of.
#[derive(Default)]
struct Told {
    dropped: u64,
    last: Option<Tick>,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let job = if self.told.dropped == self.state.dropped.load(Relaxed) {
                jobs.recv().map_err(RecvTimeoutError::from)
            } else {
                jobs.recv_timeout(QUIET)
            };
            match job {
                Ok(Job::Write(batch)) => self.write(&batch),
                Ok(Job::Switch(sink)) => {
                    self.sink = sink;
                    self.is_closed = false;
                }
                // Who asked may have gone.
                Ok(Job::Flush(done)) => drop(done.try_send(())),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.told.about(&self.state);
        }
    }

    fn write(&mut self, batch: &Batch) {
        let result = if self.is_closed {
            Err((WriteError::GivenUp, &batch.bytes[..]))
        } else {
            let Self { sink, state, told, closing, .. } = self;
            sink.write(&batch.bytes, || {
                told.about(state);
                !state.closing.load(Relaxed)
                    || clock::now().since(*closing.get_or_insert_with(clock::now)) < CLOSING
            })
        };
        self.state.waiting.fetch_sub(batch.bytes.len(), Relaxed);
        let Err((error, rest)) = result else { return };
        let lines = rest.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.state.dropped.fetch_add(lines, Relaxed);
        match error {
            WriteError::GivenUp => {}
            WriteError::Closed => {
                self.is_closed = true;
                tracing::warn!("nobody reads the access log any more; it ends here");
            }
            WriteError::Failed(error) => {
                if self.told.may_tell() {
                    tracing::warn!(%error, "cannot write the access log");
                }
            }
        }
    }
}

impl Told {
    fn about(&mut self, state: &State) {
        let dropped = state.dropped.load(Relaxed);
        if dropped != self.dropped && self.may_tell() {
            let lines = dropped - self.dropped;
            tracing::warn!(lines, "access log lines were dropped");
            self.dropped = dropped;
        }
    }

    fn may_tell(&mut self) -> bool {
        let now = clock::now();
        let may = self.last.is_none_or(|last| now.since(last) >= QUIET);
        if may {
            self.last = Some(now);
        }
        may
    }
}
