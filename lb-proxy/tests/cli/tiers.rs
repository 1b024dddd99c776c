//! Tiers, as a file has them.

use std::time::Instant;

use lb_proxy::demo::{DemoBackend, DemoOptions};

use crate::{
    client::shares,
    process::{Lb, PATIENCE, file},
};

fn backend(name: &str) -> (DemoBackend, String) {
    let backend = DemoOptions::named(name).start().expect("a free port");
    let address = backend.address().to_string();
    (backend, address)
}

#[test]
fn a_tier_with_two_of_three_down_gives_away_more_than_half() {
    let first = ["a0", "a1", "a2"].map(backend);
    let second = ["b0", "b1"].map(backend);
    let tier = |backends: &[(DemoBackend, String)], tier: u8| {
        let tables = backends.iter();
        let tables = tables.map(|(_, at)| format!("{{ address = \"{at}\", tier = {tier} }}"));
        tables.collect::<Vec<_>>().join(", ")
    };
    let file = file(&format!(
        r#"
        listen = "127.0.0.1:0"
        to = [{}, {}]
        [defaults]
        tiers_overflow = true
        # A request may meet both that are gone.
        retry = {{ attempts = 3 }}
        health = {{ tcp = true, interval = "100ms", rise = 1, fall = 1 }}
        "#,
        tier(&first, 0),
        tier(&second, 1),
    ));
    let lb = Lb::start(&["run", "--config", &file]);
    let all = shares(lb.address(), "/", 60);
    assert!(all.keys().all(|name| name.starts_with('a')), "{all:?}");
    let [_only, gone @ ..] = first;
    drop(gone);
    // 1 − 1.4 ÷ 3. Binomial(1000, 0.533): sigma is 15.8, so five are below 80. While
    // only one is down it is 67.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shares = shares(lb.address(), "/", 1_000);
        let second: usize =
            shares.iter().filter(|(name, _)| name.starts_with('b')).map(|it| it.1).sum();
        println!("{second} of 1000 requests went to tier 1: {shares:?}");
        if second.abs_diff(533) < 80 {
            break;
        }
        assert!(Instant::now() < deadline, "{shares:?}");
    }
}
