//! What a backend says about itself, as a client gets it.

use lb_proxy::{Route, RouteTable};

use crate::support::{Message, Origin, Proxied, proxy, proxy_with};

/// A backend that answers each request with these headers. `BACKEND` is its address.
fn saying(headers: &'static [&'static str]) -> Origin {
    Origin::new(move |peer| {
        let address = peer.stream.local_addr().unwrap().to_string();
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let lines = lines.replace("BACKEND", &address);
        while peer.request().is_some() {
            peer.send(format!("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n{lines}\r\n"));
        }
    })
}

fn stripping(origin: &Origin) -> Proxied {
    proxy_with(&[origin.address], |service| {
        let mut api = Route::prefix("/api/", 0);
        api.strip = true;
        service.routes = RouteTable::new(vec![api]).into();
    })
}

const ASK: &str = "GET /api/go HTTP/1.1\r\nHost: www.example.org:8080\r\n\r\n";

fn all<'a>(answer: &'a Message, name: &str) -> Vec<&'a str> {
    let lines = answer.headers.iter().filter(|(known, _)| known == name);
    lines.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn a_redirect_to_the_backend_leads_to_the_proxy() {
    let origin = saying(&["Location: http://BACKEND/login?a=b", "Content-Location: //BACKEND/x"]);
    let answer = proxy(&[origin.address]).ask(ASK);
    assert_eq!(answer.header("location"), Some("http://www.example.org:8080/login?a=b"));
    assert_eq!(answer.header("content-location"), Some("//www.example.org:8080/x"));
    let answer = stripping(&origin).ask(ASK);
    assert_eq!(answer.header("location"), Some("http://www.example.org:8080/api/login?a=b"));
}

#[test]
fn an_obsolete_redirect_is_one_as_well() {
    let origin = saying(&["URI: http://BACKEND/login"]);
    let answer = stripping(&origin).ask(ASK);
    assert_eq!(answer.header("uri"), Some("http://www.example.org:8080/api/login"));
}

#[test]
fn a_removed_prefix_is_in_every_reference() {
    let origin = saying(&[
        "Location: /login",
        "Refresh: 3; url=/wait",
        "Set-Cookie: a=1; Path=/; HttpOnly",
        "Set-Cookie: b=2; Path=/b; Domain=127.0.0.1",
        "Set-Cookie: junk",
    ]);
    let answer = stripping(&origin).ask(ASK);
    assert_eq!(answer.header("location"), Some("/api/login"));
    assert_eq!(answer.header("refresh"), Some("3; url=/api/wait"));
    let cookies = ["a=1; Path=/api/; HttpOnly", "b=2; Path=/api/b", "junk"];
    assert_eq!(all(&answer, "set-cookie"), cookies);
}

#[test]
fn what_leads_elsewhere_stays() {
    let origin = saying(&["Location: https://login.example/?to=http://BACKEND/", "Refresh: 5"]);
    let answer = stripping(&origin).ask(ASK);
    let expected = format!("https://login.example/?to=http://{}/", origin.address);
    assert_eq!(answer.header("location"), Some(&*expected));
    assert_eq!(answer.header("refresh"), Some("5"));
}

#[test]
fn an_old_client_without_a_host_is_led_by_paths() {
    let origin = saying(&["Location: http://BACKEND/login"]);
    let answer = proxy(&[origin.address]).ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(answer.header("location"), Some("/login"));
}
