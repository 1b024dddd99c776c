use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc as std_mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use lb_core::{cluster::Standing, sample::mix};
use lb_proxy::{
    config::Pretended,
    demo::{DemoBackend, DemoOptions},
};
use rustix::process::{Signal, getpid, kill_process};
use serde_json::{Value, json};
use tokio::{signal::unix::SignalKind, sync::broadcast};

use super::*;
use crate::{
    control::{
        Ask, Author, BackendPatch, Done, Door, Memory, NewBackend, Page, Refused, Remembered,
        SettingTable, WantedState, Wish,
    },
    state::{Change, ChangeId, Dropped, NewChange, Override, Store, Subject},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A balancer that serves in a thread of its own until it is dropped.
struct Served {
    desk: Desk,
    address: SocketAddr,
    file: Arc<Mutex<String>>,
    end: Signal,
    thread: Option<JoinHandle<Ending>>,
    here: Runtime,
}

/// Signals that nobody else takes; each balancer of this process ends by one of its own.
const ENDS: [Signal; 15] = [
    Signal::URG,
    Signal::WINCH,
    Signal::IO,
    Signal::CONT,
    Signal::TTIN,
    Signal::TTOU,
    Signal::VTALARM,
    Signal::PROF,
    Signal::XCPU,
    Signal::XFSZ,
    Signal::PIPE,
    Signal::ALARM,
    Signal::TSTP,
    Signal::USR2,
    Signal::TRAP,
];
static NEXT_END: AtomicUsize = AtomicUsize::new(0);

fn read(text: &str) -> Option<Config> {
    Config::parse("test", text, &Pretended::default()).0
}

impl Served {
    fn start(text: &str, memory: &Arc<dyn Memory>) -> Self {
        let end = ENDS[NEXT_END.fetch_add(1, Ordering::Relaxed)];
        let config = read(text).unwrap();
        let ledger = Ledger::open(Arc::clone(memory), true).unwrap();
        let app = App::start(&config, "test", ledger).unwrap();
        let (desk, address) = (app.desk().clone(), app.addresses()[0]);
        let file = Arc::new(Mutex::new(text.to_owned()));
        let again = Arc::clone(&file);
        let reread: Reread = Arc::new(move |_| {
            let config = read(&again.lock().unwrap()).ok_or_else(Mistakes::default)?;
            Ok(ReadConfig { config, origin: "test".to_owned(), texts: Texts::default() })
        });
        let signals = Signals::of_a_test(SignalKind::from_raw(end.as_raw())).unwrap();
        let thread = thread::spawn(move || app.serve(signals, &reread, &|_| None));
        let here = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { desk, address, file, end, thread: Some(thread), here }
    }

    fn ask(&self, wishes: Vec<Wish>) -> Result<Done, Refused> {
        self.ask_as(wishes, false, false)
    }

    fn ask_as(&self, wishes: Vec<Wish>, dry_run: bool, force: bool) -> Result<Done, Refused> {
        let author = Author { name: "anna".to_owned(), door: Door::Loopback };
        let ask = Ask { wishes, author, why: Some("test".to_owned()), dry_run, force };
        let answer =
            self.here.block_on(async { tokio::time::timeout(PATIENCE, self.desk.ask(ask)).await });
        let answer = answer.expect("an answer");
        assert!(answer.as_ref().is_ok_and(|done| done.effective || dry_run) || answer.is_err());
        answer
    }

    /// Waits for an event after which `is_it` holds.
    fn wait_for(
        &self,
        events: &mut broadcast::Receiver<Arc<Event>>,
        is_it: impl Fn(&Event) -> bool,
    ) {
        let wait = async {
            loop {
                match events.recv().await {
                    Ok(event) if is_it(&event) => return,
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let wait = async { tokio::time::timeout(PATIENCE, wait).await };
        self.here.block_on(wait).expect("an event");
    }

    fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.desk.events().follow(u64::MAX).1
    }

    /// All that differs from the file: `d1 state = "draining"`.
    fn drift(&self) -> Vec<String> {
        let drift = self.desk.overview().drift.clone();
        drift
            .iter()
            .map(|one| {
                let subject = one.backend.as_ref().unwrap_or(&one.cluster);
                format!("{subject} {} = {}", one.field, one.value)
            })
            .collect()
    }

    /// Where each stands, and its weight.
    fn standings(&self) -> Vec<(String, Standing, u32)> {
        let overview = self.desk.overview();
        let snapshot = overview.clusters[0].cluster.snapshot();
        let view = snapshot.view();
        let one = |slot| {
            let name = view.backend(slot).name().to_owned();
            (name, view.standing(slot), view.base_weight(slot))
        };
        view.slots().map(one).collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        kill_process(getpid(), self.end).unwrap();
        let ended = thread.join();
        assert!(std::thread::panicking() || ended.is_ok());
    }
}

/// One request over a connection of its own: whether the answer was a whole 200.
fn get(address: SocketAddr, path: &str) -> Result<(), String> {
    let answer = || {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    };
    let text = answer().map_err(|error: std::io::Error| error.to_string())?;
    let is_whole = text.starts_with("HTTP/1.1 200 ") && text.ends_with("}\n");
    is_whole.then_some(()).ok_or(text)
}

fn backends(names: &[&str]) -> Vec<DemoBackend> {
    names.iter().map(|name| DemoOptions::named(*name).start().unwrap()).collect()
}

fn file(backends: &[DemoBackend], more: &str) -> String {
    let listed: Vec<String> = backends
        .iter()
        .map(|one| format!("{{ address = \"{}\", name = \"{}\" }}", one.address(), one.name()))
        .collect();
    let listed = listed.join(", ");
    format!(
        "listen = \"127.0.0.1:0\"\nworkers = 2\n[[route]]\nto = \"web\"\n[cluster.web]\n\
         backends = [{listed}]\n{more}"
    )
}

fn patch(backend: &str, patch: BackendPatch) -> Wish {
    Wish::Patch { cluster: "web".to_owned(), backend: backend.to_owned(), patch }
}

fn state(backend: &str, state: WantedState) -> Wish {
    patch(backend, BackendPatch { state: Some(state), ..BackendPatch::default() })
}

fn drain(backend: &str) -> Wish {
    state(backend, WantedState::Draining { limit: None })
}

fn weight(backend: &str, weight: u32) -> Wish {
    patch(backend, BackendPatch { weight: Some(Some(weight)), ..BackendPatch::default() })
}

fn add(backend: &DemoBackend) -> Wish {
    let backend = NewBackend {
        address: backend.address().to_string(),
        name: Some(backend.name().to_owned()),
        ..NewBackend::default()
    };
    Wish::Add { cluster: "web".to_owned(), backend }
}

fn remove(backend: &str, drain: Option<Duration>) -> Wish {
    Wish::Remove { cluster: "web".to_owned(), backend: backend.to_owned(), drain }
}

fn strategy(strategy: Value) -> Wish {
    Wish::Strategy { cluster: "web".to_owned(), strategy }
}

fn undo(done: &Done) -> Wish {
    Wish::Undo { change: done.changes[0].id }
}

#[test]
fn a_restart_with_the_same_memory_shows_and_does_the_same() {
    let four = backends(&["d1", "d2", "d3", "d4"]);
    let extra = backends(&["x1"]);
    let text = file(&four, "");
    let state = std::env::temp_dir().join(format!("lb-control-{}.db", std::process::id()));
    let remembered = || Remembered::in_file(Store::open(&state, now()).unwrap());
    let served = Served::start(&text, &remembered());
    served
        .ask(vec![
            drain("d1"),
            weight("d2", 5),
            remove("d3", None),
            add(&extra[0]),
            strategy(json!({ "name": "maglev", "key": "uri" })),
        ])
        .unwrap();
    served.ask(vec![weight("d4", 9)]).unwrap();
    let back = served.ask(vec![weight("d4", 7)]).unwrap();
    served.ask(vec![undo(&back)]).unwrap();
    let (drift, standings) = (served.drift(), served.standings());
    assert_eq!(drift.len(), 6, "{drift:?}");
    let drained = ("d1".to_owned(), Standing::Draining, 1);
    let names: Vec<&str> = standings.iter().map(|one| &*one.0).collect();
    assert_eq!((&standings[0], names), (&drained, vec!["d1", "d2", "d4", "x1"]));
    assert_eq!((standings[1].2, standings[2].2), (5, 9));
    drop(served);

    let served = Served::start(&text, &remembered());
    assert_eq!((served.drift(), served.standings()), (drift, standings));
    let before = four[0].requests();
    for number in 0..40 {
        get(served.address, &format!("/{number}")).unwrap();
    }
    assert_eq!(four[0].requests(), before, "it is still drained");
    // What was done before is undone now.
    let undone = served.ask(vec![Wish::Undo { change: 1 }]).unwrap();
    assert_eq!((undone.changes[0].undoes, served.standings()[0].1), (Some(1), Standing::In));
    drop(served);
    std::fs::remove_file(&state).unwrap();
}

#[test]
fn what_the_file_says_anew_wins_over_what_was_set_before_and_nothing_else_does() {
    let two = backends(&["d1", "d2"]);
    let served = Served::start(&file(&two, ""), &Remembered::in_mind().unwrap());
    served.ask(vec![weight("d1", 7), drain("d2")]).unwrap();
    let mut events = served.listen();
    // A reload of the same file is no news.
    served.ask(vec![Wish::Reload]).unwrap();
    assert_eq!(served.standings()[0].2, 7);
    let now = file(&two, "").replace("name = \"d1\"", "name = \"d1\", weight = 2");
    *served.file.lock().unwrap() = now;
    let done = served.ask(vec![Wish::Reload]).unwrap();
    assert!(done.impact.says.contains("clusters: changed web"), "{}", done.impact.says);
    served.wait_for(&mut events, |event| {
        event.kind == EventKind::Dropped && event.field.as_deref() == Some("weight")
    });
    assert_eq!(served.drift(), ["d2 state = \"draining\""]);
    let standings = served.standings();
    assert_eq!((standings[0].2, standings[1].1), (2, Standing::Draining));

    *served.file.lock().unwrap() = "nonsense".to_owned();
    let refused = served.ask(vec![Wish::Reload]).unwrap_err();
    assert!(matches!(refused, Refused::BadConfig { .. }), "{refused:?}");
    assert_eq!(served.desk.overview().config_generation, 3);
}

#[test]
fn an_undo_is_refused_once_something_newer_lies_on_the_change() {
    let two = backends(&["d1", "d2"]);
    let served = Served::start(&file(&two, ""), &Remembered::in_mind().unwrap());
    let first = served.ask(vec![weight("d1", 3)]).unwrap();
    let second = served.ask(vec![weight("d1", 4)]).unwrap();
    let refused = served.ask(vec![undo(&first)]).unwrap_err();
    assert!(matches!(refused, Refused::ChangedSince { .. }), "{refused:?}");
    served.ask(vec![undo(&second)]).unwrap();
    assert_eq!(served.standings()[0].2, 3);
    served.ask(vec![undo(&first)]).unwrap();
    assert_eq!((served.standings()[0].2, served.drift().len()), (1, 0));
    let again = served.ask(vec![undo(&first)]).unwrap_err();
    assert!(matches!(again, Refused::ChangedSince { .. }), "{again:?}");
    let unknown = served.ask(vec![Wish::Undo { change: 99 }]).unwrap_err();
    assert_eq!(unknown, Refused::NoSuchChange { change: 99 });
    let removed = served.ask(vec![remove("d2", None)]).unwrap();
    assert_eq!(served.standings().len(), 1);
    served.ask(vec![undo(&removed)]).unwrap();
    assert_eq!(served.standings().len(), 2);
}

#[test]
fn a_dry_run_and_a_refusal_change_nothing() {
    let two = backends(&["d1", "d2"]);
    let served = Served::start(&file(&two, ""), &Remembered::in_mind().unwrap());
    let both = vec![drain("d1"), drain("d2")];
    let told = served.ask_as(vec![drain("d1")], true, false).unwrap();
    assert_eq!(told.impact.says, "web: 0 requests in flight, share 50 % → d2; 1 usable left");
    let refused = served.ask(both.clone()).unwrap_err();
    assert!(matches!(refused, Refused::WouldEmpty { .. }), "{refused:?}");
    assert_eq!(served.drift(), Vec::<String>::new());
    let changes = served.here.block_on(served.desk.changes(Page::After(0), 10)).unwrap();
    assert_eq!(changes, []);
    let forced = served.ask_as(both, false, true).unwrap();
    assert_eq!((forced.changes.len(), forced.impact.usable_left), (2, 0));
    // To have them both back needs no force.
    served.ask(vec![undo(&forced)]).unwrap();
    get(served.address, "/").unwrap();
}

/// Remembers nothing any more.
#[derive(Debug)]
struct Full;

impl Memory for Full {
    fn record(&self, _: Vec<NewChange>) -> Result<Vec<ChangeId>, String> {
        Err("the disk is full".to_owned())
    }

    fn changes(&self, _: Page, _: usize) -> Result<Vec<Change>, String> {
        Ok(Vec::new())
    }

    fn undoable(&self, change: ChangeId) -> Result<Change, Refused> {
        Err(Refused::NoSuchChange { change: change.get() })
    }

    fn overrides(&self) -> Result<Vec<Override>, String> {
        Ok(Vec::new())
    }

    fn expire(&self, _: &BTreeSet<Subject>) -> Result<Vec<Dropped>, String> {
        Ok(Vec::new())
    }
}

#[test]
fn what_cannot_be_written_down_is_not_done() {
    let two = backends(&["d1", "d2"]);
    let memory: Arc<dyn Memory> = Arc::new(Full);
    let served = Served::start(&file(&two, ""), &memory);
    let refused = served.ask(vec![drain("d1")]).unwrap_err();
    assert!(matches!(refused, Refused::NotRecorded { .. }), "{refused:?}");
    assert_eq!((served.drift().len(), served.standings()[0].1), (0, Standing::In));
}

#[test]
fn a_backend_that_was_added_takes_requests_once_its_first_check_has_passed() {
    let one = backends(&["d1"]);
    let away = backends(&["x1"]).remove(0);
    let (wish, address) = (add(&away), away.address());
    away.stop();
    let checks = "health = { path = \"/load\", interval = \"100ms\" }\n";
    let served = Served::start(&file(&one, checks), &Remembered::in_mind().unwrap());
    let mut events = served.listen();
    served.ask(vec![wish]).unwrap();
    assert_eq!(served.standings()[1].1, Standing::Disabled);
    assert_eq!(served.desk.overview().clusters[0].joining.len(), 1);
    // The only other one may not be taken out meanwhile.
    assert!(served.ask(vec![drain("d1")]).is_err());
    let there = DemoOptions::named("x1").bind(address).start().unwrap();
    served.wait_for(&mut events, |event| event.why.contains("its first check passed"));
    assert!(served.desk.overview().clusters[0].joining.is_empty());
    served.ask(vec![drain("d1")]).unwrap();
    let before = there.requests();
    get(served.address, "/").unwrap();
    assert_eq!(there.requests(), before + 1);
}

#[test]
fn a_backend_that_is_removed_finishes_what_it_has_first() {
    let two = backends(&["d1", "d2"]);
    let first = "strategy = \"first\"\n";
    let served = Served::start(&file(&two, first), &Remembered::in_mind().unwrap());
    let mut events = served.listen();
    let address = served.address;
    let slow = thread::spawn(move || get(address, "/delay/400ms"));
    while two[0].requests() == 0 {
        thread::yield_now();
    }
    served.ask(vec![remove("d1", Some(PATIENCE))]).unwrap();
    assert_eq!(served.desk.overview().clusters[0].leaving.len(), 1);
    assert_eq!(served.standings()[0].1, Standing::Draining);
    assert!(!served.desk.drain("web", "d1").unwrap().is_finished);
    get(address, "/").unwrap();
    assert_eq!((two[0].requests(), two[1].requests()), (1, 1));
    served.wait_for(&mut events, |event| event.kind == EventKind::Drained);
    slow.join().unwrap().unwrap();
    served.wait_for(&mut events, |event| event.why.contains("is gone"));
    assert_eq!(served.desk.overview().clusters[0].leaving, []);
}

#[test]
fn a_backend_that_is_added_while_it_leaves_takes_requests_and_leaves_by_a_later_limit() {
    let two = backends(&["d1", "d2"]);
    let checks = "health = { path = \"/load\", interval = \"50ms\" }\n\
                  sticky = { cookie = \"LB\" }\n";
    let served = Served::start(&file(&two, checks), &Remembered::in_mind().unwrap());
    let is_up = || {
        let conditions = served.desk.overview().clusters[0].cluster.conditions();
        conditions.iter().filter(|one| one.health == lb_core::Health::Up).count() == 2
    };
    while !is_up() {
        thread::yield_now();
    }
    let mut events = served.listen();
    let short = Duration::from_millis(300);
    let removed = served.ask(vec![remove("d2", Some(PATIENCE))]).unwrap();
    let undone = served.ask(vec![undo(&removed)]).unwrap();
    assert!(undone.impact.says.contains("share 50 % → d2"), "{}", undone.impact.says);
    assert_eq!(served.desk.drain("web", "d2"), None);
    served.ask(vec![remove("d2", Some(short))]).unwrap();
    served.ask(vec![add(&two[1])]).unwrap();
    served.wait_for(&mut events, |event| event.why.contains("its first check passed"));
    assert_eq!(served.standings()[1].1, Standing::In);
    served.ask(vec![remove("d2", Some(PATIENCE))]).unwrap();
    thread::sleep(2 * short);
    assert_eq!(served.desk.overview().clusters[0].leaving.len(), 1);
}

#[test]
fn a_drain_of_bound_clients_ends_with_its_limit_and_a_person_goes_before_the_file() {
    let two = backends(&["d1", "d2"]);
    let text = file(&two, "sticky = { cookie = \"LB\" }\n");
    let text = text.replace("name = \"d2\"", "name = \"d2\", state = \"draining\"");
    let served = Served::start(&text, &Remembered::in_mind().unwrap());
    assert_eq!(served.standings()[1].1, Standing::Draining);
    let enabled = served.ask(vec![state("d2", WantedState::Enabled)]).unwrap();
    assert_eq!(served.standings()[1].1, Standing::In);
    assert_eq!(served.drift(), ["d2 state = \"enabled\""]);

    let mut events = served.listen();
    let limit = Some(Duration::from_millis(300));
    served.ask(vec![state("d1", WantedState::Draining { limit })]).unwrap();
    let progress = served.desk.drain("web", "d1").unwrap();
    assert!(progress.admits_bound && !progress.is_finished, "{progress:?}");
    served.wait_for(&mut events, |event| event.kind == EventKind::Drained);
    assert_eq!(served.standings()[0].1, Standing::Drained);
    assert!(served.desk.drain("web", "d1").unwrap().is_finished);
    // As the file says again: but then nobody would be left.
    let refused = served.ask(vec![undo(&enabled)]).unwrap_err();
    assert!(matches!(refused, Refused::WouldEmpty { .. }), "{refused:?}");
}

#[test]
fn what_leaves_or_is_drained_follows_a_reload() {
    let two = backends(&["d1", "d2"]);
    let extra = backends(&["x1"]).remove(0);
    let sticky = "sticky = { cookie = \"LB\" }\n";
    let served = Served::start(&file(&two, sticky), &Remembered::in_mind().unwrap());
    served.ask(vec![add(&extra)]).unwrap();
    // Clients may be bound to it, so it is there until its limit.
    served.ask(vec![remove("x1", Some(PATIENCE))]).unwrap();
    served.ask(vec![state("d1", WantedState::Disabled)]).unwrap();
    assert_eq!(served.desk.overview().clusters[0].leaving.len(), 1);
    let reload = |text: String| {
        *served.file.lock().unwrap() = text;
        served.ask(vec![Wish::Reload]).unwrap()
    };

    // The file has it by now.
    let mut all = two;
    all.push(extra);
    reload(file(&all, sticky));
    assert_eq!(served.desk.overview().clusters[0].leaving, []);
    assert_eq!((&*served.standings()[2].0, served.standings()[2].1), ("x1", Standing::In));

    // Its cluster is gone, and is back.
    reload(file(&all, sticky).replace("web", "other"));
    assert_eq!(served.desk.drain("web", "d1"), None);
    let mut events = served.listen();
    reload(file(&all, sticky));
    served.wait_for(&mut events, |event| event.kind == EventKind::Drained);
    assert!(served.desk.drain("web", "d1").unwrap().is_finished);
}

#[test]
fn a_drain_of_bound_clients_is_over_when_clients_are_not_bound_any_more() {
    let two = backends(&["d1", "d2"]);
    let sticky = "sticky = { cookie = \"LB\" }\n";
    let served = Served::start(&file(&two, sticky), &Remembered::in_mind().unwrap());
    served.ask(vec![drain("d1")]).unwrap();
    assert!(served.desk.drain("web", "d1").unwrap().admits_bound);
    let mut events = served.listen();
    let set = serde_json::Map::from_iter([("enabled".to_owned(), json!(false))]);
    let (cluster, table) = ("web".to_owned(), SettingTable::Sticky);
    served.ask(vec![Wish::Tune { cluster, table, set }]).unwrap();
    served.wait_for(&mut events, |event| event.kind == EventKind::Drained);
    let progress = served.desk.drain("web", "d1").unwrap();
    assert!(progress.is_finished && !progress.admits_bound, "{progress:?}");
}

/// Remembers, but takes its time to write.
#[derive(Debug)]
struct Slow {
    inner: Arc<dyn Memory>,
    begun: std_mpsc::SyncSender<()>,
    go_on: Mutex<std_mpsc::Receiver<()>>,
}

impl Memory for Slow {
    fn record(&self, changes: Vec<NewChange>) -> Result<Vec<ChangeId>, String> {
        self.begun.send(()).unwrap();
        let _ = self.go_on.lock().unwrap().recv_timeout(PATIENCE);
        self.inner.record(changes)
    }

    fn changes(&self, page: Page, limit: usize) -> Result<Vec<Change>, String> {
        self.inner.changes(page, limit)
    }

    fn undoable(&self, change: ChangeId) -> Result<Change, Refused> {
        self.inner.undoable(change)
    }

    fn overrides(&self) -> Result<Vec<Override>, String> {
        self.inner.overrides()
    }

    fn expire(&self, there: &BTreeSet<Subject>) -> Result<Vec<Dropped>, String> {
        self.inner.expire(there)
    }
}

#[test]
fn an_end_while_a_change_is_written_down_says_what_has_become_of_it() {
    for is_in_time in [true, false] {
        let two = backends(&["d1", "d2"]);
        let (begun, has_begun) = std_mpsc::sync_channel(1);
        let (go_on, goes_on) = std_mpsc::channel();
        let inner = Remembered::in_mind().unwrap();
        let slow = Slow { inner: Arc::clone(&inner), begun, go_on: Mutex::new(goes_on) };
        let memory: Arc<dyn Memory> = Arc::new(slow);
        let mut served = Served::start(&file(&two, ""), &memory);
        let (end, desk) = (served.end, served.desk.clone());
        let ending = thread::spawn(move || {
            has_begun.recv_timeout(PATIENCE).unwrap();
            kill_process(getpid(), end).unwrap();
            // Whoever is asked now is not served any more, so the signal was heard.
            while is_in_time && desk.is_open() {
                thread::yield_now();
                let _ = go_on.send(());
            }
            (!is_in_time).then_some(go_on)
        });
        let answer = served.ask(vec![drain("d1")]);
        let kept = ending.join().unwrap();
        // Its disk is still slow then.
        served.thread.take().unwrap().join().unwrap();
        drop(kept);
        match is_in_time {
            true => assert_eq!(answer.unwrap().changes.len(), inner.overrides().unwrap().len()),
            false => assert_eq!(answer.unwrap_err(), Refused::Stopping),
        }
    }
}

/// Clients that ask all the time, and how many answers were none.
struct Load {
    stop: Vec<std_mpsc::Sender<()>>,
    clients: Vec<JoinHandle<(u64, Vec<String>)>>,
}

impl Load {
    const CLIENTS: usize = 4;

    fn on(address: SocketAddr) -> Self {
        let (mut stop, mut clients) = (Vec::new(), Vec::new());
        for client in 0..Self::CLIENTS {
            let (sender, stopped) = std_mpsc::channel();
            stop.push(sender);
            clients.push(thread::spawn(move || {
                let (mut asked, mut failed) = (0, Vec::new());
                // A pause, so that there is something left of the machine.
                let pause = Duration::from_millis(3);
                while stopped.recv_timeout(pause) == Err(std_mpsc::RecvTimeoutError::Timeout) {
                    asked += 1;
                    failed.extend(get(address, &format!("/{client}/{asked}")).err());
                }
                (asked, failed)
            }));
        }
        Self { stop, clients }
    }

    fn end(self) -> (u64, Vec<String>) {
        drop(self.stop);
        let (mut asked, mut failed) = (0, Vec::new());
        for client in self.clients {
            let (its, lost) = client.join().unwrap();
            asked += its;
            failed.extend(lost);
        }
        (asked, failed)
    }
}

#[test]
fn two_hundred_changes_under_load_lose_no_request_and_a_finished_drain_is_one() {
    const SEED: u64 = 0x5eed_0005;
    const CHANGES: u64 = 200;
    println!("seed {SEED:#x}");
    let four = backends(&["d1", "d2", "d3", "d4"]);
    let extra = backends(&["x1", "x2"]);
    let all: BTreeMap<&str, &DemoBackend> =
        four.iter().chain(&extra).map(|one| (one.name(), one)).collect();
    let names: Vec<&str> = all.keys().copied().collect();
    let served = Served::start(&file(&four, ""), &Remembered::in_mind().unwrap());
    let load = Load::on(served.address);
    // What each had been asked when its drain was answered as finished.
    let mut drained: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut done, mut drains, mut last) = (0, 0, None);
    let mut refused: BTreeMap<&str, u32> = BTreeMap::new();
    for number in 0..CHANGES {
        let draw = mix(SEED + number);
        let leaving = served.desk.overview().clusters[0].leaving.clone();
        let mut there = served.standings();
        there.retain(|one| leaving.iter().all(|leaving| *leaving.backend != *one.0));
        let of_those_there = there.get((draw >> 8) as usize % there.len()).map(|one| &*one.0);
        let out = drained.keys().next().copied();
        let name = match draw % 10 {
            3 | 4 => out.or(of_those_there),
            _ => of_those_there,
        };
        let name = names.iter().copied().find(|one| Some(*one) == name).unwrap();
        let kinds = ["p2c", "round-robin", "least-conn", "maglev", "ring"];
        let wish = match draw % 10 {
            0..=2 => drain(name),
            3 | 4 => state(name, WantedState::Enabled),
            5 => weight(name, 1 + (draw >> 16) as u32 % 9),
            6 if there.len() > 4 => remove(name, Some(Duration::from_millis(draw >> 16 & 255))),
            6 | 7 => {
                let away = all.values().find(|one| there.iter().all(|it| it.0 != one.name()));
                away.map_or_else(|| weight(name, 1), |one| add(one))
            }
            8 => strategy(kinds[(draw >> 16) as usize % kinds.len()].into()),
            _ => Wish::Undo { change: last.take().unwrap_or(1) },
        };
        let mut events = served.listen();
        let is_drain = matches!(draw % 10, 0..=2);
        match served.ask(vec![wish]) {
            Ok(answer) => {
                done += 1;
                last = answer.changes.first().map(|change| change.id).or(last);
                if is_drain && !answer.changes.is_empty() {
                    served.wait_for(&mut events, |event| {
                        event.kind == EventKind::Drained && event.backend.as_deref() == Some(name)
                    });
                    assert!(served.desk.drain("web", name).unwrap().is_finished);
                    drained.insert(name, all[name].requests());
                    drains += 1;
                }
            }
            Err(why) => *refused.entry(why.title()).or_insert(0) += 1,
        }
        let drift = served.desk.overview().drift.clone();
        drained.retain(|name, _| {
            drift
                .iter()
                .any(|one| one.backend.as_deref() == Some(name) && one.value == json!("draining"))
        });
        for (name, before) in &drained {
            assert_eq!(all[name].requests(), *before, "change {number}: {name} is drained");
        }
    }
    let (asked, failed) = load.end();
    println!("{asked} requests, {done} changes done, {drains} drains; refused: {refused:?}");
    assert!(failed.is_empty(), "{} of {asked} failed: {:?}", failed.len(), failed.first());
    assert!(asked > 200 && done > 80 && drains > 10, "{asked} {done} {drains}");
}
