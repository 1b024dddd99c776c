//! A tier that spills over while some of its backends fail their checks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lb_core::{
    Backend, Cause, Change, Membership,
    cluster::{CauseKind, Overflow, Policy, Standing},
};
use lb_proxy::{CheckKind, HealthCheck, HttpCheck, Watched};

use crate::{
    health::Checked,
    support::{GET, Origin, Proxied, block_on, eventually, proxy},
};

/// A backend that says its name, and fails its checks while `is_sick`.
fn origin(name: &'static str, is_sick: Arc<AtomicBool>) -> Origin {
    Origin::new(move |peer| {
        while let Some(request) = peer.request() {
            let is_check = request.start.starts_with("GET /healthz ");
            let fails = is_check && is_sick.load(Ordering::Relaxed);
            let status = if fails { "503 No" } else { "200 OK" };
            peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{name}"));
        }
    })
}

fn standings(proxied: &Proxied) -> Vec<Standing> {
    let snapshot = proxied.cluster.snapshot();
    let view = snapshot.view();
    view.slots().map(|slot| view.standing(slot)).collect()
}

/// Of so many requests, those that backends of tier 1 answer.
fn answered_by_second_tier(proxied: &Proxied, requests: u32) -> u32 {
    let mut client = proxied.client();
    let names = (0..requests).map(|_| {
        let answer = client.ask(GET);
        assert_eq!(answer.status(), 200);
        answer.text().to_owned()
    });
    let second = names.filter(|name| name.starts_with('b')).count();
    u32::try_from(second).unwrap()
}

#[test]
fn with_two_of_three_down_more_than_half_goes_to_the_second_tier_until_they_are_back() {
    let (sick, well) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let origins = ["a0", "a1", "a2", "b0", "b1", "b2"].map(|name| {
        let is_sick = if ["a0", "a1"].contains(&name) { &sick } else { &well };
        origin(name, Arc::clone(is_sick))
    });
    let proxied = proxy(&[origins[0].address]);
    let backends = origins.iter().zip(0_u8..);
    let backends =
        backends.map(|(origin, n)| Backend::new(origin.address.to_string()).in_tier(n / 3));
    let policy = Policy { overflow: Some(Overflow::default()), ..Policy::default() };
    let changes = [Change::Membership(Membership::new(backends).unwrap()), Change::Policy(policy)];
    let cause = Cause::new(CauseKind::File, "test");
    let version = proxied.cluster.apply_all(changes, cause).unwrap();
    block_on(proxied.cluster.effective(version));
    let path = http::uri::PathAndQuery::from_static("/healthz");
    let check = HealthCheck {
        kind: CheckKind::Http(HttpCheck::get(path)),
        interval: Duration::from_millis(20),
        ..HealthCheck::default()
    };
    let _checked = Checked::start(vec![Watched { cluster: proxied.cluster.clone(), check }]);
    assert_eq!(answered_by_second_tier(&proxied, 100), 0);

    sick.store(true, Ordering::Relaxed);
    let (down, used, standby) = (Standing::Down, Standing::In, Standing::Standby);
    eventually("both are down", || standings(&proxied) == [down, down, used, used, used, used]);
    // 1 − 1.4 ÷ 3. Binomial(3000, 0.533): sigma is 27.3, so five are below 137.
    let second = answered_by_second_tier(&proxied, 3_000);
    println!("{second} of 3000 requests went to tier 1");
    assert!(second.abs_diff(1_600) < 137, "{second}");

    sick.store(false, Ordering::Relaxed);
    let before = [used, used, used, standby, standby, standby];
    eventually("all are back", || standings(&proxied) == before);
    eventually("tier 1 rests", || answered_by_second_tier(&proxied, 100) == 0);
}
