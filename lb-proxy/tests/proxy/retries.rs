//! Where a request goes after a failure, and how often.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use lb_core::{
    Backend, Cause, Change, Cluster, Membership,
    cluster::{CauseKind, Passive, Policy},
    strategy::RoundRobin,
};
use lb_proxy::{RetrySettings, Service};

use crate::support::{
    Client, GET, OK, Origin, PATIENCE, Proxied, block_on, eventually, proxy, proxy_of, proxy_with,
};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
const EMPTY_POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

const SHORT: Duration = Duration::from_millis(250);

/// A backend that takes requests and hangs up.
fn hangs_up() -> Origin {
    Origin::new(|peer| {
        peer.request();
    })
}

/// A backend that takes requests and says nothing.
fn silent() -> Origin {
    Origin::new(|peer| {
        peer.request();
        peer.wait_for_end();
    })
}

fn retries(change: impl FnOnce(&mut RetrySettings)) -> impl FnOnce(&mut Service) {
    |service| change(&mut service.clusters[0].retry)
}

/// How many requests in a row failed at the first backend.
fn failures(proxied: &Proxied) -> u32 {
    let snapshot = proxied.cluster.snapshot();
    let view = snapshot.view();
    let failures = view.slots().filter_map(|slot| view.failures(slot));
    failures.map(|(count, _)| count).sum()
}

#[test]
fn what_is_harmless_goes_elsewhere_when_a_backend_hangs_up() {
    let (bad, good) = (hangs_up(), Origin::ok());
    let proxied = proxy(&[bad.address, good.address]);
    for request in [GET, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        for _ in 0..2 {
            assert_eq!(proxied.ask(request).text(), "ok");
        }
    }
    assert!(!bad.requests().is_empty());
    assert_eq!(good.requests().len(), 4);
}

#[test]
fn what_a_backend_may_have_carried_out_is_not_sent_again() {
    for request in [POST, EMPTY_POST, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"] {
        let (bad, good) = (hangs_up(), Origin::ok());
        let proxied = proxy(&[bad.address, good.address]);
        let answers: Vec<_> = (0..4).map(|_| proxied.ask(request).status()).collect();
        assert_eq!(answers.iter().filter(|status| **status == 502).count(), bad.requests().len());
        assert_eq!(bad.requests().len() + good.requests().len(), 4, "each was sent once");
        assert!(!bad.requests().is_empty());
    }
}

#[test]
fn any_method_is_for_those_who_say_so_and_never_for_a_body() {
    let (bad, good) = (hangs_up(), Origin::ok());
    let proxied =
        proxy_with(&[bad.address, good.address], retries(|retry| retry.any_method = true));
    for _ in 0..4 {
        assert_eq!(proxied.ask(EMPTY_POST).text(), "ok");
    }
    let sent = bad.requests().len() + good.requests().len();
    let answers: Vec<_> = (0..2).map(|_| proxied.ask(POST).status()).collect();
    assert!(answers.contains(&502));
    assert_eq!(bad.requests().len() + good.requests().len(), sent + 2);
}

#[test]
fn one_attempt_is_no_retry() {
    let proxied = proxy_with(
        &[Origin::refusing(), Origin::ok().address],
        retries(|retry| retry.attempts = 1),
    );
    let answers: Vec<_> = (0..2).map(|_| proxied.get().status()).collect();
    assert!(answers.contains(&502) && answers.contains(&200), "{answers:?}");
}

#[test]
fn attempts_are_the_backends_that_are_asked() {
    let bad: Vec<_> = (0..5).map(|_| hangs_up()).collect();
    let addresses: Vec<_> = bad.iter().map(|origin| origin.address).collect();
    let proxied = proxy_with(&addresses, retries(|retry| retry.attempts = 3));
    assert_eq!(proxied.get().status(), 502);
    let asked: Vec<_> = bad.iter().map(|origin| origin.requests().len()).collect();
    assert_eq!(asked.iter().sum::<usize>(), 3, "{asked:?}");
    assert_eq!(asked.iter().max(), Some(&1), "each once");
}

#[test]
fn an_outage_does_not_multiply_what_is_offered() {
    let bad = [hangs_up(), hangs_up(), hangs_up()];
    let proxied = proxy(&bad.each_ref().map(|origin| origin.address));
    let offered = 200;
    for _ in 0..offered {
        assert_eq!(proxied.get().status(), 502);
    }
    let seen: usize = bad.iter().map(|origin| origin.requests().len()).sum();
    // A share of 20 % of what came before, and ten in each ten seconds: this may fall
    // into two of them.
    assert!((offered + 10..=offered + offered / 5 + 20).contains(&seen), "{seen}");
}

#[test]
fn a_floor_of_retries_is_shared_by_the_workers() {
    let bad = [hangs_up(), hangs_up()];
    let proxied = proxy_of(4, &bad.each_ref().map(|origin| (origin.address, 1)));
    let offered = 40;
    for _ in 0..offered {
        assert_eq!(proxied.get().status(), 502);
    }
    let seen: usize = bad.iter().map(|origin| origin.requests().len()).sum();
    assert!(seen <= offered + 4 * 2 + offered / 5, "{seen}");
}

#[test]
fn only_listed_statuses_are_retried() {
    let (busy, good) = (Origin::answering(BUSY), Origin::ok());
    let listed = proxy_with(
        &[busy.address, good.address],
        retries(|retry| retry.on.statuses = [503].into()),
    );
    for _ in 0..4 {
        assert_eq!(listed.get().text(), "ok");
    }
    let (asked, of) = (busy.requests().len(), good.requests().len());
    assert!(asked > 0 && of == 4);
    assert_eq!(busy.connections(), 1, "an answer that came whole costs no connection");
    let posted: Vec<_> = (0..2).map(|_| listed.ask(POST).status()).collect();
    assert!(posted.contains(&503) && posted.contains(&200), "{posted:?}");
    let unlisted = proxy(&[busy.address, good.address]);
    let answers: Vec<_> = (0..2).map(|_| unlisted.get().status()).collect();
    assert!(answers.contains(&503) && answers.contains(&200), "{answers:?}");
    eventually("nothing is held", || listed.load() == (0, 0));
}

#[test]
fn a_listed_answer_is_passed_on_when_nobody_has_a_better_one() {
    let large =
        format!("HTTP/1.1 503 No\r\nContent-Length: 3000000\r\n\r\n{}", "x".repeat(3_000_000));
    for busy in [BUSY.to_owned(), large] {
        let origin = Origin::answering(busy.clone());
        let listed = |retry: &mut RetrySettings| retry.on.statuses = [503].into();
        let length = busy.split_once("\r\n\r\n").unwrap().1.len();
        for others in [vec![], vec![Origin::refusing()], vec![hangs_up().address]] {
            let backends = [vec![origin.address], others].concat();
            for _ in 0..2 {
                let proxied = proxy_with(&backends, retries(listed));
                let answer = proxied.get();
                assert_eq!(answer.status(), 503);
                assert_eq!(answer.body.len(), length);
                eventually("nothing is held", || proxied.load() == (0, 0));
            }
        }
    }
}

#[test]
fn an_answer_that_is_not_passed_on_is_let_go_of_and_was_one() {
    let ended = std::sync::Arc::<AtomicUsize>::default();
    let counted = std::sync::Arc::clone(&ended);
    let busy = Origin::new(move |peer| {
        peer.request();
        if peer.number > 0 {
            peer.send("HTTP/1.1 503 No\r\nContent-Length: 100000\r\n\r\npart");
            peer.wait_for_end();
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let good = Origin::ok();
    let proxied = proxy_with(
        &[busy.address, good.address],
        retries(|retry| retry.on.statuses = [503].into()),
    );
    let is_answered = || proxied.get().text() == "ok";
    assert!(is_answered() && is_answered());
    eventually("it has hung up once", || failures(&proxied) == 1);
    assert!(is_answered() && is_answered());
    eventually("its connection ends", || ended.load(Ordering::SeqCst) == 1);
    eventually("nothing is held", || proxied.load() == (0, 0));
    assert_eq!(failures(&proxied), 0, "it has answered, whoever got that");
}

#[test]
fn a_token_is_taken_only_where_somebody_is_left() {
    let bad = hangs_up();
    let proxied = proxy(&[bad.address]);
    for _ in 0..60 {
        assert_eq!(proxied.get().status(), 502);
    }
    assert_eq!(proxied.running.counters().clusters[0].retry_budget_exhausted_total, 0);
    assert_eq!(bad.requests().len(), 60);
}

#[test]
fn nothing_is_sent_again_where_no_reset_is_listed() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send(OK);
        peer.request();
    });
    let proxied = proxy_with(
        &[origin.address],
        retries(|retry| {
            retry.attempts = 1;
            retry.on.reset = false;
        }),
    );
    let (mut client, sent) = (proxied.client(), 20);
    let answers: Vec<_> =
        (0..sent).map(|_| client.ask("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n").status()).collect();
    assert!(answers.contains(&502), "{answers:?}");
    assert_eq!(origin.requests().len(), sent);
}

#[test]
fn the_second_replay_of_a_request_takes_a_token() {
    // One that never comes back after its first answer, and one that closes each
    // connection when it is used again.
    let ends = Origin::new(|peer| {
        peer.request();
        if peer.number == 0 {
            peer.send(OK);
            peer.request();
        }
    });
    let closes = Origin::new(|peer| {
        peer.request();
        peer.send(OK);
        peer.request();
    });
    // Neither is taken out.
    let backend =
        |origin: &Origin| Backend::new(origin.address.to_string()).with_passive(Passive::Off);
    let members = Membership::new([backend(&ends), backend(&closes)]).unwrap();
    let cluster = Cluster::builder("test").strategy(RoundRobin::default()).membership(members);
    let proxied = proxy_with(&[], |service| {
        service.clusters[0].cluster = cluster.build();
        service.clusters[0].retry.budget = 0;
    });
    let mut client = proxied.client();
    assert!((0..2).all(|_| client.ask(GET).text() == "ok"));
    eventually("no token is left", || client.ask(GET).status() == 502);
    // Of ten tokens the first request took two: to the other backend, and to be
    // replayed there. Of the rest each had one.
    let (answered, replayed, without_a_token) = (1, 2, 1);
    assert_eq!(ends.requests().len(), answered + replayed + 8 + without_a_token);
}

#[test]
fn a_timeout_goes_elsewhere_only_if_listed() {
    let limits = |service: &mut Service| service.clusters[0].timeouts.first_byte = SHORT;
    let (slow, good) = (silent(), Origin::ok());
    let proxied = proxy_with(&[slow.address, good.address], |service| {
        limits(service);
        service.clusters[0].retry.on.timeout = true;
    });
    for _ in 0..2 {
        assert_eq!(proxied.get().text(), "ok");
    }
    assert_eq!(slow.requests().len(), 1);
    let posted: Vec<_> = (0..2).map(|_| proxied.ask(POST).status()).collect();
    assert!(posted.contains(&504), "{posted:?}");
    let proxied = proxy_with(&[slow.address, good.address], limits);
    let answers: Vec<_> = (0..2).map(|_| proxied.get().status()).collect();
    assert!(answers.contains(&504) && answers.contains(&200), "{answers:?}");
}

#[test]
fn a_try_ends_with_its_own_limit() {
    let (slow, good) = (silent(), Origin::ok());
    let proxied = proxy_with(&[slow.address, good.address], |service| {
        service.clusters[0].timeouts.per_try = Some(SHORT);
        service.clusters[0].retry.on.timeout = true;
    });
    for _ in 0..2 {
        assert_eq!(proxied.get().text(), "ok");
    }
    assert_eq!(slow.requests().len(), 1);
    let alone = proxy_with(&[slow.address], |service| {
        service.clusters[0].timeouts.per_try = Some(SHORT);
    });
    let answer = alone.get();
    assert_eq!(answer.status(), 504);
    assert!(answer.text().contains("backend-timeout"), "{answer:?}");
    assert_eq!(failures(&alone), 1);
}

#[test]
fn the_limit_of_a_try_ends_with_the_head_of_the_answer() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
        thread::park_timeout(SHORT * 6);
        peer.send("k");
    });
    let proxied = proxy_with(&[origin.address], |service| {
        service.clusters[0].timeouts.per_try = Some(SHORT);
    });
    assert_eq!(proxied.get().text(), "ok");
}

#[test]
fn a_client_that_is_slow_to_send_does_not_use_up_a_try() {
    let origin = Origin::ok();
    let proxied = proxy_with(&[origin.address], |service| {
        service.clusters[0].timeouts.per_try = Some(SHORT);
    });
    let mut client = proxied.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    thread::park_timeout(SHORT * 6);
    client.send("y");
    assert_eq!(client.answer("POST").text(), "ok");
}

#[test]
fn all_tries_together_have_a_limit() {
    let slow: Vec<_> = (0..8).map(|_| silent()).collect();
    let addresses: Vec<_> = slow.iter().map(|origin| origin.address).collect();
    let proxied = proxy_with(&addresses, |service| {
        let cluster = &mut service.clusters[0];
        cluster.timeouts.per_try = Some(SHORT);
        cluster.timeouts.total = Some(SHORT * 6);
        cluster.retry.attempts = 8;
        cluster.retry.on.timeout = true;
    });
    let began = Instant::now();
    let answer = proxied.get();
    assert_eq!(answer.status(), 504);
    assert!(answer.text().contains("total-timeout"), "{answer:?}");
    assert!(began.elapsed() >= SHORT * 6);
    let asked: usize = slow.iter().map(|origin| origin.requests().len()).sum();
    assert!((2..8).contains(&asked), "{asked}");
    eventually("nothing is held", || proxied.load() == (0, 0));
}

#[test]
fn a_backend_that_uses_up_all_the_time_has_failed() {
    let slow = silent();
    let proxied = proxy_with(&[slow.address], |service| {
        service.clusters[0].timeouts.total = Some(SHORT);
    });
    assert!(proxied.get().text().contains("total-timeout"));
    assert_eq!(failures(&proxied), 1);
}

#[test]
fn an_answer_that_outlasts_the_limit_is_truncated() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        // Never idle, and never done.
        while std::io::Write::write_all(&mut peer.stream, b"x").is_ok() {
            thread::park_timeout(Duration::from_millis(10));
        }
    });
    let proxied = proxy_with(&[origin.address], |service| {
        service.clusters[0].timeouts.total = Some(SHORT * 3);
    });
    let began = Instant::now();
    let answer = proxied.get();
    assert_eq!(answer.status(), 200);
    assert!(answer.truncated && !answer.body.is_empty());
    assert!((SHORT * 3..PATIENCE).contains(&began.elapsed()));
    eventually("nothing is held", || proxied.load() == (0, 0));
}

#[test]
fn a_client_that_takes_an_answer_slowly_does_not_stop_the_time() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        while std::io::Write::write_all(&mut peer.stream, &[b'x'; 1 << 16]).is_ok() {}
    });
    for takes_some in [false, true] {
        let proxied = proxy_with(&[origin.address], |service| {
            service.clusters[0].timeouts.total = Some(SHORT * 3);
        });
        let mut client = Client::with_small_buffer(proxied.address);
        client.send(GET);
        client.head();
        eventually("nothing is held", || {
            if takes_some {
                client.try_read(1 << 10);
            }
            proxied.load() == (0, 0)
        });
        let rest = client.rest();
        assert!(rest.map_or(0, |rest| rest.len()) < 100_000_000 - (1 << 20), "truncated");
        assert_eq!(failures(&proxied), 0, "it is no fault of the backend");
    }
}

#[test]
fn a_limit_that_is_kept_changes_nothing() {
    let origin = Origin::ok();
    let proxied = proxy_with(&[origin.address], |service| {
        service.clusters[0].timeouts.per_try = Some(PATIENCE);
        service.clusters[0].timeouts.total = Some(PATIENCE);
    });
    let mut client = proxied.client();
    for _ in 0..10 {
        assert_eq!(client.ask(GET).text(), "ok");
        assert_eq!(client.ask(POST).text(), "ok");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_backend_has_failed_when_it_did_not_answer_whole_and_in_time() {
    let answering = |answer: &'static str| {
        Origin::new(move |peer| {
            peer.request();
            peer.send(answer);
        })
    };
    let stalling = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        peer.wait_for_end();
    });
    for (what, address, failed) in [
        ("connect", Origin::refusing(), 1),
        ("reset", hangs_up().address, 1),
        ("malformed", answering("SSH-2.0-OpenSSH\r\n\r\n").address, 1),
        ("half a head", answering("HTTP/1.1 200 OK\r\nConte").address, 1),
        ("half a body", answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").address, 1),
        ("idle", stalling.address, 1),
        ("first byte", silent().address, 1),
        ("status", Origin::answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").address, 0),
        ("success", Origin::ok().address, 0),
    ] {
        let proxied = proxy_with(&[address], |service| {
            service.clusters[0].timeouts.idle = SHORT;
            service.clusters[0].timeouts.first_byte = SHORT;
        });
        proxied.get();
        eventually("nothing is held", || proxied.load() == (0, 0));
        assert_eq!(failures(&proxied), failed, "{what}");
    }
}

#[test]
fn ten_retries_are_allowed_whichever_worker_a_client_is_on() {
    let closes = hangs_up();
    let good = Origin::ok();
    let proxied = proxy_of(8, &[(closes.address, 1), (good.address, 1)]);
    let policy = Policy { passive: Passive::Off, ..Policy::default() };
    let cause = Cause::new(CauseKind::File, "test");
    let version = proxied.cluster.apply(Change::Policy(policy), cause).unwrap();
    block_on(proxied.cluster.effective(version));
    let mut client = proxied.client();
    for _ in 0..20 {
        assert_eq!(client.ask(GET).status(), 200);
    }
    assert_eq!(closes.requests().len(), 10);
}
