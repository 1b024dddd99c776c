//! A cluster in virtual time, over a network that loses, repeats and turns round. Node 0
//! is a balancer; all others have a backend. What a seed decides is decided again by the
//! same seed.

mod farm;

use self::farm::{CALM, Death, Farm, ROUGH, address, record};
use super::profile::Profile;

fn print(what: &str, mut times: Vec<u64>) {
    times.sort_unstable();
    let (min, median, max) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    println!("{what}: {min} / {median} / {max} ms (min / median / max of {})", times.len());
}

#[test]
fn everybody_knows_everybody_soon_after_the_start_however_much_is_lost() {
    for (count, most) in [(2, 5_000), (5, 8_000), (21, 15_000)] {
        let times = (0..20)
            .map(|seed| {
                let mut farm = Farm::new(count, Profile::Fast, ROUGH, seed);
                farm.until(most, Farm::is_whole)
            })
            .collect();
        print(&format!("{count} nodes know each other"), times);
    }
}

#[test]
fn the_balancer_knows_its_backends_at_once_where_nothing_is_lost() {
    let times = (0..20)
        .map(|seed| {
            let mut farm = Farm::new(21, Profile::Fast, CALM, seed);
            farm.until(100, |farm| farm.backends().len() == 20)
        })
        .collect();
    print("20 backends are known", times);
}

#[test]
fn a_node_that_is_killed_is_known_to_be_dead_within_two_seconds() {
    for (death, what) in [(Death::Refuses, "refuses"), (Death::BlackHole, "is silent")] {
        let times = (0..60)
            .map(|seed| {
                let mut farm = Farm::new(21, Profile::Fast, ROUGH, seed);
                farm.until(20_000, |farm| farm.backends().len() == 20);
                let pause = 2_000 + farm.draw(1_000);
                farm.run(pause);
                farm.kill(7, death);
                let time = farm.until(2_000, |farm| !farm.backends().contains(&7));
                assert_eq!(farm.backends().len(), 19, "seed {seed}");
                time
            })
            .collect();
        print(&format!("killed, its machine {what}"), times);
    }
}

#[test]
fn others_learn_of_a_death_by_gossip() {
    let times = (0..20)
        .map(|seed| {
            let mut farm = Farm::new(21, Profile::Fast, ROUGH, seed);
            farm.until(20_000, Farm::is_whole);
            farm.kill(7, Death::Refuses);
            farm.until(30_000, Farm::is_whole)
        })
        .collect();
    print("everybody knows of a death", times);
}

#[test]
fn a_goodbye_is_known_within_fifty_milliseconds() {
    let times = (0..100)
        .map(|seed| {
            let mut farm = Farm::new(21, Profile::Fast, ROUGH, seed);
            farm.until(20_000, Farm::is_whole);
            let last = format!("{} state=down", record(7));
            let now = farm.tick();
            farm.nodes[7].as_mut().unwrap().leave(Some(last.into()), now);
            farm.after(7);
            let time = farm.until(50, |farm| !farm.backends().contains(&7));
            assert!(farm.nodes[7].as_mut().is_some_and(|node| !node.is_member(address(7))));
            time
        })
        .collect();
    print("a goodbye", times);
}

#[test]
fn where_only_the_agent_dies_the_backend_stays() {
    let mut farm = Farm::new(5, Profile::Fast, ROUGH, 1);
    farm.until(10_000, Farm::is_whole);
    farm.kill(3, Death::Answers);
    for _ in 0..600 {
        farm.run(100);
        assert_eq!(farm.backends().len(), 4, "at {}", farm.now);
    }
}

#[test]
fn a_node_that_is_killed_and_started_again_is_the_new_one() {
    for seed in 0..10 {
        for pause in [0, 100, 3_000] {
            let mut farm = Farm::new(8, Profile::Fast, ROUGH, seed);
            farm.until(10_000, Farm::is_whole);
            farm.kill(3, Death::Refuses);
            farm.run(pause + 1_000);
            farm.start(3);
            farm.until(30_000, Farm::is_whole);
        }
    }
}

#[test]
fn a_network_that_was_cut_in_two_heals() {
    let times = (0..10)
        .map(|seed| {
            let mut farm = Farm::new(21, Profile::Fast, ROUGH, seed);
            farm.until(20_000, Farm::is_whole);
            farm.apart = (0..10).collect();
            farm.run(30_000);
            assert_eq!(farm.backends(), (1..10).collect::<Vec<_>>(), "seed {seed}");
            farm.apart.clear();
            farm.until(90_000, Farm::is_whole)
        })
        .collect();
    print("both halves know each other again", times);
}

#[test]
fn a_balancer_that_is_cut_off_from_everybody_loses_nobody() {
    let mut farm = Farm::new(5, Profile::Fast, ROUGH, 3);
    farm.until(10_000, Farm::is_whole);
    farm.apart = vec![0];
    farm.run(30_000);
    assert_eq!(farm.backends().len(), 4);
    assert_eq!(farm.watch.deaf(farm.tick()), Some(4));
    farm.apart.clear();
    farm.until(60_000, Farm::is_whole);
}

/// Ten minutes of twenty nodes, of whose packets one in twenty is lost.
#[test]
fn no_node_that_lives_is_lost_in_ten_minutes() {
    for seed in 0..2 {
        let mut farm = Farm::new(21, Profile::Fast, ROUGH, seed);
        farm.until(20_000, |farm| farm.backends().len() == 20);
        let (mut given_up, sent, begin) = (0, farm.sent, farm.now);
        while farm.now < 600_000 {
            farm.run(20);
            assert_eq!(farm.backends().len(), 20, "seed {seed}, at {}", farm.now);
            given_up += usize::from(farm.nodes[0].as_ref().unwrap().members() < 20);
        }
        let each = (farm.sent - sent) * 1_000 / (farm.now - begin) / 21;
        println!(
            "seed {seed}: some were given up by gossip for {} ms; {each} packets a second and node",
            given_up * 20
        );
    }
}
