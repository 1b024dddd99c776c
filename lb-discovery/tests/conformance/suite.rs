//! The promises.

use std::time::Duration;

use lb_core::{Backend, Membership, sample::mix};
use lb_discovery::{Allow, Feed, Report, Source, SourceError, Supervision};
use tokio::time::timeout;

use crate::benches::Bench;

/// Nothing here takes longer unless it is broken.
const DEADLINE: Duration = Duration::from_secs(30);

/// For how long a source is listened to that should say nothing. A shorter time
/// finds fewer mistakes and invents none.
const SILENCE: Duration = Duration::from_millis(700);

/// Backends `10.0.0.n:80`, called by their address, in the order of their names.
pub(crate) fn set(numbers: impl IntoIterator<Item = u64>) -> Membership {
    let mut addresses: Vec<_> = numbers.into_iter().map(|n| format!("10.0.0.{n}:80")).collect();
    addresses.sort();
    Membership::new(addresses.iter().map(Backend::new)).unwrap()
}

async fn next(source: &mut dyn Source) -> Result<Report, SourceError> {
    timeout(DEADLINE, source.next()).await.expect("it says nothing")
}

/// Listens until the source says this; what it says on the way may be anything.
async fn wait_for(source: &mut dyn Source, wanted: &Membership) {
    let heard = async {
        loop {
            if source.next().await.is_ok_and(|report| report.set == *wanted) {
                return;
            }
        }
    };
    timeout(DEADLINE, heard).await.expect("it never says that");
}

async fn is_silent(source: &mut dyn Source) -> bool {
    timeout(SILENCE, source.next()).await.is_err()
}

pub(crate) async fn the_first_call_returns_the_first_set(bench: &mut impl Bench) {
    bench.write(&set([1, 2, 3]));
    let mut source = bench.source();
    assert_eq!(next(&mut *source).await.unwrap(), set([1, 2, 3]).into());
    assert!(is_silent(&mut *source).await, "equal sets are not reported twice");
    assert!(!source.name().is_empty());
}

pub(crate) async fn an_empty_set_is_an_answer(bench: &mut impl Bench) {
    bench.write(&set([]));
    let mut source = bench.source();
    assert_eq!(next(&mut *source).await.unwrap(), Report::default());
    if bench.can_change() {
        bench.write(&set([1]));
        wait_for(&mut *source, &set([1])).await;
        bench.write(&set([]));
        wait_for(&mut *source, &set([])).await;
    }
}

pub(crate) async fn a_change_is_reported_and_then_nothing_until_the_next(bench: &mut impl Bench) {
    bench.write(&set([1]));
    let mut source = bench.source();
    next(&mut *source).await.unwrap();
    if !bench.can_change() {
        return;
    }
    for last in 2..6 {
        bench.write(&set(last - 1..=last));
        wait_for(&mut *source, &set(last - 1..=last)).await;
        bench.write(&set(last - 1..=last));
        assert!(is_silent(&mut *source).await, "the same was written again");
    }
}

pub(crate) async fn names_are_unique_and_the_order_is_stable(bench: &mut impl Bench) {
    let many = set(1..200);
    bench.write(&many);
    for _ in 0..3 {
        let mut source = bench.source();
        let report = next(&mut *source).await.unwrap();
        assert_eq!(report.set, many, "the same backends in the same order");
    }
}

pub(crate) async fn a_call_that_is_dropped_loses_nothing(bench: &mut impl Bench) {
    for seed in 0..8 {
        println!("seed {seed}");
        bench.write(&set([1]));
        let mut source = bench.source();
        let changes = if bench.can_change() { 5 } else { 0 };
        let mut heard = None;
        for change in 0..=changes {
            let wanted = set(1..=change + 1);
            bench.write(&wanted);
            let mut draws = (0..).map(|draw| mix(seed << 32 | change << 16 | draw));
            let listening = async {
                while heard.as_ref() != Some(&wanted) {
                    // Dropped unpolled, or after up to 40 ms.
                    match draws.next().unwrap_or_default() % 5 {
                        0 => drop(source.next()),
                        part => {
                            let patience = Duration::from_millis((part - 1) * 10);
                            if let Ok(answer) = timeout(patience, source.next()).await {
                                let set = answer.unwrap().set;
                                assert_ne!(heard.as_ref(), Some(&set), "said twice");
                                heard = Some(set);
                            }
                        }
                    }
                    tokio::task::yield_now().await;
                }
            };
            timeout(DEADLINE, listening).await.expect("the change was lost");
        }
    }
}

pub(crate) async fn an_error_is_said_once_and_its_end_is_a_set(bench: &mut impl Bench) {
    bench.write(&set([1, 2]));
    let mut source = bench.source();
    next(&mut *source).await.unwrap();
    if !bench.destroy() {
        return;
    }
    let error = next(&mut *source).await.unwrap_err();
    assert!(!error.explained().contains('\n'), "{error}");
    assert!(is_silent(&mut *source).await, "an error is no reason to be asked all the time");
    bench.write(&set([1, 2]));
    assert_eq!(next(&mut *source).await.unwrap(), set([1, 2]).into(), "even the same set");
}

pub(crate) async fn an_error_never_shrinks_what_a_feed_knows(bench: &mut impl Bench) {
    bench.write(&set([1, 2, 3]));
    let mut feed = Feed::new(7);
    feed.add(bench.source(), Allow::everything(), &Supervision::default());
    let first = timeout(DEADLINE, feed.next()).await.unwrap();
    assert_eq!(first.membership, Some(set([1, 2, 3])));
    if !bench.destroy() {
        return;
    }
    let status = feed.status();
    let update = timeout(DEADLINE, feed.next()).await.unwrap();
    assert_eq!(update.membership, None);
    assert_eq!(update.notes.len(), 1, "{:?}", update.notes);
    assert!(status.sources()[0].is_frozen());
    assert_eq!(status.sources()[0].members(), 3);
    bench.write(&set([1, 2, 3, 4]));
    let update = timeout(DEADLINE, feed.next()).await.unwrap();
    assert_eq!(update.membership, Some(set([1, 2, 3, 4])));
    assert!(!status.sources()[0].is_frozen());
}
