//! Each method, with numbers worked out by hand.

use super::*;
use crate::sample::mix;

fn rates(of: &[(u32, u32)]) -> Vec<(usize, Sample)> {
    let sample = |(errors, requests): &(u32, u32)| Sample {
        requests: *requests,
        errors: *errors,
        ..Sample::default()
    };
    of.iter().map(sample).enumerate().collect()
}

fn times(of: &[(u32, u64)]) -> Vec<(usize, Sample)> {
    let sample = |(answers, millis): &(u32, u64)| Sample {
        answers: *answers,
        waited: Duration::from_millis(*millis) * *answers,
        ..Sample::default()
    };
    of.iter().map(sample).enumerate().collect()
}

fn found(outlier: &Outlier, samples: &[(usize, Sample)]) -> Vec<(usize, String)> {
    let found = outlier.find(samples);
    found.into_iter().map(|(key, reason)| (key, reason.to_string())).collect()
}

fn keys(outlier: &Outlier, samples: &[(usize, Sample)]) -> Vec<usize> {
    outlier.find(samples).into_iter().map(|(key, _)| key).collect()
}

fn by_percentage() -> Outlier {
    Outlier { success_rate: None, failure_percentage: Some(85), ..Outlier::default() }
}

fn by_latency() -> Outlier {
    Outlier { success_rate: None, latency: Some(5_000), ..Outlier::default() }
}

/// Rates 1, 1, 1, 1 and 0.8: mean 0.96, variance (4 × 0.04² + 0.16²) ÷ 5 = 0.0064,
/// deviation 0.08, threshold 0.96 − 1.9 × 0.08 = 0.808.
#[test]
fn the_one_of_five_that_fails_a_fifth_is_below_the_threshold() {
    let samples = rates(&[(0, 100), (0, 100), (20, 100), (0, 100), (0, 100)]);
    let words = "success rate 80.0 %, threshold 80.8 % (mean 96.0 %, 5 backends)";
    assert_eq!(found(&Outlier::default(), &samples), [(2, words.to_owned())]);
}

/// Rates 1 (eight times) and 0.5 (twice): mean 0.9, variance (8 × 0.1² + 2 × 0.4²) ÷ 10
/// = 0.04, deviation 0.2, threshold 0.52.
#[test]
fn two_of_ten_may_be_below_it() {
    let mut samples = vec![(0, 200); 10];
    samples[3] = (100, 200);
    samples[7] = (100, 200);
    assert_eq!(keys(&Outlier::default(), &rates(&samples)), [3, 7]);
    let strict = Outlier { success_rate: Some(2_000), ..Outlier::default() };
    assert_eq!(keys(&strict, &rates(&samples)), [0; 0], "0.5 is not less than 0.5");
}

#[test]
fn the_worst_is_the_first() {
    let mut samples = vec![(0, 200); 12];
    samples[3] = (100, 200);
    samples[7] = (110, 200);
    assert_eq!(keys(&Outlier::default(), &rates(&samples)), [7, 3]);
    let samples = [(170, 200), (180, 200), (200, 200), (0, 200), (171, 200)];
    assert_eq!(keys(&by_percentage(), &rates(&samples)), [2, 1, 4, 0]);
    let samples = [(100, 20), (100, 20), (100, 20), (100, 200), (100, 300)];
    assert_eq!(keys(&by_latency(), &times(&samples)), [4, 3]);
}

/// Below by d, with mean m: chance as long as d² × 100 ≤ 9 × m × (1 − m). Two errors:
/// 0.016² × 100 = 0.0256 ≤ 9 × 0.996 × 0.004 = 0.0359. Three: 0.024² × 100 = 0.0576 >
/// 9 × 0.994 × 0.006 = 0.0537.
#[test]
fn a_few_errors_among_backends_without_any_are_chance() {
    let one_has = |errors| rates(&[(errors, 100), (0, 100), (0, 100), (0, 100), (0, 100)]);
    assert_eq!(keys(&Outlier::default(), &one_has(1)), [0; 0]);
    assert_eq!(keys(&Outlier::default(), &one_has(2)), [0; 0]);
    assert_eq!(keys(&Outlier::default(), &one_has(3)), [0]);
}

#[test]
fn where_all_fail_alike_nobody_is_an_outlier() {
    for errors in [0, 20, 50, 100] {
        assert_eq!(keys(&Outlier::default(), &rates(&[(errors, 100); 7])), [0; 0]);
    }
}

/// A rate of 100 requests that fail with 0.2 has the standard deviation 0.04, and its
/// distance from the mean of five √(4 ÷ 5) of that. Three standard errors are 3.35 of
/// those, which 0.04 % of a normal distribution exceed on one side, and less than
/// 0.1 % of this one, which is a little skew. Of 10,000 rates that is 10; five standard
/// deviations of such a count more are 26.
#[test]
fn where_all_fail_alike_by_chance_hardly_anybody_is_an_outlier() {
    let mut ejected = 0;
    for round in 0..2_000_u64 {
        let errors = |backend: u64| {
            let is_error =
                |request: &u64| mix(round << 32 | backend << 16 | request).is_multiple_of(5);
            u32::try_from((0..100).filter(is_error).count()).unwrap()
        };
        let samples: Vec<_> = (0..5).map(|backend| (errors(backend), 100)).collect();
        ejected += keys(&Outlier::default(), &rates(&samples)).len();
    }
    println!("{ejected} of 10,000");
    assert!(ejected <= 26, "{ejected}");
}

#[test]
fn backends_with_few_requests_are_not_compared_and_few_backends_neither() {
    let few = rates(&[(0, 100), (0, 100), (100, 100), (0, 100), (0, 99)]);
    assert_eq!(keys(&Outlier::default(), &few), [0; 0]);
    assert_eq!(keys(&by_percentage(), &few), [0; 0]);
    let few = times(&[(100, 20), (100, 20), (100, 900), (100, 20), (99, 20)]);
    assert_eq!(keys(&by_latency(), &few), [0; 0]);
    let nobody = Outlier { min_backends: 0, ..by_latency() };
    assert_eq!(keys(&nobody, &[]), [0; 0]);
}

#[test]
fn a_share_of_errors_counts_from_the_limit_on() {
    let samples = rates(&[(84, 100), (85, 100), (169, 200), (170, 200), (0, 100)]);
    assert_eq!(
        found(&by_percentage(), &samples),
        [
            (1, "85 of 100 requests failed, limit 85 %".to_owned()),
            (3, "170 of 200 requests failed, limit 85 %".to_owned()),
        ]
    );
}

#[test]
fn more_than_five_times_the_median_is_slow() {
    let samples = times(&[(100, 20), (300, 10), (100, 100), (100, 25), (100, 101)]);
    let slow = Outlier { latency: Some(4_000), ..by_latency() };
    assert_eq!(
        found(&slow, &samples),
        [(4, "first byte after 101 ms, limit 100 ms (median 25 ms, 5 backends)".to_owned())]
    );
}

#[test]
fn nobody_is_slow_below_ten_milliseconds() {
    let samples = |millis| times(&[(100, 1), (100, 1), (100, millis), (100, 1), (100, 1)]);
    assert_eq!(keys(&by_latency(), &samples(10)), [0; 0]);
    assert_eq!(keys(&by_latency(), &samples(11)), [2]);
}

#[test]
fn who_is_found_twice_goes_once() {
    let all = Outlier { failure_percentage: Some(50), ..Outlier::default() };
    let samples = rates(&[(60, 100), (0, 100), (0, 100), (0, 100), (0, 100)]);
    let found = found(&all, &samples);
    assert_eq!(found.len(), 1);
    assert!(found[0].1.starts_with("success rate 40.0 %"), "{found:?}");
}

#[test]
fn ejections_grow_by_one_length_up_to_the_longest() {
    let outlier = Outlier::default();
    let seconds = [1, 2, 9, 10, 11, u32::MAX].map(|number| outlier.ejection(number).as_secs());
    assert_eq!(seconds, [30, 60, 270, 300, 300, 300]);
    let short = Outlier { max_eject: Duration::from_secs(1), ..outlier };
    assert_eq!(short.ejection(3), short.eject, "never shorter than the first");
}

#[test]
fn one_may_always_be_out_unless_nobody_may() {
    let outlier = Outlier::default();
    assert_eq!([0, 1, 2, 3, 4, 5, 100].map(|all| outlier.ceiling(all)), [1, 1, 1, 1, 2, 2, 50]);
    let nobody = Outlier { max_ejected: 0, ..outlier };
    assert_eq!([0, 1, 100].map(|all| nobody.ceiling(all)), [0, 0, 0]);
}

#[test]
fn the_largest_counts_do_not_run_over() {
    let samples = rates(&[(u32::MAX, u32::MAX), (0, u32::MAX), (0, u32::MAX), (0, 100), (0, 100)]);
    assert_eq!(keys(&Outlier::default(), &samples), [0]);
}
