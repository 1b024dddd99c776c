//! `lb explain`

use std::process::Output;

use crate::process::{File, file, finish, lb, text};

fn two_clusters() -> File {
    file(
        r#"
        [[route]]
        host = "www.example.org"
        path = "/api/"
        strip = true
        to = "dynamic"
        [[route]]
        host = "www.example.org"
        to = "static"
        [cluster.static]
        sticky = { cookie = "ROUTEID", value = "name" }
        backends = [
          { address = "127.0.0.1:9001", name = "s1" },
          { address = "127.0.0.1:9002", name = "s2" },
        ]
        [cluster.dynamic]
        strategy = "ip-hash"
        backends = ["127.0.0.1:9003", "127.0.0.1:9004"]
        "#,
    )
}

fn explain(file: &str, args: &[&str]) -> Output {
    finish(&mut lb(&[&["explain", "--config", file], args].concat()))
}

#[test]
fn the_route_that_wins_and_why_the_others_lose_are_told() {
    let file = two_clusters();
    let output = explain(&file, &["GET", "/api/x", "-H", "Host: www.example.org"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines[1].starts_with("> route    www.example.org /api/  to dynamic"), "{stdout}");
    assert!(lines[2].contains("would match, but a route before it does"), "{stdout}");
    assert!(stdout.contains("cluster  dynamic: ip-hash"), "{stdout}");
    assert!(stdout.contains("the client's address belongs there"), "{stdout}");
    assert!(stdout.ends_with("  target   /x\n"), "{stdout}");
}

#[test]
fn a_host_without_a_route_is_told_and_fails() {
    let file = two_clusters();
    let output = explain(&file, &["GET", "/", "-H", "Host: other.example.org"]);
    assert_eq!(output.status.code(), Some(1));
    let stdout = text(&output.stdout);
    assert!(stdout.contains("the host is not www.example.org"), "{stdout}");
    assert!(stdout.contains("answer   421"), "{stdout}");
}

#[test]
fn a_cookie_names_its_backend() {
    let file = two_clusters();
    let host = ["-H", "Host: www.example.org"];
    let with = |cookie: &str| {
        let header = format!("Cookie: {cookie}");
        let args = [&["GET", "/", "--json", "-H", &header][..], &host].concat();
        let output = explain(&file, &args);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    let bound = with("a=b; ROUTEID=.s2");
    assert_eq!((&bound["cluster"], &bound["backend"]["name"]), (&"static".into(), &"s2".into()));
    let gone = with("ROUTEID=.s9");
    assert_eq!(gone["backend"], serde_json::Value::Null);
    assert_eq!(gone["sticky"], "`ROUTEID` says s9");
}

#[test]
fn the_backend_of_an_address_is_the_same_every_time() {
    let file = two_clusters();
    let pick = |client: &str| {
        let args = ["GET", "/api/", "--json", "-H", "Host: www.example.org", "--client", client];
        let output = explain(&file, &args);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        told["backend"]["name"].as_str().expect("a backend").to_owned()
    };
    assert_eq!(pick("192.0.2.1"), pick("192.0.2.77"), "ip-hash goes by the first three bytes");
    let picked: std::collections::BTreeSet<String> =
        (0..16).map(|net| pick(&format!("192.0.{net}.1"))).collect();
    assert_eq!(picked.len(), 2);
}

#[test]
fn a_path_with_two_meanings_is_refused_as_it_would_be() {
    let output = explain(&two_clusters(), &["GET", "/a/..;/b", "-H", "Host: www.example.org"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("answer   400"), "{}", text(&output.stdout));
}

fn json(file: &str, args: &[&str]) -> serde_json::Value {
    let output = explain(file, &[args, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

#[test]
fn cookies_are_read_as_the_proxy_reads_them() {
    // Two keys: an exchange is going on, and another balancer may have a third.
    let keys = "[\"AAECAwQFBgcICQoLDA0ODw==\", \"EAECAwQFBgcICQoLDA0ODw==\"]";
    let file = file(&format!(
        "[[route]]\nto = \"a\"\n[cluster.a]\n\
         sticky = {{ cookie = \"ROUTEID\", value = \"sealed\", keys = {keys} }}\n\
         backends = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]\n",
    ));
    let key = core::array::from_fn(|byte| u8::try_from(byte).expect("small"));
    let sealed = |key: [u8; 16]| {
        let ring = lb_core::sticky::Ring::new([key]).expect("a key").for_cluster("a");
        let format = lb_core::sticky::Format::Sealed { ttl: None };
        lb_core::sticky::Sticky::new(format, ring)
            .value("127.0.0.1:9002", lb_core::UnixTime::from_secs(1))
    };
    let with = |cookie: &str| {
        let cookie = format!("Cookie: {cookie}");
        json(&file, &["GET", "/", "-H", "Host: a", "-H", &cookie])
    };
    let good = sealed(key);
    for cookie in [
        format!("ROUTEID={good}"),
        format!("ROUTEID=garbage; ROUTEID={good}"),
        format!("ROUTEID=\"{good}\""),
    ] {
        let told = with(&cookie);
        assert_eq!(told["backend"]["name"], "127.0.0.1:9002", "{cookie}: {told}");
        assert_eq!(told["backend"]["reason"], "the cookie names it");
    }
    let foreign = with(&format!("ROUTEID={}", sealed([9; 16])));
    let reason = foreign["backend"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("a key it does not have"), "{foreign}");
}

#[test]
fn the_key_that_is_found_is_told_part_by_part() {
    let file = file(
        "[[route]]\nto = \"a\"\nstrip = true\npath = \"/api/\"\n[cluster.a]\n\
         strategy = { name = \"maglev\", key = [\"header:x-user\", \"query:id\", \"path\"] }\n\
         backends = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]\n",
    );
    let ask = ["GET", "/api/x?id=a%20b", "-H", "Host: a", "-H", "X-User: ann"];
    let stdout = text(&explain(&file, &ask).stdout);
    for line in [
        "  key      header:x-user is \"ann\"\n",
        "  key      query:id is \"a%20b\"\n",
        "  key      path is \"/api/x\"\n",
        ": the key belongs there\n",
        "  assumes  idle backends: one with 1.25 times its share in flight is passed over\n",
        "  target   /x?id=a%20b\n",
    ] {
        assert!(stdout.contains(line), "{line}{stdout}");
    }
    let told = json(&file, &["GET", "/api/x", "-H", "Host: a"]);
    assert_eq!(told["key"][0]["part"], "header:x-user");
    assert_eq!(told["key"][0]["value"], serde_json::Value::Null);
    assert_eq!(told["key"][2]["value"], "/api/x");
}

#[test]
fn every_strategy_says_how_it_picks() {
    for kind in lb_core::strategy::StrategyKind::ALL {
        let option = match kind.name() {
            _ if kind.needs_key() => ", key = \"client-ip\"",
            "prequal" => ", probes = { path = \"/load\" }",
            _ => "",
        };
        let file = file(&format!(
            "to = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]\n\
             [defaults]\nstrategy = {{ name = \"{kind}\"{option} }}\n",
        ));
        let told = json(&file, &["GET", "/", "-H", "Host: a", "--client", "192.0.2.7"]);
        let why = told["pick"].as_str().unwrap_or_else(|| panic!("{kind}: {told}"));
        if kind.needs_key() {
            assert_eq!(told["key"][0]["value"], "192.0.2.7", "{kind}");
            assert_eq!(why, "the client's address belongs there", "{kind}");
            assert_eq!(told["assumes"].is_null(), kind.usual_bound().is_none(), "{kind}");
        } else {
            assert!(why.contains(kind.name()) || why == "it is the first", "{kind}: {why}");
            let is_drawn = why.contains("drawn by weight");
            assert_eq!(is_drawn, kind.name() == "random", "{kind}: {why}");
            let by_load = !["round-robin", "random"].contains(&kind.name());
            assert_eq!(told["assumes"].is_string(), by_load, "{kind}: {told}");
        }
    }
}

#[test]
fn a_request_without_a_key_is_told_to_have_none() {
    for kind in lb_core::strategy::StrategyKind::ALL {
        if !kind.needs_key() || kind.name() == "ip-hash" {
            continue;
        }
        let file = file(&format!(
            "to = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]\n\
             [defaults]\nstrategy = {{ name = \"{kind}\", key = \"cookie:A\" }}\n",
        ));
        let told = json(&file, &["GET", "/", "-H", "Host: a"]);
        let why = told["pick"].as_str().unwrap_or_else(|| panic!("{kind}: {told}"));
        assert!(why.ends_with(", as there is no key"), "{kind}: {told}");
    }
}

/// Where only some backends take requests, the others are not named.
#[test]
fn a_pick_is_among_those_that_take_requests() {
    let backends: Vec<String> = (0..20)
        .map(|n| {
            let zone = ["here", "there"][n % 2];
            format!("{{ address = \"127.0.0.1:{}\", zone = \"{zone}\" }}", 9000 + n)
        })
        .collect();
    let with = |settings: &str| {
        file(&format!(
            "[[route]]\nto = \"a\"\n[cluster.a]\nstrategy = \"maglev\"\n{settings}\n\
             backends = [{{ address = \"127.0.0.1:8999\", backup = true }}, {}]\n",
            backends.join(", ")
        ))
    };
    let ports = |file: &str| -> Vec<u16> {
        let port = |client: u32| {
            let client = format!("192.0.2.{client}");
            let told = json(file, &["GET", "/", "-H", "Host: a", "--client", &client]);
            let address = told["backend"]["address"].as_str().expect("an address").to_owned();
            address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
        };
        (0..24).map(port).collect()
    };
    let file = with("zone_aware = \"here\"");
    assert!(ports(&file).iter().all(|port| port % 2 == 0));
    let output = explain(&file, &["GET", "/", "-H", "Host: a"]);
    let stdout = text(&output.stdout);
    assert!(stdout.contains("  among    10 of 21 backends: tier 0, zone here\n"), "{stdout}");
    let file = with("subset = { size = 2, instance = 1 }");
    let mut used = ports(&file);
    used.sort_unstable();
    used.dedup();
    assert_eq!(used.len(), 2, "{used:?}");
    let told = json(&file, &["GET", "/", "-H", "Host: a"]);
    assert_eq!((&told["among"]["used"], &told["among"]["subset"]), (&2.into(), &true.into()));
    let told = json(&with(""), &["GET", "/", "-H", "Host: a"]);
    assert_eq!((&told["among"]["used"], &told["among"]["tier"]), (&20.into(), &0.into()));
}

#[test]
fn no_backend_is_named_where_sources_may_tell_of_others() {
    let file = file(
        "[[route]]\nto = \"a\"\n[cluster.a]\nstrategy = \"ip-hash\"\n\
         backends = [\"127.0.0.1:9001\"]\ndiscover = { env = \"MORE\" }\n",
    );
    let output = explain(&file, &["GET", "/", "-H", "Host: a"]);
    let stdout = text(&output.stdout);
    assert!(stdout.contains("whoever `ip-hash` finds at the time, among those"), "{stdout}");
}

#[test]
fn an_address_counts_however_it_is_written_and_whoever_tells_it() {
    let file = file(
        "trusted_proxies = \"10.0.0.0/8\"\n[[route]]\nto = \"a\"\n[cluster.a]\n\
         strategy = \"maglev\"\nbackends = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]\n",
    );
    for net in 0..8 {
        let client = format!("192.0.2.{net}");
        let forwarded = format!("X-Forwarded-For: {client}");
        let told = |args: &[&str]| {
            let told = json(&file, &[&["GET", "/", "-H", "Host: a"], args].concat());
            assert_eq!(told["client"], *client);
            told["backend"]["name"].clone()
        };
        let plain = told(&["--client", &client]);
        assert_eq!(plain, told(&["--client", &format!("::ffff:{client}")]));
        assert_eq!(plain, told(&["--client", "10.0.0.1", "-H", &forwarded]));
    }
}

#[test]
fn what_a_listener_refuses_is_refused() {
    let file = file(
        "limits.target = \"20B\"\n[[route]]\nto = \"a\"\n[[route]]\npath = \"/none\"\n\
         to = \"none\"\n[cluster]\na.backends = [\"127.0.0.1:9001\"]\nnone.backends = []\n",
    );
    let host = ["-H", "Host: a"];
    for (args, answer) in [
        (vec!["GET", "/"], "400: bad-host"),
        ([&["GET", "/"], &host[..], &host].concat(), "400: bad-host"),
        (vec!["GET", "/", "-H", "Host: a/b"], "400: bad-host"),
        ([&["GET", "*"], &host[..]].concat(), "400: bad-target"),
        ([&["CONNECT", "a:1"], &host[..]].concat(), "501: method-not-supported"),
        ([&["GET", "/23456789012345678901"], &host[..]].concat(), "414: target-too-long"),
        ([&["GET", "/none"], &host[..]].concat(), "503: `none` has no backends"),
    ] {
        let told = json(&file, &args);
        let is = told["answer"].as_str().unwrap_or_else(|| panic!("{args:?}: {told}"));
        assert!(is.starts_with(answer), "{args:?}: {told}");
    }
    let told = json(&file, &["GET", "http://b/x", "-H", "Host: a"]);
    assert_eq!(
        (&told["answer"], &told["backend_target"]),
        (&serde_json::Value::Null, &"/x".into())
    );
}
