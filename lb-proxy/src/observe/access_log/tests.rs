use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::fd::OwnedFd,
    path::PathBuf,
    time::Instant,
};

use http::HeaderValue;
use lb_core::Tick;

use super::*;
use crate::observe::settings::LogFormat;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lb-log-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn settings(to: LogTarget) -> AccessLogSettings {
    let format = LogFormat::Template("$client $status $end".parse().unwrap());
    AccessLogSettings { to, format, ..AccessLogSettings::default() }
}

fn record(client: &'static str, status: u16) -> Record {
    let mut record = Record::new(Tick::ZERO, HeaderValue::from_static(client), "l".into());
    record.status = status;
    record
}

fn write(log: &WorkerLog, client: &'static str) {
    log.write(&record(client, 200), &Clock::new(), &Entropy::from_os());
}

fn pipe() -> (io::PipeReader, Sink) {
    let (reader, writer) = io::pipe().unwrap();
    (reader, Sink::new(File::from(OwnedFd::from(writer))).unwrap())
}

fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn lines_of_all_workers_are_in_the_file_when_the_log_is_flushed() {
    let folder = Folder::new("close");
    let path = folder.0.join("access.log");
    fs::write(&path, "older\n").unwrap();
    let log = AccessLog::open(settings(LogTarget::File(path.clone()))).unwrap();
    for client in ["a", "b"] {
        write(&log.for_worker(), client);
    }
    assert!(log.flush());
    assert_eq!(fs::read_to_string(&path).unwrap(), "older\na 200 done\nb 200 done\n");
}

#[test]
fn lines_wait_for_the_tick_or_for_company() {
    let (reader, sink) = pipe();
    let log = AccessLog::writing_to(sink, settings(LogTarget::Stdout)).unwrap();
    let mut lines = BufReader::new(reader).lines();
    let worker = log.for_worker();
    write(&worker, "tick");
    assert_eq!(worker.batch.borrow().lines, 1);
    worker.hand_over();
    assert_eq!(worker.batch.borrow().lines, 0);
    assert_eq!(lines.next().unwrap().unwrap(), "tick 200 done");
    let mut count = 0;
    while count == 0 || worker.batch.borrow().lines > 0 {
        write(&worker, "company");
        count += 1;
    }
    assert_eq!(count, FULL.div_ceil("company 200 done\n".len()));
    assert_eq!(lines.next().unwrap().unwrap(), "company 200 done");
}

#[test]
fn a_file_that_was_renamed_is_left_when_asked_to() {
    let folder = Folder::new("reopen");
    let (path, old) = (folder.0.join("access.log"), folder.0.join("access.log.1"));
    let log = AccessLog::open(settings(LogTarget::File(path.clone()))).unwrap();
    let worker = log.for_worker();
    write(&worker, "first");
    worker.hand_over();
    assert!(log.flush());
    fs::rename(&path, &old).unwrap();
    write(&worker, "second");
    worker.hand_over();
    log.reopen().unwrap();
    write(&worker, "third");
    drop(worker);
    assert!(log.flush());
    assert_eq!(fs::read_to_string(&old).unwrap(), "first 200 done\nsecond 200 done\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "third 200 done\n");
}

#[test]
fn a_file_that_cannot_be_opened_again_stays() {
    let folder = Folder::new("stays");
    let (path, old) = (folder.0.join("access.log"), folder.0.join("access.log.1"));
    let log = AccessLog::open(settings(LogTarget::File(path.clone()))).unwrap();
    fs::rename(&path, &old).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(log.reopen().is_err());
    write(&log.for_worker(), "kept");
    assert!(log.flush());
    assert_eq!(fs::read_to_string(&old).unwrap(), "kept 200 done\n");
}

#[test]
fn a_folder_that_is_not_there_is_an_error_at_start() {
    let folder = Folder::new("missing");
    let path = folder.0.join("none/access.log");
    assert!(AccessLog::open(settings(LogTarget::File(path))).is_err());
}

/// Nobody reads: the worker goes on, lines are counted, and a flush ends.
#[test]
fn a_worker_goes_on_when_nobody_reads() {
    let (reader, sink) = pipe();
    let log = AccessLog::writing_to(sink, settings(LogTarget::Stdout)).unwrap();
    let worker = log.for_worker();
    let (clock, entropy) = (Clock::new(), Entropy::from_os());
    let record = record("192.0.2.200", 200);
    let mut written = 0_u64;
    // More than the queue and the pipe hold.
    while log.dropped() == 0 {
        worker.write(&record, &clock, &entropy);
        written += 1;
        assert!(written < 1_000_000, "nothing was dropped");
    }
    let (dropped, queue) = (log.dropped(), log.0.queue.clone());
    assert!(dropped < written);
    assert!(!log.flush(), "nobody reads");
    drop((worker, log));
    eventually("the writer gives up", || queue.dropped() > dropped);
    let first = BufReader::new(reader).lines().next().unwrap().unwrap();
    assert_eq!(first, "192.0.2.200 200 done");
}

#[test]
fn a_reader_that_left_ends_the_log_and_nothing_else() {
    let (reader, sink) = pipe();
    drop(reader);
    let log = AccessLog::writing_to(sink, settings(LogTarget::Stdout)).unwrap();
    let worker = log.for_worker();
    for dropped in 1..4 {
        write(&worker, "a");
        worker.hand_over();
        eventually("the line is counted", || log.dropped() == dropped);
    }
}

#[test]
fn a_sample_is_the_share_of_entropy() {
    let sample = Sample::of(25.0);
    assert!(sample.takes(|| (1 << 62) - 1));
    assert!(!sample.takes(|| 1 << 62));
    assert!(!Sample::of(0.0).takes(|| 0));
    assert!(Sample::of(100.0).takes(|| u64::MAX));
}

#[test]
fn failures_are_logged_whatever_the_sample_is() {
    let folder = Folder::new("sample");
    let path = folder.0.join("access.log");
    let settings = AccessLogSettings { sample: 0.0, ..settings(LogTarget::File(path.clone())) };
    let log = AccessLog::open(settings).unwrap();
    let worker = log.for_worker();
    let (clock, entropy) = (Clock::new(), Entropy::from_os());
    let mut aborted = record("a", 200);
    aborted.ends("client-abort");
    for record in [record("b", 200), aborted, record("c", 404), record("d", 502)] {
        worker.write(&record, &clock, &entropy);
    }
    drop(worker);
    assert!(log.flush());
    assert_eq!(fs::read_to_string(&path).unwrap(), "a 200 client-abort\nd 502 done\n");
}
