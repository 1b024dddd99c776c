//! Finding a route or a key allocates nothing: counted, not believed.
//!
//! A binary of its own, because it replaces the global allocator.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use lb_proxy::{
    Condition, HostPattern, KeyRule, PathPattern, RequestFacts, RequestKey, Route, RouteTable,
    ValuePattern,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "a global allocator can't be written without; it only counts")]
// SAFETY: every call is passed on to the system allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
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
