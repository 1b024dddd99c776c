//! Finding a route allocates nothing: counted, not believed.
//!
//! A binary of its own, because it replaces the global allocator.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use http::{HeaderMap, Method};
use lb_proxy::{
    Condition, HostPattern, PathPattern, RequestFacts, Route, RouteTable, ValuePattern,
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
