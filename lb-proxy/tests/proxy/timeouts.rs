//! What happens when somebody takes too long.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use lb_core::{
    Cluster,
    cluster::View,
    strategy::{BuildCx, Choice, PickCx, Picker, Reason, Strategy},
};
use lb_proxy::ClusterSettings;

use crate::support::{Client, GET, Origin, PATIENCE, block_on, eventually, membership, proxy_with};

const SHORT: Duration = Duration::from_millis(100);

/// How late a limit may be: two ticks, and a slow machine.
const LATE: Duration = Duration::from_millis(800);

#[test]
fn a_head_that_does_not_end_is_408() {
    let proxied = proxy_with(&[], |service| service.listeners[0].timeouts.header = SHORT);
    let mut client = proxied.client();
    let began = Instant::now();
    client.send("GET / HT");
    let answer = client.answer("GET");
    assert_eq!(answer.status(), 408);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(began.elapsed() >= SHORT);
    client.is_closed();
}

#[test]
fn an_empty_line_between_requests_is_no_head() {
    let origin = Origin::ok();
    let proxied = proxy_with(&[origin.address], |service| {
        service.listeners[0].timeouts.header = SHORT;
        service.listeners[0].timeouts.keep_alive = SHORT * 3;
    });
    let mut client = proxied.client();
    for _ in 0..2 {
        assert_eq!(client.ask(GET).text(), "ok");
        client.send("\r\n");
    }
    client.is_closed();
}

#[test]
fn a_head_that_trickles_in_is_408_all_the_same() {
    let proxied = proxy_with(&[], |service| service.listeners[0].timeouts.header = SHORT);
    let mut client = proxied.client();
    client.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let deadline = Instant::now() + crate::support::PATIENCE;
    client.send("GET / HTTP/1.1\r\n");
    let status = loop {
        assert!(Instant::now() < deadline);
        if let Some(status) = client.try_read(12) {
            break status;
        }
        let _ = std::io::Write::write_all(&mut client.stream, b"X: y\r\n");
    };
    assert_eq!(status, b"HTTP/1.1 408");
}

#[test]
fn half_a_head_does_not_cut_the_answer_before_it() {
    let origin = Origin::new(|peer| {
        while let Some(request) = peer.request() {
            let length = request.start.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            peer.send(vec![b'x'; length]);
        }
    });
    let proxied = proxy_with(&[origin.address], |service| {
        service.listeners[0].timeouts.header = SHORT;
        service.listeners[0].timeouts.keep_alive = 20 * SHORT;
    });
    // The answer has to be more than the kernel takes, and not more than that and
    // what the proxy takes. Nobody knows these, so many lengths are tried.
    std::thread::scope(|scope| {
        for length in (1..=24).map(|part| part * (256 << 10)) {
            let proxied = &proxied;
            scope.spawn(move || {
                let mut client = Client::with_small_buffer(proxied.address);
                client.send(format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\n"));
                let mut answer = client.head();
                // Until the proxy has all of it.
                std::thread::sleep(3 * SHORT);
                client.send("GET / HT");
                std::thread::sleep(5 * SHORT);
                client.body(&mut answer);
                assert!(answer.body == vec![b'x'; length], "{length} {}", answer.body.len());
                // Where half a head came before the answer was complete, it is not
                // known to be there, and the connection counts as idle.
                let rest = client.rest().unwrap();
                assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "), "{length}");
            });
        }
    });
}

/// Picks whoever there is. Has the worker stand still meanwhile, until told otherwise.
#[derive(Debug, Clone)]
struct StandsStill {
    begins: mpsc::Sender<()>,
    ends: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Strategy for StandsStill {
    fn name(&self) -> &'static str {
        "stands_still"
    }

    fn build(&mut self, _: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        Box::new(self.clone())
    }
}

impl Picker for StandsStill {
    fn pick(&self, view: View<'_>, _: &PickCx<'_>) -> Option<Choice> {
        let _ = self.begins.send(());
        // An error means that nobody wants it to stand still any more.
        let _ = self.ends.lock().unwrap().recv();
        view.slots().next().map(|slot| Choice::new(slot, Reason::First))
    }
}

#[test]
fn a_client_is_not_late_when_it_is_us_who_are() {
    let origin = Origin::ok();
    let (begins, has_begun) = mpsc::channel();
    let (goes_on, ends) = mpsc::channel();
    // Longer than it takes to begin.
    let limit = 20 * SHORT;
    let proxied = proxy_with(&[], |service| {
        let ends = Arc::new(Mutex::new(ends));
        let cluster = Cluster::builder("test").strategy(StandsStill { begins, ends });
        let cluster = cluster.membership(membership(&[origin.address])).build();
        service.clusters = vec![ClusterSettings::new(cluster)];
        service.listeners[0].timeouts.keep_alive = limit;
    });
    let mut others: Vec<_> = (0..2).map(|_| proxied.client()).collect();
    let mut client = proxied.client();
    client.send(GET);
    has_begun.recv_timeout(PATIENCE).unwrap();
    for other in &mut others {
        other.send(GET);
    }
    // Until all of these are overdue.
    std::thread::sleep(limit + 3 * SHORT);
    drop(goes_on);
    for other in &mut others {
        assert_eq!(other.answer(GET).text(), "ok");
    }
    assert_eq!(client.answer(GET).text(), "ok");
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let origin = Origin::ok();
    let proxied =
        proxy_with(&[origin.address], |service| service.listeners[0].timeouts.keep_alive = SHORT);
    let mut unused = proxied.client();
    unused.is_closed();
    let mut used = proxied.client();
    assert_eq!(used.ask(GET).text(), "ok");
    used.is_closed();
}

#[test]
fn a_body_that_stops_is_408() {
    let origin = Origin::ok();
    let proxied =
        proxy_with(&[origin.address], |service| service.listeners[0].timeouts.body_idle = SHORT);
    let mut client = proxied.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    let answer = client.answer("POST");
    assert_eq!(answer.status(), 408);
    assert_eq!(answer.header("connection"), Some("close"));
    client.is_closed();
    eventually("the lease ends", || proxied.load() == (0, 0));
}

#[test]
fn a_body_that_stops_behind_the_head_of_its_answer_ends_both() {
    let origin = Origin::new(|peer| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        peer.wait_for_end();
    });
    let proxied =
        proxy_with(&[origin.address], |service| service.listeners[0].timeouts.body_idle = SHORT);
    let mut client = proxied.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    let answer = client.answer("POST");
    assert_eq!((answer.text(), answer.truncated), ("abc", true));
    eventually("the lease ends", || proxied.load() == (0, 0));
}

#[test]
fn a_body_that_goes_on_may_take_longer_than_the_backend_may() {
    let origin = Origin::ok();
    let proxied = proxy_with(&[origin.address], |service| {
        service.clusters[0].timeouts.first_byte = SHORT;
    });
    let mut client = proxied.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
    for byte in ["a", "b", "c", "d", "e", "f"] {
        // Longer than the limit, a tick and the lag of coarse time.
        std::thread::sleep(Duration::from_millis(350));
        client.send(byte);
    }
    assert_eq!(client.answer("POST").text(), "ok");
}

#[test]
fn a_backend_that_does_not_answer_is_504() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.wait_for_end();
    });
    let proxied = proxy_with(&[origin.address], |service| {
        service.clusters[0].timeouts.first_byte = SHORT;
    });
    let (proxied, mut client) = proxied.into_client();
    for _ in 0..2 {
        let began = Instant::now();
        let answer = client.ask(GET);
        assert_eq!(answer.status(), 504);
        assert!(answer.text().contains("backend-timeout"), "{answer:?}");
        assert!(began.elapsed() >= SHORT);
    }
    assert_eq!(origin.requests().len(), 2, "a timeout is not repeated");
    assert_eq!(proxied.load(), (0, 0));
}

#[test]
fn the_time_to_answer_runs_once() {
    let limit = Duration::from_secs(1);
    let origin = Origin::new(|peer| {
        peer.request();
        peer.wait_for_end();
    });
    let proxied = proxy_with(&[origin.address], |service| {
        service.clusters[0].timeouts.first_byte = limit;
    });
    for request in [GET, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"] {
        let began = Instant::now();
        assert_eq!(proxied.ask(request).status(), 504);
        let took = began.elapsed();
        assert!(took >= limit && took < limit + LATE, "{took:?}");
    }
}

#[test]
fn an_answer_that_stops_is_truncated() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        peer.wait_for_end();
    });
    let proxied =
        proxy_with(&[origin.address], |service| service.clusters[0].timeouts.idle = SHORT);
    let answer = proxied.get();
    assert_eq!((answer.status(), answer.text()), (200, "abc"));
    assert!(answer.truncated);
    eventually("the lease ends", || proxied.load() == (0, 0));
}

#[test]
fn an_answer_that_goes_on_may_take_long() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        for byte in ["a", "b", "c", "d", "e"] {
            std::thread::sleep(SHORT);
            peer.send(byte);
        }
        peer.wait_for_end();
    });
    let proxied = proxy_with(&[origin.address], |service| {
        service.clusters[0].timeouts.idle = 3 * SHORT;
        service.clusters[0].timeouts.first_byte = 3 * SHORT;
    });
    assert_eq!(proxied.get().text(), "abcde");
}

#[test]
fn limits_may_be_endless() {
    let origin = Origin::ok();
    let proxied = proxy_with(&[origin.address], |service| {
        let timeouts = &mut service.listeners[0].timeouts;
        timeouts.header = Duration::MAX;
        timeouts.body_idle = Duration::MAX;
        timeouts.keep_alive = Duration::MAX;
        timeouts.send_stall = Duration::MAX;
        timeouts.shutdown = Duration::MAX;
        let timeouts = &mut service.clusters[0].timeouts;
        timeouts.connect = Duration::MAX;
        timeouts.first_byte = Duration::MAX;
        timeouts.idle = Duration::MAX;
        timeouts.pool_idle = Duration::MAX;
    });
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(proxied.ask(post).text(), "ok");
    assert_eq!(proxied.get().text(), "ok");
    block_on(proxied.running.drain());
}

#[test]
fn an_answer_waits_for_a_body_that_goes_on() {
    let origin = Origin::new(|peer| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        peer.read(6);
        peer.send("3\r\ndef\r\n0\r\n\r\n");
        peer.wait_for_end();
    });
    let proxied =
        proxy_with(&[origin.address], |service| service.clusters[0].timeouts.idle = SHORT);
    let mut client = proxied.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
    for byte in ["a", "b", "c", "d", "e", "f"] {
        std::thread::sleep(Duration::from_millis(350));
        client.send(byte);
    }
    let answer = client.answer("POST");
    assert_eq!((answer.text(), answer.truncated), ("abcdef", false));
}

#[test]
fn a_client_that_takes_nothing_is_reset() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n");
        let part = vec![b'x'; 1 << 16];
        while std::io::Write::write_all(&mut peer.stream, &part).is_ok() {}
    });
    let proxied =
        proxy_with(&[origin.address], |service| service.listeners[0].timeouts.send_stall = SHORT);
    let mut client = proxied.client();
    client.send(GET);
    client.head();
    eventually("the lease ends", || proxied.load() == (0, 0));
    assert_eq!(client.rest().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}
