//! Backends that say how loaded they are.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, uri::PathAndQuery};
use lb_core::{
    Cluster,
    strategy::{Prequal, ReportedLoad},
};
use lb_proxy::{
    ClusterSettings, ListenerSettings, Metric, ProbeSettings, Proxy, ReportSettings, Route,
    RouteTable, Running, Service,
};

use crate::support::{Client, GET, Message, Origin, eventually, membership};

/// A proxy with one worker in front of these, and what it says of the cluster.
fn start(cluster: Cluster, change: impl FnOnce(&mut ClusterSettings)) -> Running {
    let mut settings = ClusterSettings::new(cluster);
    settings.reports = Some(ReportSettings::default());
    change(&mut settings);
    let service = Service {
        listeners: vec![ListenerSettings::new(([127, 0, 0, 1], 0).into())],
        routes: Arc::new(RouteTable::new(vec![Route::everything(0)])),
        clusters: vec![settings],
        access_log: None,
    };
    Proxy::start(service, NonZeroUsize::MIN).unwrap()
}

fn reported_load(stale_after: Duration, origins: &[&Origin]) -> Cluster {
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    Cluster::builder("test")
        .strategy(ReportedLoad::new(5, stale_after))
        .membership(membership(&addresses))
        .build()
}

fn prequal(origins: &[&Origin]) -> Cluster {
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    Cluster::builder("test").strategy(Prequal).membership(membership(&addresses)).build()
}

/// Answers everything, and says that it is so loaded, in percent.
fn saying(header: &'static str, form: &'static str, percent: Arc<AtomicU64>) -> Origin {
    Origin::new(move |peer| {
        while peer.request().is_some() {
            let value = form.replace("%", &format!("0.{:02}", percent.load(Ordering::SeqCst)));
            peer.send(format!(
                "HTTP/1.1 200 OK\r\n{header}: {value}\r\nContent-Length: 2\r\n\r\nok"
            ));
        }
    })
}

fn orca(percent: u64) -> (Origin, Arc<AtomicU64>) {
    let percent = Arc::new(AtomicU64::new(percent));
    let form = "TEXT application_utilization=%, named_metrics.x=1";
    (saying("Endpoint-Load-Metrics", form, percent.clone()), percent)
}

/// How many of `count` requests over one connection each backend gets.
fn shares(running: &Running, origins: &[&Origin], count: usize) -> Vec<usize> {
    let before: Vec<_> = origins.iter().map(|origin| requests(origin)).collect();
    let mut client = Client::connect(running.addresses()[0]);
    for _ in 0..count {
        assert_eq!(client.ask(GET).status(), 200);
    }
    origins.iter().zip(before).map(|(origin, before)| requests(origin) - before).collect()
}

/// Without probes.
fn requests(origin: &Origin) -> usize {
    origin.requests().iter().filter(|request| !is_probe(request)).count()
}

fn probes(origin: &Origin) -> usize {
    origin.requests().iter().filter(|request| is_probe(request)).count()
}

fn is_probe(request: &Message) -> bool {
    request.start == "GET /load HTTP/1.1"
}

#[test]
fn who_says_that_it_has_less_to_do_gets_more_and_no_client_hears_of_it() {
    let ((idle, _), (loaded, load)) = (orca(10), orca(80));
    let origins = [&idle, &loaded];
    let running = start(reported_load(Duration::from_secs(600), &origins), |_| {});
    let mut client = Client::connect(running.addresses()[0]);
    for _ in 0..20 {
        let answer = client.ask(GET);
        assert_eq!(answer.header("endpoint-load-metrics"), None);
        assert_eq!(answer.text(), "ok");
    }
    assert!(requests(&loaded) > 0, "who has not said anything is tried");
    assert_eq!(shares(&running, &origins, 50), [50, 0]);
    load.store(1, Ordering::SeqCst);
    assert_eq!(shares(&running, &origins, 50), [50, 0], "nobody asks, so nobody knows");
}

#[test]
fn what_was_reported_long_ago_is_forgotten() {
    let ((idle, _), (loaded, load)) = (orca(10), orca(80));
    let origins = [&idle, &loaded];
    let running = start(reported_load(Duration::from_millis(50), &origins), |_| {});
    shares(&running, &origins, 20);
    load.store(1, Ordering::SeqCst);
    eventually("the other is tried again", || shares(&running, &origins, 1) == [0, 1]);
    eventually("and is the better one now", || {
        shares(&running, &origins, 1);
        shares(&running, &origins, 20) == [0, 20]
    });
}

#[test]
fn a_header_and_a_number_of_ones_own_do() {
    let percent = |percent| Arc::new(AtomicU64::new(percent));
    let form = "JSON {\"cpu_utilization\": 0.5, \"named_metrics\": {\"queue\": %}}";
    let (long, short) = (saying("X-Load", form, percent(90)), saying("X-Load", form, percent(10)));
    let origins = [&long, &short];
    let running = start(reported_load(Duration::from_secs(600), &origins), |settings| {
        let header = Some(HeaderName::from_static("x-load"));
        settings.reports = Some(ReportSettings { header, metric: Metric::named("queue") });
    });
    shares(&running, &origins, 20);
    assert_eq!(shares(&running, &origins, 20), [0, 20]);
    let answer = Client::connect(running.addresses()[0]).ask(GET);
    assert_eq!(answer.header("x-load"), None);
}

#[test]
fn a_report_that_is_none_harms_nobody_and_is_counted() {
    let nonsense = saying("Endpoint-Load-Metrics", "JSON {%", Arc::default());
    let running = start(reported_load(Duration::from_secs(600), &[&nonsense]), |_| {});
    let mut client = Client::connect(running.addresses()[0]);
    for _ in 0..3 {
        let answer = client.ask(GET);
        assert_eq!((answer.status(), answer.text()), (200, "ok"));
        assert_eq!(answer.header("endpoint-load-metrics"), None);
    }
    assert_eq!(running.counters().clusters[0].load_reports_malformed_total, 3);
}

#[test]
fn where_nobody_goes_by_reports_they_pass() {
    let (origin, _) = orca(10);
    let running = start(reported_load(Duration::from_secs(600), &[&origin]), |settings| {
        settings.reports = None;
    });
    let answer = Client::connect(running.addresses()[0]).ask(GET);
    let expected = "TEXT application_utilization=0.10, named_metrics.x=1";
    assert_eq!(answer.header("endpoint-load-metrics"), Some(expected));
}

fn probing(settings: &mut ClusterSettings) {
    let mut probes = ProbeSettings::get(PathAndQuery::from_static("/load"));
    // The machine may be busy with other tests.
    probes.timeout = Duration::from_secs(5);
    settings.probes = Some(probes);
    let metric = Metric::Requests;
    settings.reports = Some(ReportSettings { metric, ..ReportSettings::default() });
}

/// So many requests in flight, and so much latency, as it says.
fn measured(in_flight: Arc<AtomicUsize>, fails: Arc<AtomicBool>) -> Origin {
    Origin::new(move |peer| {
        while let Some(request) = peer.request() {
            let count = in_flight.load(Ordering::SeqCst);
            let status = match is_probe(&request) && fails.load(Ordering::SeqCst) {
                true => "503 Service Unavailable",
                false => "200 OK",
            };
            let report = format!(
                "endpoint-load-metrics: TEXT named_metrics.rif={count},named_metrics.latency=0.{count:03}"
            );
            peer.send(format!("HTTP/1.1 {status}\r\n{report}\r\nContent-Length: 2\r\n\r\nok"));
        }
    })
}

#[test]
fn probes_arrive_and_lead_requests_to_who_has_less_to_do() {
    let counts: Vec<_> = [30, 2, 20].map(|count| Arc::new(AtomicUsize::new(count))).into();
    let fails = Arc::<AtomicBool>::default();
    let backends: Vec<_> =
        counts.iter().map(|count| measured(count.clone(), fails.clone())).collect();
    let origins: Vec<_> = backends.iter().collect();
    let cluster = prequal(&origins);
    let running = start(cluster.clone(), probing);
    // Each request has all three asked.
    eventually("all have been asked", || {
        shares(&running, &origins, 1);
        origins.iter().all(|origin| probes(origin) > 0)
    });
    eventually("the second gets all", || shares(&running, &origins, 20) == [0, 20, 0]);
    counts[1].store(90, Ordering::SeqCst);
    eventually("the third gets all", || shares(&running, &origins, 20) == [0, 0, 20]);
    let counters = running.counters().clusters[0].load_probes_total;
    assert!(counters.answered > 50 && counters.failed == 0, "{counters:?}");
    let probe = backends[0].requests().into_iter().find(is_probe).unwrap();
    assert_eq!(probe.header("user-agent"), Some("lb-load-probe"));
    assert!(probe.header("host").is_some());
    // A backend that is this proxy again refuses it.
    assert!(probe.header("via").is_some_and(|via| via.starts_with("1.1 lb-")));
    // They are no requests: nobody is busy with one.
    let snapshot = cluster.snapshot();
    let view = snapshot.view();
    eventually("nothing is in flight", || view.slots().all(|slot| view.held(slot) == 0));
}

#[test]
fn who_fails_probes_is_not_chosen_by_them() {
    let [bad, good, fair] = [1, 5, 9].map(|count| Arc::new(AtomicUsize::new(count)));
    let (fails, works) = (Arc::new(AtomicBool::new(true)), Arc::<AtomicBool>::default());
    let backends =
        [measured(bad, fails.clone()), measured(good, works.clone()), measured(fair, works)];
    let origins: Vec<_> = backends.iter().collect();
    let running = start(prequal(&origins), probing);
    eventually("the second gets all", || shares(&running, &origins, 20) == [0, 20, 0]);
    assert!(running.counters().clusters[0].load_probes_total.failed > 0);
    fails.store(false, Ordering::SeqCst);
    eventually("the first gets all", || shares(&running, &origins, 20) == [20, 0, 0]);
}

#[test]
fn probes_that_nobody_answers_keep_no_request_waiting() {
    let backends = [holding_probes().0, holding_probes().0];
    let origins: Vec<_> = backends.iter().collect();
    let running = start(prequal(&origins), |settings| {
        probing(settings);
        settings.probes.as_mut().unwrap().timeout = Duration::from_millis(20);
    });
    eventually("they are given up", || {
        assert_eq!(shares(&running, &origins, 20).iter().sum::<usize>(), 20);
        running.counters().clusters[0].load_probes_total.failed > 10
    });
}

#[test]
fn a_fraction_of_a_probe_is_a_probe_now_and_then() {
    let count = Arc::new(AtomicUsize::new(1));
    let backends = [0, 1].map(|_| measured(count.clone(), Arc::default()));
    let origins: Vec<_> = backends.iter().collect();
    let running = start(prequal(&origins), |settings| {
        probing(settings);
        settings.probes.as_mut().unwrap().per_request = 0.25;
    });
    for count in 1..=10 {
        shares(&running, &origins, 4);
        let answered = || running.counters().clusters[0].load_probes_total.answered;
        eventually("one more was asked", || answered() == count);
    }
}

#[test]
fn a_report_behind_a_body_is_read_and_taken_away_as_well() {
    let trailing = |load: &str| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
                    Trailer: X-Sum, Endpoint-Load-Metrics\r\n\r\n2\r\nok\r\n";
        let rest = format!("0\r\nX-Sum: 7\r\nEndpoint-Load-Metrics: {load}\r\n\r\n");
        Origin::new(move |peer| {
            while let Some(request) = peer.request() {
                // Two ways through the proxy: the answer comes at once, or in parts.
                if request.header("x-parts").is_some() {
                    peer.send(head);
                    peer.send(&rest);
                } else {
                    peer.send(format!("{head}{rest}"));
                }
            }
        })
    };
    let (idle, loaded) = (trailing("0.1"), trailing("0.8"));
    let origins = [&idle, &loaded];
    let running = start(reported_load(Duration::from_secs(600), &origins), |_| {});
    let mut client = Client::connect(running.addresses()[0]);
    for parts in ["", "X-Parts: 1\r\n"] {
        let request =
            format!("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n{parts}\r\n");
        for _ in 0..10 {
            let answer = client.ask(&request);
            assert_eq!(answer.trailers, [("x-sum".into(), "7".into())]);
        }
    }
    assert!(requests(&loaded) > 0, "who has not said anything is tried");
    assert_eq!(shares(&running, &origins, 20), [20, 0]);
}

/// Answers requests, and holds every probe until its connection ends. Counts the
/// connections that requests came over.
fn holding_probes() -> (Origin, Arc<AtomicUsize>) {
    let connections = Arc::<AtomicUsize>::default();
    let counted = connections.clone();
    let origin = Origin::new(move |peer| {
        let mut is_counted = false;
        while let Some(request) = peer.request() {
            if is_probe(&request) {
                peer.wait_for_end();
                return;
            }
            if !std::mem::replace(&mut is_counted, true) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            peer.send(crate::support::OK);
        }
    });
    (origin, connections)
}

#[test]
fn a_probe_that_is_given_up_costs_no_request_its_connection() {
    let (origin, connections) = holding_probes();
    let running = start(prequal(&[&origin]), |settings| {
        probing(settings);
        settings.probes.as_mut().unwrap().timeout = Duration::from_millis(1);
    });
    let failed = || running.counters().clusters[0].load_probes_total.failed;
    let mut client = Client::connect(running.addresses()[0]);
    eventually("some are given up", || {
        assert_eq!(client.ask(GET).status(), 200);
        failed() > 10
    });
    assert_eq!(connections.load(Ordering::SeqCst), 1, "all requests went over one");
}

#[test]
fn who_keeps_probes_waiting_does_not_keep_others_from_being_asked() {
    let ((silent, _), count) = (holding_probes(), Arc::new(AtomicUsize::new(1)));
    let good = [0, 1].map(|_| measured(count.clone(), Arc::default()));
    let origins = [&silent, &good[0], &good[1]];
    // Nothing is given up: what is under way stays so.
    let running = start(prequal(&origins), |settings| {
        probing(settings);
        settings.probes.as_mut().unwrap().timeout = Duration::from_secs(600);
    });
    shares(&running, &origins, 200);
    let answered = || running.counters().clusters[0].load_probes_total.answered;
    let before = answered();
    eventually("the others are asked as before", || {
        shares(&running, &origins, 20);
        answered() > before + 100
    });
    assert!(probes(&silent) <= 4, "{} wait for it", probes(&silent));
}

#[test]
fn an_answer_to_something_else_is_none_to_a_probe() {
    let strangers = [0, 1].map(|_| {
        Origin::new(|peer| {
            while let Some(request) = peer.request() {
                let status = if is_probe(&request) { "404 Not Found" } else { "200 OK" };
                peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
            }
        })
    });
    let origins: Vec<_> = strangers.iter().collect();
    let running = start(prequal(&origins), probing);
    shares(&running, &origins, 20);
    eventually("they are failures", || {
        let counters = running.counters().clusters[0].load_probes_total;
        assert_eq!(counters.answered, 0);
        counters.failed > 10
    });
}
