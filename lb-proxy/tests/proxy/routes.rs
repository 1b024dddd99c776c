//! Which backend a request reaches, and what it is asked for there.

use lb_core::{Cluster, strategy::RoundRobin};
use lb_proxy::{
    ClusterSettings, Condition, HostPattern, PathPattern, Route, RouteTable, Service,
    TrustedProxies, ValuePattern,
};

use crate::support::{GET, Origin, Proxied, membership, proxy_with};

/// A proxy in front of two clusters of one backend each, with these routes.
fn two(origins: &[Origin; 2], routes: Vec<Route>) -> Proxied {
    proxy_with(&[origins[0].address], |service| put_behind(service, origins, routes))
}

/// Adds the second cluster, and has these routes lead to both.
fn put_behind(service: &mut Service, origins: &[Origin; 2], routes: Vec<Route>) {
    let second = Cluster::builder("second").membership(membership(&[origins[1].address]));
    let second = second.strategy(RoundRobin::default()).build();
    service.clusters.push(ClusterSettings::new(second));
    service.routes = RouteTable::new(routes).into();
}

fn origins() -> [Origin; 2] {
    [Origin::ok(), Origin::ok()]
}

fn request(host: &str, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// What each backend was asked for.
fn asked(origins: &[Origin; 2]) -> [Vec<String>; 2] {
    let target = |line: &str| line.split(' ').nth(1).unwrap().to_owned();
    origins
        .each_ref()
        .map(|origin| origin.requests().iter().map(|request| target(&request.start)).collect())
}

#[test]
fn dots_do_not_lead_around_a_route_and_the_backend_gets_what_was_sent() {
    let origins = origins();
    let proxied = two(&origins, vec![Route::everything(0), Route::prefix("/admin", 1)]);
    let admin = ["/public/../admin", "/%61dmin", "//admin/x", "/public/%2e%2e/admin?x=/../"];
    for target in admin {
        assert_eq!(proxied.ask(&request("a", target)).status(), 200, "{target}");
    }
    assert_eq!(proxied.ask(&request("a", "/admin/../public")).status(), 200);
    assert_eq!(asked(&origins), [vec!["/admin/../public"], admin.to_vec()]);
}

#[test]
fn a_path_with_two_meanings_is_refused() {
    let origins = origins();
    let proxied = two(&origins, vec![Route::everything(0), Route::prefix("/admin", 1)]);
    for target in [
        "/..",
        "/a/..;/admin",
        "/a%2f../admin",
        "/admin%2Fx",
        "/a//../admin",
        "/admin%2Fx/../secret",
        "/admin;x/secret",
        "/;/admin",
        "/public/;/../admin",
    ] {
        let answer = proxied.ask(&request("a", target));
        assert_eq!(answer.status(), 400, "{target}");
        assert!(answer.text().contains("bad-target"), "{answer:?}");
    }
    assert_eq!(asked(&origins), [Vec::<String>::new(), Vec::new()]);
    assert_eq!(proxied.ask(&request("a", "/a%2Fb")).status(), 200);
}

#[test]
fn hosts_have_their_own_routes() {
    let origins = origins();
    let mut exact = Route::everything(0);
    exact.host = HostPattern::Exact("www.example.org".into());
    let mut wild = Route::everything(1);
    wild.host = HostPattern::Suffix(".example.org".into());
    let proxied = two(&origins, vec![wild, exact]);
    assert_eq!(proxied.ask(&request("WWW.Example.org:80", "/1")).status(), 200);
    assert_eq!(proxied.ask(&request("api.example.org", "/2")).status(), 200);
    // The host of an absolute target counts.
    assert_eq!(proxied.ask(&request("x", "http://a.b.example.org/3")).status(), 200);
    assert_eq!(asked(&origins), [vec!["/1"], vec!["/2", "/3"]]);
    let answer = proxied.ask(&request("example.org", "/"));
    assert_eq!(answer.status(), 421);
    assert!(answer.text().contains("unknown-host"), "{answer:?}");
    assert_eq!(proxied.ask("GET / HTTP/1.0\r\n\r\n").status(), 421);
}

#[test]
fn an_exact_path_goes_elsewhere_than_its_neighbours() {
    let origins = origins();
    let mut student = Route::everything(1);
    student.path = PathPattern::EitherSlash("/api/student".into());
    let proxied = two(&origins, vec![Route::everything(0), student]);
    for target in ["/api/student", "/api/student/", "/api/student/1", "/api/students"] {
        proxied.ask(&request("a", target));
    }
    let expected = [["/api/student/1", "/api/students"], ["/api/student", "/api/student/"]];
    assert_eq!(asked(&origins), expected.map(|targets| targets.map(str::to_owned).to_vec()));
}

#[test]
fn a_condition_chooses_between_routes_of_one_path() {
    let origins = origins();
    let mut posts = Route::everything(1);
    posts.when = Condition::Method(vec![http::Method::POST]);
    let proxied = two(&origins, vec![Route::everything(0), posts]);
    proxied.ask(GET);
    proxied.ask("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(asked(&origins), [vec!["/"], vec!["/x"]]);
}

#[test]
fn what_was_matched_is_removed() {
    let origins = origins();
    let mut api = Route::prefix("/api/", 1);
    api.strip = true;
    let proxied = two(&origins, vec![Route::everything(0), api]);
    for target in ["/api/x?y=/api", "/api/", "/apix", "http://a/api/z"] {
        proxied.ask(&request("a", target));
    }
    assert_eq!(asked(&origins), [vec!["/apix"], vec!["/x?y=/api", "/", "/z"]]);
    assert_eq!(origins[1].last().header("x-forwarded-prefix"), Some("/api"));
    assert_eq!(origins[0].last().header("x-forwarded-prefix"), None);
}

#[test]
fn a_stranger_does_not_choose_a_route_by_what_it_claims() {
    let origins = origins();
    let name = "x-forwarded-proto".parse().unwrap();
    let value = ValuePattern::Exact("https".into());
    let mut secure = Route::everything(1);
    secure.when = Condition::Header { name, value };
    let routes = vec![Route::everything(0), secure];
    let claim = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n";
    two(&origins, routes.clone()).ask(claim);
    assert_eq!(asked(&origins), [vec!["/"], vec![]]);
    let proxied = proxy_with(&[origins[0].address], |service: &mut Service| {
        put_behind(service, &origins, routes);
        let everybody = "0.0.0.0/0".parse().unwrap();
        service.listeners[0].trusted_proxies = TrustedProxies::new([everybody]);
    });
    proxied.ask(claim);
    assert_eq!(asked(&origins), [vec!["/"], vec!["/"]]);
}
