//! Another service under the same clients.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    num::NonZeroUsize,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use lb_core::{
    Cause, Change, Cluster, PickCx,
    cluster::{CauseKind, View},
    strategy::{BuildCx, Choice, Picker, RoundRobin, Strategy},
};
use lb_proxy::{
    ClusterSettings, ListenerChanges, ListenerSettings, Proxy, Reloaded, Route, RouteTable,
    Running, Service, StartError,
};

use crate::support::{Client, GET, Origin, PATIENCE, block_on, eventually, membership};

const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

fn cluster(name: impl Into<Arc<str>>, backends: &[SocketAddr]) -> Cluster {
    let builder = Cluster::builder(name).strategy(RoundRobin::default());
    builder.membership(membership(backends)).build()
}

/// Listens on these addresses and sends everything to the first of these clusters.
fn service(listeners: &[SocketAddr], clusters: &[&Cluster]) -> Service {
    Service {
        listeners: listeners.iter().map(|bind| ListenerSettings::new(*bind)).collect(),
        routes: Arc::new(RouteTable::new(vec![Route::everything(0)])),
        clusters: clusters.iter().map(|cluster| ClusterSettings::new((*cluster).clone())).collect(),
        access_log: None,
    }
}

fn start(workers: usize, service: Service) -> Running {
    Proxy::start(service, NonZeroUsize::new(workers).unwrap()).unwrap()
}

fn wait(reloaded: Reloaded) -> ListenerChanges {
    block_on(async { tokio::time::timeout(PATIENCE, reloaded).await.expect("it is in force") })
}

fn reload(running: &Running, service: Service) -> ListenerChanges {
    wait(running.reload(service).unwrap())
}

/// An address where nobody listens, and which no other test is given meanwhile.
fn free(test: u8) -> SocketAddr {
    TcpListener::bind(SocketAddr::from(([127, 0, 77, test], 0))).unwrap().local_addr().unwrap()
}

/// Says its name.
fn named(name: &str) -> Origin {
    Origin::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()))
}

/// Answers the first request when told to, others never; says when it was asked, and
/// when a connection has ended.
struct Slow {
    origin: Origin,
    asked: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
    ended: Arc<AtomicUsize>,
}

fn slow() -> Slow {
    let (asked, was_asked) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let ends = Mutex::new((asked, Some(may_go)));
    let ended = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&ended);
    let origin = Origin::new(move |peer| {
        peer.head();
        let (asked, may_go) = {
            let mut ends = ends.lock().unwrap();
            (ends.0.clone(), ends.1.take())
        };
        let _ = asked.send(());
        if may_go.is_some_and(|may_go| may_go.recv().is_ok()) {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
        }
        peer.wait_for_end();
        counted.fetch_add(1, Ordering::SeqCst);
    });
    Slow { origin, asked: was_asked, go, ended }
}

/// Requests that backends are busy with, and that are held for clients.
fn load(cluster: &Cluster) -> (u32, u32) {
    let snapshot = cluster.snapshot();
    let view = snapshot.view();
    view.slots()
        .fold((0, 0), |(busy, held), slot| (busy + view.in_flight(slot), held + view.held(slot)))
}

#[test]
fn a_connection_that_stays_open_sees_the_new_routes() {
    let (one, two) = (named("one"), named("two"));
    let (a, b) = (cluster("a", &[one.address]), cluster("b", &[two.address]));
    let running = start(1, service(&[ANY.into()], &[&a, &b]));
    let mut client = Client::connect(running.addresses()[0]);
    assert_eq!(client.ask(GET).text(), "one");
    let changes = reload(&running, service(&[ANY.into()], &[&b]));
    assert_eq!(changes.kept, running.addresses());
    assert!(changes.opened.is_empty() && changes.closed.is_empty());
    assert_eq!(client.ask(GET).text(), "two");
    let mut none = service(&[ANY.into()], &[]);
    none.routes = Arc::default();
    reload(&running, none);
    assert_eq!(client.ask(GET).status(), 404);
}

#[test]
fn a_request_in_flight_is_answered_by_the_service_that_it_began_with() {
    let (old, new) = (slow(), named("new"));
    let name: Arc<str> = "a".into();
    let a = cluster(Arc::clone(&name), &[old.origin.address]);
    let b = cluster("b", &[new.address]);
    let running = start(1, service(&[ANY.into()], &[&a]));
    let mut client = Client::connect(running.addresses()[0]);
    client.send(GET);
    old.asked.recv().unwrap();
    reload(&running, service(&[ANY.into()], &[&b]));
    assert_eq!(Client::connect(running.addresses()[0]).ask(GET).text(), "new");
    old.go.send(()).unwrap();
    assert_eq!(client.answer(GET).text(), "slow");
    assert_eq!(client.ask(GET).text(), "new");
    // What only the old service had goes with its last request.
    eventually("its connection is closed", || old.ended.load(Ordering::SeqCst) == 1);
    assert_eq!(load(&a), (0, 0));
    drop(a);
    eventually("nobody has the cluster", || Arc::strong_count(&name) == 1);
}

#[test]
fn a_request_in_flight_keeps_the_timeouts_it_began_with() {
    let old = slow();
    let a = cluster("a", &[old.origin.address]);
    let running = start(1, service(&[ANY.into()], &[&a]));
    let mut client = Client::connect(running.addresses()[0]);
    client.send(GET);
    old.asked.recv().unwrap();
    let mut hasty = service(&[ANY.into()], &[&a]);
    hasty.clusters[0].timeouts.first_byte = Duration::from_millis(300);
    reload(&running, hasty);
    let mut other = Client::connect(running.addresses()[0]);
    assert_eq!(other.ask(GET).status(), 504);
    // That was later than the new limit for the first one, too.
    old.go.send(()).unwrap();
    assert_eq!(client.answer(GET).text(), "slow");
}

#[test]
fn connections_to_backends_stay_if_their_cluster_does() {
    let origin = Origin::ok();
    let (a, b) = (cluster("a", &[origin.address]), cluster("a", &[origin.address]));
    let running = start(1, service(&[ANY.into()], &[&a]));
    let mut client = Client::connect(running.addresses()[0]);
    for _ in 0..5 {
        assert_eq!(client.ask(GET).text(), "ok");
        let mut next = service(&[ANY.into()], &[&b, &a]);
        next.routes = Arc::new(RouteTable::new(vec![Route::everything(1)]));
        next.clusters[1].timeouts.idle = Duration::from_secs(5);
        reload(&running, next);
        assert_eq!(client.ask(GET).text(), "ok");
        reload(&running, service(&[ANY.into()], &[&a]));
    }
    assert_eq!(origin.connections(), 1);
    reload(&running, service(&[ANY.into()], &[&b]));
    assert_eq!(client.ask(GET).text(), "ok");
    assert_eq!(origin.connections(), 2, "a cluster of the same name is another");
}

#[test]
fn idle_connections_of_clusters_that_are_gone_take_no_room() {
    // One more than a worker keeps in all.
    const ROUNDS: usize = 1025;
    let origin = Origin::ok();
    let running = start(1, Service { routes: Arc::default(), ..service(&[ANY.into()], &[]) });
    let mut client = Client::connect(running.addresses()[0]);
    for _ in 0..ROUNDS {
        reload(&running, service(&[ANY.into()], &[&cluster("a", &[origin.address])]));
        assert_eq!(client.ask(GET).text(), "ok");
    }
    assert_eq!(client.ask(GET).text(), "ok");
    assert_eq!(origin.connections(), ROUNDS, "the last one was kept");
}

#[test]
fn limits_change_for_clients_that_stay_with_their_next_request() {
    let origin = Origin::ok();
    let a = cluster("a", &[origin.address]);
    let running = start(1, service(&[ANY.into()], &[&a]));
    let mut client = Client::connect(running.addresses()[0]);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(client.ask(post).text(), "ok");
    let mut strict = service(&[ANY.into()], &[&a]);
    strict.listeners[0].limits.body = Some(3);
    reload(&running, strict);
    assert_eq!(client.ask(post).status(), 413);
}

#[test]
fn a_listener_that_is_gone_serves_who_has_connected_and_then_nobody() {
    for _ in 0..5 {
        let origin = Origin::ok();
        let a = cluster("a", &[origin.address]);
        let running = start(3, service(&[ANY.into(), ANY.into()], &[&a]));
        let (stays, goes) = (running.addresses()[0], running.addresses()[1]);
        let mut loyal = Client::connect(stays);
        assert_eq!(loyal.ask(GET).text(), "ok");
        let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(goes)).collect();
        for client in &mut clients {
            client.send(GET);
        }
        let changes = reload(&running, service(&[ANY.into()], &[&a]));
        assert_eq!((changes.kept, changes.closed), (vec![stays], vec![goes]));
        let refused = TcpStream::connect(goes).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        for client in &mut clients {
            assert_eq!(client.answer(GET).text(), "ok");
            client.is_closed();
        }
        assert_eq!(loyal.ask(GET).header("connection"), None, "others stay");
        assert_eq!(running.addresses(), [stays]);
    }
}

/// Holds up the worker that picks, until told to go on.
#[derive(Debug)]
struct Blocking(Arc<Mutex<(mpsc::Sender<()>, mpsc::Receiver<()>)>>);

impl Strategy for Blocking {
    fn name(&self) -> &'static str {
        "blocking"
    }

    fn build(&mut self, _: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}

impl Picker for Blocking {
    fn pick(&self, _: View<'_>, _: &PickCx<'_>) -> Option<Choice> {
        let ends = self.0.lock().unwrap();
        let _ = ends.0.send(());
        let _ = ends.1.recv();
        None
    }
}

#[test]
fn who_waits_to_be_accepted_is_served_when_the_listener_goes() {
    const WAITING: usize = 300;
    let (busy, is_busy) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    let blocks = Cluster::builder("blocks")
        .strategy(Blocking(Arc::new(Mutex::new((busy, may_go)))))
        .membership(membership(&[Origin::refusing()]))
        .build();
    let routed = |listeners: &[SocketAddr]| {
        let route = Route::prefix("/block", 0);
        let routes = Arc::new(RouteTable::new(vec![route]));
        Service { routes, ..service(listeners, &[&blocks]) }
    };
    let running = start(1, routed(&[ANY.into(), ANY.into()]));
    let goes = running.addresses()[1];
    let mut blocker = Client::connect(running.addresses()[0]);
    blocker.send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
    is_busy.recv().unwrap();
    let request = |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        stream
    };
    let mut waiting: Vec<TcpStream> = (0..WAITING).map(|_| request(goes)).collect();
    // This one is opened and closed again before the worker has seen it.
    let came = running.reload(routed(&[ANY.into(), ANY.into(), ANY.into()])).unwrap();
    let brief = came.listeners().opened[0];
    waiting.extend((0..WAITING).map(|_| request(brief)));
    let went = running.reload(routed(&[ANY.into()])).unwrap();
    assert_eq!(went.listeners().closed, [goes, brief]);
    drop(go);
    wait(went);
    wait(came);
    for stream in &mut waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer:?}");
    }
    for address in [goes, brief] {
        assert!(TcpStream::connect(address).is_err());
    }
}

#[test]
fn what_is_in_flight_on_a_listener_that_is_gone_has_its_time_and_no_more() {
    let (old, other) = (slow(), slow());
    let a = cluster("a", &[old.origin.address]);
    let b = cluster("b", &[other.origin.address]);
    let mut first = service(&[ANY.into(), ANY.into()], &[&a, &b]);
    let limit = Duration::from_millis(300);
    first.listeners[1].timeouts.shutdown = limit;
    let to_b = Route::prefix("/b", 1);
    first.routes = Arc::new(RouteTable::new(vec![Route::everything(0), to_b]));
    let running = start(1, first);
    let addresses = running.addresses();
    let (mut stays, mut goes) = (Client::connect(addresses[0]), Client::connect(addresses[1]));
    stays.send(GET);
    old.asked.recv().unwrap();
    goes.send("GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    other.asked.recv().unwrap();
    let began = std::time::Instant::now();
    reload(&running, service(&[ANY.into()], &[&a]));
    assert_eq!(goes.rest().unwrap_or_default(), b"");
    assert!(began.elapsed() >= limit);
    eventually("it is let go", || load(&b) == (0, 0));
    old.go.send(()).unwrap();
    assert_eq!(stays.answer(GET).text(), "slow");
}

#[test]
fn a_new_listener_serves() {
    let origin = Origin::ok();
    let a = cluster("a", &[origin.address]);
    let running = start(2, service(&[ANY.into()], &[&a]));
    let first = running.addresses()[0];
    let changes = reload(&running, service(&[ANY.into(), ANY.into()], &[&a]));
    let [kept, opened] = running.addresses()[..] else { panic!("two listeners") };
    assert_eq!((kept, changes.kept, changes.opened), (first, vec![first], vec![opened]));
    for _ in 0..10 {
        assert_eq!(Client::connect(opened).ask(GET).text(), "ok");
    }
}

#[test]
fn a_listener_may_widen_to_all_interfaces_and_back() {
    let origin = Origin::ok();
    let a = cluster("a", &[origin.address]);
    // Free on all interfaces, or another test might have it on one of them.
    let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    let (free, all) = (([127, 0, 77, 1], port).into(), ([0, 0, 0, 0], port).into());
    let running = start(2, service(&[free], &[&a]));
    for bind in [all, free, all] {
        let changes = reload(&running, service(&[bind], &[&a]));
        assert_eq!(changes.opened, [bind]);
        assert_eq!(Client::connect(free).ask(GET).text(), "ok");
    }
}

#[test]
fn a_service_that_cannot_be_had_changes_nothing() {
    let (one, two) = (named("one"), named("two"));
    let (a, b) = (cluster("a", &[one.address]), cluster("b", &[two.address]));
    let running = start(2, service(&[ANY.into()], &[&a]));
    let before = running.addresses();
    let mut client = Client::connect(before[0]);
    assert_eq!(client.ask(GET).text(), "one");
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let (free, taken) = (free(3), holder.local_addr().unwrap());
    let error = running.reload(service(&[free, taken], &[&b])).unwrap_err();
    assert!(matches!(error, StartError::Bind { address, .. } if address == taken), "{error}");
    assert!(TcpStream::connect(free).is_err(), "what was bound is closed again");
    let error = running.reload(service(&[free], &[])).unwrap_err();
    assert!(matches!(error, StartError::Route { .. }), "{error}");
    assert_eq!(client.ask(GET).text(), "one");
    assert_eq!(running.addresses(), before);
    assert_eq!(Client::connect(before[0]).ask(GET).text(), "one");
}

#[test]
fn workers_that_have_nothing_to_do_take_it_up() {
    let origin = Origin::ok();
    let a = cluster("a", &[origin.address]);
    let running = start(4, service(&[ANY.into()], &[&a]));
    assert_eq!(running.workers().get(), 4);
    let changes = reload(&running, service(&[ANY.into()], &[&a]));
    assert_eq!(changes.kept, running.addresses());
}

#[test]
fn reloads_that_follow_at_once_all_resolve_and_the_last_one_holds() {
    let (one, two) = (named("one"), named("two"));
    let (a, b) = (cluster("a", &[one.address]), cluster("b", &[two.address]));
    let free = free(2);
    let running = start(2, service(&[ANY.into()], &[&a]));
    for _ in 0..20 {
        let both = |last: &Cluster| service(&[ANY.into(), free], &[last]);
        let only = |last: &Cluster| service(&[ANY.into()], &[last]);
        let all = [both(&a), only(&a), both(&b), only(&a), both(&a), both(&b)];
        let all: Vec<_> = all.map(|next| running.reload(next).unwrap()).into();
        all.into_iter().rev().for_each(|reloaded| drop(wait(reloaded)));
        for address in running.addresses() {
            assert_eq!(Client::connect(address).ask(GET).text(), "two");
        }
        reload(&running, only(&a));
        assert!(TcpStream::connect(free).is_err());
    }
}

#[test]
fn clusters_are_driven_from_the_moment_they_are_in_the_service() {
    let (one, two) = (named("one"), named("two"));
    let (a, b) = (cluster("a", &[one.address]), cluster("b", &[]));
    let running = start(2, service(&[ANY.into()], &[&a]));
    reload(&running, service(&[ANY.into()], &[&b, &a]));
    for cluster in [&b, &a, &b] {
        let change = |backends: &[SocketAddr]| {
            let cause = Cause::new(CauseKind::Person, "test");
            let version = cluster.apply(Change::Membership(membership(backends)), cause).unwrap();
            block_on(async {
                let effective = cluster.effective(version);
                tokio::time::timeout(PATIENCE, effective).await.expect("somebody drives it");
            });
        };
        change(&[]);
        change(&[two.address]);
    }
    assert_eq!(Client::connect(running.addresses()[0]).ask(GET).text(), "two");
}

#[test]
fn a_proxy_that_drains_takes_up_nothing_new() {
    let old = slow();
    let a = cluster("a", &[old.origin.address]);
    let running = start(1, service(&[ANY.into()], &[&a]));
    let mut client = Client::connect(running.addresses()[0]);
    client.send(GET);
    old.asked.recv().unwrap();
    thread::scope(|scope| {
        let drain = scope.spawn(|| block_on(running.drain()));
        eventually("it drains", || TcpStream::connect(running.addresses()[0]).is_err());
        let error = running.reload(service(&[ANY.into()], &[&a])).unwrap_err();
        assert!(matches!(error, StartError::Ending), "{error}");
        old.go.send(()).unwrap();
        assert_eq!(client.answer(GET).text(), "slow");
        drain.join().unwrap();
    });
    assert!(matches!(running.reload(service(&[], &[&a])), Err(StartError::Ending)));
}

#[test]
fn clients_notice_nothing_of_fifty_reloads_and_nothing_of_them_stays() {
    // Files and threads are counted, so it has a process of its own.
    let inner = "reload::fifty_reloads_in_a_process_of_their_own";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", inner, "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by the test above"]
fn fifty_reloads_in_a_process_of_their_own() {
    let origins = [Origin::ok(), Origin::ok()];
    let backends: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let stays = cluster("stays", &backends);
    let running = start(2, service(&[ANY.into()], &[&stays]));
    let address = running.addresses()[0];
    let name: Arc<str> = "comes and goes".into();
    let before = {
        // As it is after a reload; the first one may open what is kept for ever.
        reload(&running, service(&[ANY.into()], &[&stays]));
        resources()
    };
    let done = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(client.ask(GET).text(), "ok");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                client.end();
            });
        }
        for round in 0..50 {
            let seen = answered.load(Ordering::Relaxed);
            let other = cluster(Arc::clone(&name), &backends);
            let mut next = match round % 2 {
                0 => service(&[ANY.into(), ANY.into()], &[&other, &stays]),
                _ => service(&[ANY.into()], &[&stays]),
            };
            next.clusters[0].timeouts.idle = Duration::from_secs(5 + round);
            reload(&running, next);
            eventually("requests go on", || answered.load(Ordering::Relaxed) > seen + 8);
        }
        done.store(true, Ordering::Relaxed);
    });
    eventually("nobody has the other clusters", || Arc::strong_count(&name) == 1);
    eventually("all is counted out", || load(&stays) == (0, 0));
    // Connections to backends end with their pool, here with the last cluster.
    reload(&running, Service { routes: Arc::default(), ..service(&[ANY.into()], &[]) });
    eventually("all is closed", || {
        let (files, threads) = resources();
        files <= before.0 && threads <= before.1
    });
}

/// Open files and threads of this process.
fn resources() -> (usize, usize) {
    let count = |of| fs::read_dir(of).unwrap().count();
    (count("/proc/self/fd"), count("/proc/self/task"))
}
