//! Where commands look for a running `lb`, and what they do when it is not to be had.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use crate::{
    live::{Live, said},
    process::{folder, lb},
};

#[test]
fn where_nobody_runs_every_place_that_was_tried_is_told() {
    let folder = folder();
    let said = said(lb(&["status"]).env("LB_ADMIN", "").env("XDG_RUNTIME_DIR", &*folder));
    // Somebody else's may run on this machine; the first place is ours alone.
    if said.code == Some(3) {
        let first = format!("tried unix:{}/lb.sock (not there), ", folder.display());
        assert!(said.stderr.contains(&first), "{}", said.stderr);
        assert!(said.stderr.contains("is `lb run` running?"), "{}", said.stderr);
    }
}

#[test]
fn a_place_that_was_named_is_asked_and_no_other() {
    let live = Live::start("listen = \"127.0.0.1:0\"\nto = [\"a:1\"]\n[admin]\nlisten = \"off\"\n");
    let gone = live.say(&["status", "--admin", "unix:/nowhere/lb.sock"]);
    assert_eq!(gone.code, Some(3));
    assert_eq!(
        gone.stderr,
        "error: no running lb is reachable; tried unix:/nowhere/lb.sock (not there)\n  \
         help: is `lb run` running? `--admin` or `LB_ADMIN` says where it is\n"
    );
    let explained = live.say(&["explain", "GET", "/", "--admin", "unix:/nowhere/lb.sock"]);
    assert_eq!(explained.code, Some(3));
    let off = said(live.command(&["status"]).env("LB_ADMIN", "off"));
    assert_eq!((off.code, off.stdout.as_str()), (Some(3), ""));
    let wrong = said(live.command(&["status"]).env("LB_ADMIN", "https://a:1"));
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.starts_with("error: `LB_ADMIN=https://a:1`: "), "{}", wrong.stderr);
}

#[test]
fn over_an_address_a_token_is_needed() {
    let folder = folder();
    let token = folder.join("token");
    fs::write(&token, "0123456789abcdef0123456789abcdef\n").expect("a file");
    let live = Live::start(&format!(
        "listen = \"127.0.0.1:0\"\nto = [\"a:1\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         token = {{ file = \"{}\" }}\n",
        token.display()
    ));
    let line = live.lb.next_line();
    let place = line.split_once("the API is on ").expect(&line).1;
    let place = place.split([' ', ';', '\n']).next().expect("a place");
    let status = ["status", "--admin", place];
    let nobody = live.say(&status);
    assert_eq!((nobody.code, &*nobody.stdout), (Some(6), ""));
    assert!(nobody.stderr.contains("help: set `LB_TOKEN` or `LB_TOKEN_FILE`"), "{nobody:?}");
    assert_eq!(said(live.command(&status).env("LB_TOKEN", "wrong")).code, Some(6));
    assert_eq!(said(live.command(&status).env("LB_TOKEN_FILE", &token)).code, Some(0));
    let both = said(live.command(&status).env("LB_TOKEN_FILE", &token).env("LB_TOKEN", "x"));
    assert_eq!(both.code, Some(2));
}

#[test]
fn who_answers_there_may_be_no_lb() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
        }
    });
    let stranger = said(&mut lb(&["status", "--admin", &place]));
    assert_eq!(stranger.code, Some(3));
    assert!(stranger.stderr.starts_with(&format!("error: what answers at {place} is no lb: ")));
}

#[test]
fn shells_and_readers_are_given_what_the_commands_are() {
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&mut lb(&["completions", shell]));
        assert_eq!((script.code, &*script.stderr), (Some(0), ""));
        assert!(script.stdout.contains("set-weight"), "{shell}");
    }
    let page = said(&mut lb(&["man"])).stdout;
    assert!(page.contains(".TH lb 1") && page.contains("Exit codes"), "{page}");
    let folder = folder();
    let written = said(&mut lb(&["man", folder.to_str().expect("a printable path")]));
    assert_eq!(written.code, Some(0), "{written:?}");
    for page in ["lb.1", "lb-drain.1", "lb-config-show.1"] {
        assert!(folder.join(page).exists(), "{page}");
    }
}
