//! What waits to be written to stderr.
//!
//! Whoever reads there may have stopped reading, or may be gone. Who writes are the threads
//! that judge health, follow sources and take signals: waiting for a reader, or panicking
//! about one, would be the end of all that. So a process that serves puts what it has to
//! say into a queue, and a thread waits in its place. What finds the queue full is dropped
//! and counted, and that is told once there is room again.

use std::{
    fs::File,
    io::{self, Write, stderr},
    os::fd::AsFd as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, Sender, SyncSender},
    },
    thread,
    time::Duration,
};

/// Bytes that may wait.
const LIMIT: usize = 4 * 1024 * 1024;

/// How long the end of the process waits for a reader.
const CLOSING: Duration = Duration::from_secs(1);

/// The one of this process, once it serves.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Has everything from now on go through a queue.
///
/// # Errors
///
/// When there is no thread or file descriptor for it.
pub(super) fn start() -> io::Result<()> {
    // Not `Stderr` itself: it is locked while it waits, and a panic would wait for that.
    let out = File::from(stderr().as_fd().try_clone_to_owned()?);
    QUEUE.set(Queue::start(out)?).map_err(|_| io::ErrorKind::AlreadyExists.into())
}

/// Writes through the queue, or at once if there is none.
pub(super) fn write(text: &[u8]) {
    match QUEUE.get() {
        Some(queue) => queue.push(text),
        // There is nowhere left to complain.
        None => drop(stderr().write_all(text)),
    }
}

/// Waits until everything is written, but not for ever.
pub(super) fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(CLOSING);
    }
}

/// [`write()`] for those who want an [`io::Write`]. Each call has to be whole lines.
#[derive(Debug)]
pub(super) struct Lines;

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        write(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Job {
    Write(Vec<u8>),
    /// Say when everything before this is written.
    Flush(SyncSender<()>),
}

/// The end that takes.
#[derive(Debug)]
struct Queue {
    jobs: Sender<Job>,
    state: Arc<State>,
}

/// What both ends know. Statistics: nothing else hangs on them.
#[derive(Debug, Default)]
struct State {
    /// Bytes that wait, those being written included. By all.
    waiting: AtomicUsize,
    /// Lines that were dropped and not yet told of. By all.
    dropped: AtomicUsize,
}

impl Queue {
    fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (jobs, received) = mpsc::channel();
        let state = Arc::<State>::default();
        let known = Arc::clone(&state);
        let run = move || work_off(&received, out, &known);
        thread::Builder::new().name("lb-stderr".into()).spawn(run)?;
        Ok(Self { jobs, state })
    }

    /// Never waits.
    fn push(&self, text: &[u8]) {
        let fits = self.state.waiting.fetch_add(text.len(), Relaxed) + text.len() <= LIMIT;
        if !fits || self.jobs.send(Job::Write(text.to_vec())).is_err() {
            self.state.waiting.fetch_sub(text.len(), Relaxed);
            let lines = text.iter().filter(|byte| **byte == b'\n').count();
            self.state.dropped.fetch_add(lines, Relaxed);
        }
    }

    /// Whether everything was written within `limit`.
    fn flush(&self, limit: Duration) -> bool {
        let (done, is_done) = mpsc::sync_channel(1);
        self.jobs.send(Job::Flush(done)).is_ok() && is_done.recv_timeout(limit).is_ok()
    }
}

/// The life of the thread that waits.
fn work_off(jobs: &Receiver<Job>, mut out: impl Write, state: &State) {
    for job in jobs {
        match job {
            Job::Write(text) => {
                // Whom it was for is gone, and may be replaced.
                let _ = out.write_all(&text);
                let before = state.waiting.fetch_sub(text.len(), Relaxed);
                if before == text.len() {
                    let dropped = state.dropped.swap(0, Relaxed);
                    if dropped > 0 {
                        let _ = writeln!(out, "lb: {dropped} lines were dropped here: nobody read");
                    }
                }
            }
            // Who asked may have stopped waiting.
            Job::Flush(done) => drop(done.try_send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn what_finds_the_queue_full_is_dropped_and_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let queue = Queue::start(writer).unwrap();
        // More than a pipe takes: it is not written before somebody reads.
        let mut first = vec![b'x'; LIMIT - 11 * 4];
        first[LIMIT - 11 * 4 - 1] = b'\n';
        queue.push(&first);
        for _ in 0..11 + 7 {
            queue.push(b"one\n");
        }
        assert!(!queue.flush(Duration::ZERO), "nobody has read");
        let read = thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        assert!(queue.flush(PATIENCE));
        queue.push(b"after\n");
        assert!(queue.flush(PATIENCE));
        drop(queue);
        let text = read.join().unwrap().unwrap();
        assert_eq!(text.matches("one\n").count(), 11);
        assert!(text.ends_with("one\nlb: 7 lines were dropped here: nobody read\nafter\n"));
    }

    #[test]
    fn a_reader_that_is_gone_ends_nothing() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let queue = Queue::start(writer).unwrap();
        for _ in 0..2 {
            queue.push(b"line\n");
            assert!(queue.flush(PATIENCE));
        }
    }
}
