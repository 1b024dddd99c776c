use std::time::Duration;

use lb_core::{Backend, Cluster, Membership, PickCx, Tick};

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_000_000);

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn binder(value: StickyValue) -> Binder {
    Binder::new(&StickySettings { value, ..StickySettings::new("LB") }, "test")
}

/// What a request is bound to, and which cookies are left of it.
fn taken(binder: &Binder, target: &str, cookies: &[&str]) -> (Option<Bound>, Vec<String>) {
    let mut headers = HeaderMap::new();
    for cookie in cookies {
        headers.append(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
    }
    let finds = |binding: Binding<'_>| match binding {
        Binding::Name(name) => name == "b",
        Binding::Route(route) => route == 0xab,
        _ => false,
    };
    let bound = binder.take(&target.parse().unwrap(), &mut headers, NOW, finds);
    let left = headers.get_all(header::COOKIE).iter();
    (bound, left.map(|value| value.to_str().unwrap().to_owned()).collect())
}

#[test]
fn an_opaque_cookie_is_taken_out_and_others_are_not() {
    let binder = binder(StickyValue::Derived);
    let (bound, gone) = (Some(Bound::Route(0xab)), Some(Bound::Route(0xcd)));
    let value = "00000000000000ab";
    let none: [&str; 0] = [];
    for (cookies, expected, left) in [
        (vec![format!("LB={value}")], &bound, vec![]),
        (vec![format!("a=1; LB={value};b=2")], &bound, vec!["a=1; b=2"]),
        (vec![format!("LB=\"{value}\"")], &bound, vec![]),
        (vec![format!("a=1; LB={value}"), "c=3".into()], &bound, vec!["a=1; c=3"]),
        (vec![format!("LB=junk; LB={value}")], &bound, vec![]),
        (vec![format!("LB=00000000000000cd; LB={value}")], &bound, vec![]),
        (vec!["LB=00000000000000cd; LB=00000000000000ce".into()], &gone, vec![]),
        (vec!["LB=junk".into()], &None, vec![]),
        (vec![format!("XLB={value}; LBX={value}; lb={value}")], &None, vec!["same"]),
        (vec!["a=1;;b".into(), "c".into()], &None, vec!["same"]),
        (vec![], &None, none.to_vec()),
    ] {
        let cookies: Vec<_> = cookies.iter().map(String::as_str).collect();
        let left = if left == ["same"] { cookies.clone() } else { left };
        let (seen, seen_left) = taken(&binder, "/", &cookies);
        assert_eq!((&seen, seen_left), (expected, left.iter().map(|l| l.to_string()).collect()));
    }
}

#[test]
fn a_name_is_read_as_apache_reads_it_and_stays() {
    let binder = binder(StickyValue::Name);
    let b = Some(Bound::Name("b".into()));
    for (target, cookie, expected) in [
        ("/", "LB=.b", &b),
        ("/", "LB=session.b; x=1", &b),
        ("/;LB=s.b", "LB=.a", &b),
        ("/x?y=1&LB=.b&z", "", &b),
        ("/", "LB=.gone; LB=.b", &b),
        ("/;LB=.gone", "LB=.b", &b),
        ("/", "LB=.gone", &Some(Bound::Name("gone".into()))),
        ("/", "LB=b", &None),
        ("/", "LBX=.b", &None),
    ] {
        let (seen, left) = taken(&binder, target, &[cookie]);
        assert_eq!(&seen, expected, "{target} {cookie}");
        assert_eq!(left, [cookie]);
    }
    // What is written for a name that no cookie can carry.
    let value = binder.sticky.value("b c", NOW);
    let route = binder.settings.ring("test").route("b c");
    assert_eq!(taken(&binder, "/", &[&format!("LB={value}")]).0, Some(Bound::Route(route)));
}

/// Has a cluster of `a` answer a client that is bound to something.
fn answered(
    binder: &Binder,
    bound: Option<&Bound>,
    fields: &[(&'static str, &str)],
) -> (Stickiness, HeaderMap) {
    let cluster = Cluster::builder("test")
        .membership(Membership::new([Backend::new("a")]).unwrap())
        .ring(binder.settings.ring("test"))
        .build();
    let mut headers = headers(fields);
    let mut cx = PickCx::new(Tick::ZERO, 0);
    if let Some(bound) = bound {
        cx = cx.bound_to(bound.binding());
    }
    let lease = cluster.handle().acquire(&cx).unwrap();
    let stickiness = binder.bind(bound, &lease, &mut headers, NOW);
    // The second time from what was kept.
    assert_eq!(binder.cookie(&lease, NOW), binder.render("a", NOW));
    (stickiness, headers)
}

#[test]
fn a_cookie_is_written_only_where_the_client_was_not_bound_to_who_answered() {
    for value in [StickyValue::Derived, StickyValue::Sealed, StickyValue::Name] {
        let binder = binder(value);
        let route = binder.settings.ring("test").route("a");
        for (bound, expected) in [
            (None, Stickiness::New),
            (Some(Bound::Route(route)), Stickiness::Kept),
            (Some(Bound::Name("a".into())), Stickiness::Kept),
            (Some(Bound::Route(!route)), Stickiness::Moved),
            (Some(Bound::Name("gone".into())), Stickiness::Moved),
            (Some(Bound::Key((*b"foreign").into())), Stickiness::Kept),
        ] {
            let (stickiness, headers) = answered(&binder, bound.as_ref(), &[]);
            assert_eq!(stickiness, expected);
            let is_told = matches!(stickiness, Stickiness::New | Stickiness::Moved);
            assert_eq!(headers.contains_key(header::SET_COOKIE), is_told);
            assert_eq!(headers.contains_key(header::CACHE_CONTROL), is_told);
        }
    }
}

#[test]
fn all_attributes_are_written() {
    let cookie = |settings: &StickySettings| {
        let cookie = Binder::new(settings, "test").render("a", NOW).unwrap();
        cookie.to_str().unwrap().to_owned()
    };
    let plain = StickySettings { value: StickyValue::Name, ..StickySettings::new("LB") };
    assert_eq!(cookie(&plain), "LB=.a; HttpOnly; SameSite=Lax; Path=/");
    let full = StickySettings {
        ttl: Some(Duration::from_secs(3600)),
        path: "/app".into(),
        domain: Some("example.org".into()),
        secure: true,
        same_site: Some(SameSite::None),
        partitioned: true,
        ..plain.clone()
    };
    assert_eq!(
        cookie(&full),
        "LB=.a; HttpOnly; SameSite=None; Partitioned; Secure; Path=/app; Domain=example.org; \
         Max-Age=3600"
    );
    let bare = StickySettings { http_only: false, same_site: None, ..plain };
    assert_eq!(cookie(&bare), "LB=.a; Path=/");
}

#[test]
fn a_shared_cache_does_not_keep_an_answer_that_binds() {
    for (said, passed_on) in [
        (vec![], vec!["private"]),
        (vec!["max-age=60"], vec!["max-age=60, private"]),
        (vec!["public, max-age=60, S-MaxAge=600"], vec!["max-age=60, private"]),
        (vec!["no-cache", "must-revalidate"], vec!["no-cache, must-revalidate, private"]),
        (vec!["Private, max-age=1"], vec!["Private, max-age=1"]),
        (vec!["private=\"x, y\""], vec!["private=\"x, y\", private"]),
        (vec!["no-store"], vec!["no-store"]),
    ] {
        let mut headers = HeaderMap::new();
        for value in said {
            headers.append(header::CACHE_CONTROL, HeaderValue::from_static(value));
        }
        make_private(&mut headers);
        let seen: Vec<_> = headers.get_all(header::CACHE_CONTROL).iter().collect();
        assert_eq!(seen, passed_on);
    }
}
