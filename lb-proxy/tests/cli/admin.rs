//! `lb run` with the API.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::Value;

use crate::{
    client,
    process::{Lb, PATIENCE, eventually, file, finish, folder, lb, text},
};

/// The status and the body.
fn exchange(mut stream: impl Read + Write, head: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a whole answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// Over the socket.
pub(crate) fn ask(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    let stream = UnixStream::connect(socket).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let json = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let head = format!("{method} /api/v1{path} HTTP/1.1\r\nHost: lb\r\n{json}");
    let (status, body) = exchange(stream, &head, body);
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}")))
}

/// Over an address.
fn get(address: SocketAddr, path: &str, token: &str) -> u16 {
    send(address, "GET", path, token, "").0
}

pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> (u16, String) {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n"
    );
    exchange(stream, &head, body)
}

#[test]
fn beyond_this_machine_nothing_starts_without_a_token() {
    let (listen, line) = ("0.0.0.0:0", "token = { env = \"LB_ADMIN_TOKEN\" }");
    let flag = finish(&mut lb(&["run", "--to", "127.0.0.1:1", "--admin", listen]));
    assert_eq!(flag.status.code(), Some(2));
    assert!(text(&flag.stderr).contains(line), "{}", text(&flag.stderr));
    let own = format!("to = [\"127.0.0.1:1\"]\n[admin]\nlisten = \"{listen}\"\n");
    let own = file(&own);
    for command in ["run", "check"] {
        let args: &[&str] =
            if command == "run" { &["run", "--config", &own] } else { &["check", &own] };
        let refused = finish(&mut lb(args));
        assert_eq!(refused.status.code(), Some(2), "{command}");
        assert!(text(&refused.stderr).contains(line), "{}", text(&refused.stderr));
    }
}

#[test]
fn no_backend_is_where_the_balancer_is_changed() {
    let file = file("to = [\"localhost:9911\"]\n[admin]\nlisten = \"127.0.0.1:9911\"\n");
    let checked = finish(&mut lb(&["check", &file]));
    assert_eq!(checked.status.code(), Some(2));
    assert!(text(&checked.stderr).contains("where this balancer is changed"));
    let args = ["run", "--to", "127.0.0.1:9911", "--admin", "127.0.0.1:9911"];
    let refused = finish(&mut lb(&args));
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("where this balancer is changed"));
}

#[test]
fn the_line_below_the_start_line_has_the_token_of_this_start() {
    let args = ["run", "--to", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let lb = Lb::start(&args);
    let line = lb.next_line();
    let (place, token) = line.trim_end().split_once("; token ").expect(&line);
    let place = place.strip_prefix("the API is on http://").expect(&line);
    let address: SocketAddr = place.split(' ').next().expect("a place").parse().expect(place);
    assert_eq!(get(address, "/api/v1/status", token), 200);
    assert_eq!(get(address, "/api/v1/status", "0123456789abcdef"), 401);
}

#[test]
fn nobody_adds_a_backend_that_is_the_api() {
    // A port that is free, for who names it.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let place = port.to_string();
    let file = file(&format!(
        "listen = \"127.0.0.1:0\"\nto = [\"127.0.0.1:1\"]\n\
         [admin]\nlisten = \"{place}\"\nsocket = \"off\"\ntoken = {{ env = \"TOKEN\" }}\n"
    ));
    let token = "0123456789abcdef";
    let mut command = lb(&["run", "--config", &file]);
    let _lb = Lb::spawn(command.env("TOKEN", token).env_remove("LB_ADMIN"));
    let new = format!("{{\"address\": \"{place}\"}}");
    let path = "/api/v1/clusters/default/backends";
    let (status, told) = send(port, "POST", path, token, &new);
    assert_eq!(status, 422, "{told}");
    assert!(told.contains("where this balancer is changed"), "{told}");
}

#[test]
fn what_is_changed_by_the_api_is_true_of_requests() {
    let folder = folder();
    let socket = folder.join("lb.sock");
    let text = format!(
        "listen = \"127.0.0.1:0\"\nto = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n\
         [admin]\nsocket = \"{}\"\n[log]\naccess = {{ to = \"stdout\" }}\n",
        socket.display()
    );
    let file = file(&text);
    let lb = Lb::spawn(
        lb(&["run", "--config", &file]).env("LB_ADMIN", socket.to_str().expect("a printable path")),
    );
    let (status, told) = ask(&socket, "GET", "/status", "");
    assert_eq!((status, &told["clusters"][0]["usable"]), (200, &Value::from(2)));

    let one = "/clusters/default/backends/127.0.0.1:1";
    let (status, told) = ask(&socket, "PATCH", one, r#"{"state": "disabled"}"#);
    assert_eq!((status, &told["backend"]["state"]), (200, &Value::from("disabled")), "{told}");
    let change = told["changes"][0]["id"].as_u64().expect("a number");
    let other = "/clusters/default/backends/127.0.0.1:2";
    let (status, told) = ask(&socket, "PATCH", other, r#"{"state": "disabled"}"#);
    assert_eq!((status, &told["title"]), (409, &Value::from("No backend would be left")));
    let forced = format!("{other}?force=true");
    assert_eq!(ask(&socket, "PATCH", &forced, r#"{"state": "disabled"}"#).0, 200);
    assert_eq!(client::get(lb.address(), "/").status, 503, "nobody is left");

    let (status, told) = ask(&socket, "POST", &format!("/changes/{change}/undo"), "");
    assert_eq!((status, &told["backend"]["admin"]), (200, &Value::from("enabled")), "{told}");
    assert_eq!(client::get(lb.address(), "/").status, 502, "it is asked again");
    let (_, events) = ask(&socket, "GET", "/events", "");
    let undone = events.as_array().expect("a list").iter().any(|one| one["kind"] == "change");
    assert!(undone, "{events}");

    std::fs::write(&*file, "to = []\nlissten = 1\n").expect("a file");
    let (status, told) = ask(&socket, "POST", "/config/reload", "");
    assert_eq!((status, &told["type"]), (422, &Value::from("urn:lb:problem:bad-config")));
    std::fs::write(&*file, format!("{text}level = \"warn\"\n")).expect("a file");
    let (status, told) = ask(&socket, "POST", "/config/reload", "");
    assert_eq!((status, &told["config_generation"]), (200, &Value::from(2)), "{told}");
    let (_, config) = ask(&socket, "GET", "/config", "");
    let settings = config["settings"].as_array().expect("a list");
    let level = settings.iter().find(|one| one["key"] == "log.level").expect("a level");
    assert_eq!(level["value"], "\"warn\"", "what is served now");

    // Two requests were balanced; what was asked here is none of them.
    let mut lines = Vec::new();
    eventually("two requests are logged", || {
        lines.push(lb.next_line());
        lines.iter().filter(|line| line.contains("GET / ")).count() == 2
    });
    assert!(lines.iter().all(|line| !line.contains("/api/v1")), "{lines:?}");
}

#[test]
fn a_socket_is_left_to_who_has_it_and_taken_from_the_dead() {
    let folder = folder();
    let socket = folder.join("lb.sock");
    let place = socket.to_str().expect("a printable path");
    let args = ["run", "--to", "127.0.0.1:1", "--listen", "127.0.0.1:0"];
    let start = || Lb::spawn(lb(&args).env("LB_ADMIN", place));
    let mut first = start();
    let second = finish(lb(&args).env("LB_ADMIN", place));
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another process listens there"));
    assert_eq!(ask(&socket, "GET", "/status", "").0, 200);
    first.signal(rustix::process::Signal::KILL);
    first.wait();
    assert!(socket.exists(), "as after a crash");
    let mut third = start();
    assert_eq!(ask(&socket, "GET", "/status", "").1["pid"], third.pid());
    third.signal(rustix::process::Signal::TERM);
    third.wait();
    assert!(!socket.exists());
}
