//! Active checks against real backends.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use lb_core::{
    Backend, Cluster, Health, Membership,
    cluster::{Policy, Thresholds},
};
use lb_proxy::{CheckKind, HealthCheck, HttpCheck, Prober, Watched};
use tokio::sync::oneshot;

use crate::support::{Origin, eventually};

/// Clusters whose backends are checked on a thread of its own.
pub(crate) struct Checked {
    prober: Arc<Prober>,
    told: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Checked {
    pub(crate) fn start(watched: Vec<Watched>) -> Self {
        let told = Arc::<Mutex<Vec<String>>>::default();
        for watched in &watched {
            let told = Arc::clone(&told);
            watched.cluster.on_transition(Arc::new(move |transition| {
                let (to, reason) = (transition.to, &transition.reason);
                told.lock().unwrap().push(format!("{to:?}: {reason}"));
            }));
        }
        let prober = Arc::new(Prober::new());
        let clusters: Vec<Cluster> =
            watched.iter().map(|watched| watched.cluster.clone()).collect();
        prober.set(watched);
        let (stop, mut stopped) = oneshot::channel();
        let probes = Arc::clone(&prober);
        let thread = thread::spawn(move || {
            crate::support::block_on(async {
                let drive = async {
                    loop {
                        for cluster in &clusters {
                            cluster.drive(&lb_proxy::now);
                        }
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                tokio::select! {
                    () = probes.run() => {}
                    () = drive => {}
                    _ = &mut stopped => {}
                }
            });
        });
        Self { prober, told, stop: Some(stop), thread: Some(thread) }
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(thread::JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || thread::panicking());
    }
}

fn cluster(name: &str, origins: &[&Origin]) -> Cluster {
    let backends = origins.iter().map(|origin| Backend::new(origin.address.to_string()));
    let policy = Policy::default();
    let membership = Membership::new(backends).unwrap();
    Cluster::builder(name).membership(membership).policy(policy).build()
}

fn every(interval: u64, kind: CheckKind) -> HealthCheck {
    let interval = Duration::from_millis(interval);
    HealthCheck { kind, interval, timeout: Duration::from_millis(500), ..HealthCheck::default() }
}

fn get(path: &'static str) -> CheckKind {
    CheckKind::Http(HttpCheck::get(http::uri::PathAndQuery::from_static(path)))
}

fn health(cluster: &Cluster) -> Health {
    cluster.conditions()[0].health
}

#[test]
fn a_backend_that_fails_its_checks_is_down_with_the_reason_and_comes_back() {
    let status = Arc::new(Mutex::new(200));
    let says = Arc::clone(&status);
    let origin = Origin::new(move |peer| {
        while peer.request().is_some() {
            let status = *says.lock().unwrap();
            peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let cluster = cluster("web", &[&origin]);
    let check = every(20, get("/healthz"));
    let checked = Checked::start(vec![Watched { cluster: cluster.clone(), check }]);
    eventually("it is up", || health(&cluster) == Health::Up);
    assert!(origin.last().start.starts_with("GET /healthz "));
    *status.lock().unwrap() = 500;
    eventually("it is down", || health(&cluster) == Health::Down);
    *status.lock().unwrap() = 200;
    eventually("it is up again", || health(&cluster) == Health::Up);
    eventually("all was told", || checked.told().len() == 3);
    let told = checked.told();
    assert!(told[1].contains("3 checks") && told[1].contains("status 500"), "{told:?}");
    assert!(told[2].contains("2 checks"), "{told:?}");
}

#[test]
fn a_backend_that_does_not_answer_in_time_is_down() {
    let origin = Origin::new(|peer| peer.wait_for_end());
    let cluster = cluster("web", &[&origin]);
    let check = HealthCheck { timeout: Duration::from_millis(30), ..every(20, get("/")) };
    let checked = Checked::start(vec![Watched { cluster: cluster.clone(), check }]);
    eventually("it is down", || health(&cluster) == Health::Down);
    eventually("it was told", || checked.told().len() == 1);
    assert!(checked.told()[0].contains("no answer within 30ms"), "{:?}", checked.told());
}

#[test]
fn an_address_in_two_clusters_is_asked_once_for_both() {
    let origin = Origin::ok();
    let clusters = [cluster("one", &[&origin]), cluster("two", &[&origin])];
    // So rare that there is one round in the time of this test.
    let check = every(600_000, CheckKind::Tcp);
    let watched =
        clusters.iter().map(|cluster| Watched { cluster: cluster.clone(), check: check.clone() });
    let _checked = Checked::start(watched.collect());
    eventually("both are up", || clusters.iter().all(|cluster| health(cluster) == Health::Up));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_cluster_that_is_no_longer_checked_is_used_unseen() {
    let refusing = Origin::refusing().to_string();
    let membership = Membership::new([Backend::new(refusing)]).unwrap();
    let cluster = Cluster::builder("web").membership(membership).build();
    let check = every(20, CheckKind::Tcp);
    let checked = Checked::start(vec![Watched { cluster: cluster.clone(), check }]);
    eventually("it is down", || health(&cluster) == Health::Down);
    checked.prober.set(Vec::new());
    eventually("nobody knows", || health(&cluster) == Health::Unknown);
}

#[test]
fn a_backend_that_falls_is_checked_at_the_interval_for_that_at_once() {
    let status = Arc::new(Mutex::new(500));
    let says = Arc::clone(&status);
    let origin = Origin::new(move |peer| {
        while peer.request().is_some() {
            let status = *says.lock().unwrap();
            peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let checks = Thresholds { rise: 1, fall: 1, ..Thresholds::default() };
    let membership = Membership::new([Backend::new(origin.address.to_string())]).unwrap();
    let policy = Policy { checks, ..Policy::default() };
    let cluster = Cluster::builder("web").membership(membership).policy(policy).build();
    // Nobody would wait for the second check at the usual interval.
    let interval_down = Some(Duration::from_millis(20));
    let check = HealthCheck { interval_down, ..every(600_000, get("/")) };
    let _checked = Checked::start(vec![Watched { cluster: cluster.clone(), check }]);
    eventually("it is down", || health(&cluster) == Health::Down);
    *status.lock().unwrap() = 200;
    eventually("it is up", || health(&cluster) == Health::Up);
}

#[test]
fn a_backend_is_checked_under_its_name() {
    let origin = Origin::ok();
    let named = |host: &str| {
        let backend = Backend::new(format!("{host}:{}", origin.address.port()));
        Cluster::builder(host.to_owned()).membership(Membership::new([backend]).unwrap()).build()
    };
    let (here, nowhere) = (named("localhost"), named("nowhere.invalid"));
    let both = [&here, &nowhere]
        .map(|cluster| Watched { cluster: cluster.clone(), check: every(20, CheckKind::Tcp) });
    let checked = Checked::start(both.into());
    eventually("one is up", || health(&here) == Health::Up);
    eventually("one is not found", || health(&nowhere) == Health::Down);
    eventually("it was told", || checked.told().len() == 2);
    assert!(checked.told().concat().contains("look"), "{:?}", checked.told());
}

#[test]
fn a_backend_that_joins_is_checked_too() {
    let (first, second) = (Origin::ok(), Origin::ok());
    let cluster = cluster("web", &[&first]);
    let check = every(20, CheckKind::Tcp);
    let _checked = Checked::start(vec![Watched { cluster: cluster.clone(), check }]);
    eventually("it is up", || health(&cluster) == Health::Up);
    let both = [&first, &second].map(|origin| Backend::new(origin.address.to_string()));
    let cause = lb_core::Cause::new(lb_core::cluster::CauseKind::File, "test");
    let change = lb_core::Change::Membership(Membership::new(both).unwrap());
    cluster.apply(change, cause).unwrap();
    eventually("both are up", || {
        let conditions = cluster.conditions();
        conditions.len() == 2 && conditions.iter().all(|one| one.health == Health::Up)
    });
}
