//! Finding a route or a key allocates nothing, and what is seen of a request nothing more
//! than forwarding it does: counted, not believed.
//!
//! A binary of its own, because it replaces the global allocator.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use lb_core::{Backend, Cluster, Membership, strategy::RoundRobin};
use lb_proxy::{
    ClusterSettings, Condition, HostPattern, KeyRule, ListenerSettings, PathPattern, Proxy,
    RequestFacts, RequestKey, Route, RouteTable, Service, StickySettings, ValuePattern,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Of all threads.
static ALL: AtomicU64 = AtomicU64::new(0);

#[expect(unsafe_code, reason = "a global allocator can't be written without; it only counts")]
// SAFETY: every call is passed on to the system allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        ALL.fetch_add(1, Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn an_ordinary_path_finds_its_route_without_allocating() {
    let mut routes = vec![Route::everything(0), Route::prefix("/api", 1)];
    for (cluster, host) in ["www.example.org", "[2001:db8::1]"].into_iter().enumerate() {
        let mut exact = Route::prefix("/a", cluster + 2);
        exact.host = HostPattern::Exact(host.into());
        exact.when = Condition::Query { name: "x".into(), value: ValuePattern::Exact("1".into()) };
        routes.push(exact);
    }
    let mut wild = Route::everything(4);
    wild.host = HostPattern::Suffix(".example.org".into());
    wild.path = PathPattern::EitherSlash("/b".into());
    routes.push(wild);
    let table = RouteTable::new(routes);
    let headers = HeaderMap::new();
    let client = [192, 0, 2, 1].into();
    for (host, target, expected) in [
        ("WWW.Example.org.:80", "/a/b?x=1", 2),
        ("[2001:DB8:0::1]:80", "/a?y&x=1", 3),
        ("a.b.example.org", "/b/", 4),
        ("elsewhere", "/api/x", 1),
        ("", "*", 0),
    ] {
        let before = ALLOCATIONS.get();
        let facts = RequestFacts::new(&Method::GET, host, target, &headers, client).unwrap();
        let found = table.decide(&facts).map(|route| route.cluster);
        assert_eq!(ALLOCATIONS.get() - before, 0, "{host}{target}");
        assert_eq!(found, Ok(expected), "{host}{target}");
    }
}

#[test]
fn a_key_of_one_part_or_a_short_one_is_found_without_allocating() {
    // As hyper has them: parts of one buffer that is shared already.
    let long = "x".repeat(200);
    let cookie = Bytes::from(format!("a=1; id={long}; b=2"));
    let target = Bytes::from(format!("/{long}?id={long}"));
    let _shared = (cookie.clone(), target.clone());
    let mut headers = HeaderMap::new();
    headers.insert("cookie", HeaderValue::from_maybe_shared(cookie).unwrap());
    headers.insert("x-user", HeaderValue::from_static("ann"));
    let uri = Uri::from_maybe_shared(target).unwrap();
    let asked = uri.path_and_query().unwrap().as_str();
    let client = [192, 0, 2, 1].into();
    let facts = RequestFacts::new(&Method::GET, "a", asked, &headers, client).unwrap();
    let user = || KeyRule::Header(HeaderName::from_static("x-user"));
    for (rule, length) in [
        (KeyRule::ClientIp, 4),
        (KeyRule::ClientIpText, 9),
        (KeyRule::Uri, 405),
        (KeyRule::Path, 201),
        (KeyRule::Cookie("id".into()), 200),
        (KeyRule::Query("id".into()), 200),
        (user(), 3),
        (KeyRule::Composed([KeyRule::ClientIp, user()].into()), 4 + 4 + 4 + 3),
    ] {
        let before = ALLOCATIONS.get();
        let key = RequestKey::new(&rule, &uri, &facts);
        assert_eq!(ALLOCATIONS.get() - before, 0, "{rule}");
        assert_eq!(key.map(|key| key.as_bytes().len()), Some(length), "{rule}");
    }
}

/// Nearly all of them are hyper's. Whoever needs one more has to say for what.
#[test]
fn a_request_that_is_only_counted_costs_as_few_allocations_as_ever() {
    assert_eq!(allocations_of_a_request(false), 8);
    assert_eq!(allocations_of_a_request(true), 10, "with a new cookie");
}

/// In a proxy of one worker; of the rounds the one with the least, as the other tests and
/// the ticks of the worker allocate as well.
fn allocations_of_a_request(is_sticky: bool) -> u64 {
    const ROUND: u64 = 50;
    let members = Membership::new([Backend::new(backend().to_string())]).unwrap();
    let cluster =
        Cluster::builder("web").strategy(RoundRobin::default()).membership(members).build();
    let mut settings = ClusterSettings::new(cluster);
    settings.sticky = is_sticky.then(|| StickySettings::new("LB"));
    let service = Service {
        listeners: vec![ListenerSettings::new("127.0.0.1:0".parse().unwrap())],
        routes: Arc::new(RouteTable::new(vec![Route::everything(0)])),
        clusters: vec![settings],
        access_log: None,
    };
    let proxy = Proxy::start(service, NonZeroUsize::MIN).unwrap();
    let mut stream = TcpStream::connect(proxy.addresses()[0]).unwrap();
    let mut round = || {
        for _ in 0..ROUND {
            stream.write_all(b"GET /a?b HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\n\r\n").unwrap();
            assert!(reads_until(&mut stream, b"\r\n\r\nok"));
        }
    };
    // The first ones are kept to be asked about, and buffers grow.
    (0..10).for_each(|_| round());
    let rounds = (0..20).map(|_| {
        let before = ALL.load(Relaxed);
        round();
        ALL.load(Relaxed) - before
    });
    rounds.min().unwrap() / ROUND
}

/// One that allocates nothing for an answer.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                while reads_until(&mut stream, b"\r\n\r\n") {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                }
            });
        }
    });
    address
}

/// Whether it comes before the connection ends.
fn reads_until(stream: &mut TcpStream, end: &[u8]) -> bool {
    let (mut buffer, mut length) = ([0; 1024], 0);
    while !buffer[..length].ends_with(end) {
        match stream.read(&mut buffer[length..]) {
            Ok(0) | Err(_) => return false,
            Ok(more) => length += more,
        }
    }
    true
}
