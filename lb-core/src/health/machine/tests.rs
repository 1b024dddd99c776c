//! The machine, input by input, and under any inputs.

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(second: u64) -> Tick {
    Tick::from_millis(second * 1_000)
}

fn machine(passive: Passive) -> Machine {
    let rules = Rules { passive, checks: Thresholds::default(), outlier: None };
    Machine::new("a".into(), IncarnationId::from_number(1), rules, Tick::ZERO)
}

fn failed(in_a_row: u32) -> Input {
    let request = Request { started: Tick::ZERO, trial: false };
    Input::RequestFailed { how: Failure::Connect, in_a_row, request }
}

fn trial_failed() -> Input {
    let request = Request { started: Tick::ZERO, trial: true };
    Input::RequestFailed { how: Failure::Timeout, in_a_row: 1, request }
}

fn succeeded(trial: bool) -> Input {
    Input::RequestSucceeded(Request { started: Tick::ZERO, trial })
}

fn check_failed() -> Input {
    Input::CheckFailed { reason: "status 500".into(), answered: true, confirm: false }
}

fn no_answer() -> Input {
    Input::CheckFailed { reason: "timeout after 1 s".into(), answered: false, confirm: false }
}

/// Feeds it one input a second from `start` on and says what it said.
fn story(
    machine: &mut Machine,
    start: u64,
    inputs: impl IntoIterator<Item = Input>,
) -> Vec<String> {
    let inputs = (start..).zip(inputs);
    inputs.filter_map(|(s, input)| machine.on(input, at(s))).map(|it| it.to_string()).collect()
}

/// A machine that was ejected at second 0, for ten seconds.
fn ejected() -> Machine {
    let mut machine = machine(Passive::default());
    assert_eq!(
        story(&mut machine, 0, [failed(3)]),
        ["a ejected: 3 requests in a row failed, the last: connect"]
    );
    machine
}

fn half_open() -> Machine {
    let mut machine = ejected();
    assert_eq!(
        story(&mut machine, 10, [Input::TimePassed]),
        ["a half-open: ejected for 10 s is over: one request at a time"]
    );
    machine
}

#[test]
fn the_first_check_that_passes_brings_an_unknown_backend_up() {
    let mut machine = machine(Passive::Off);
    assert_eq!(machine.health(), Health::Unknown);
    assert_eq!(story(&mut machine, 1, [Input::CheckPassed]), ["a up: a check passed"]);
}

#[test]
fn checks_take_a_backend_down_after_fall_and_bring_it_back_after_rise() {
    let mut machine = machine(Passive::Off);
    let inputs = [check_failed(), check_failed(), check_failed(), check_failed()];
    assert_eq!(story(&mut machine, 1, inputs), ["a down: 3 checks in a row failed: status 500"]);
    assert_eq!(machine.condition().since, at(3));
    let inputs = [Input::CheckPassed, check_failed(), Input::CheckPassed, Input::CheckPassed];
    assert_eq!(story(&mut machine, 10, inputs), ["a up: 2 checks in a row passed"]);
}

#[test]
fn a_check_that_passes_ends_the_row_of_failed_ones() {
    let mut machine = machine(Passive::Off);
    let row = || [check_failed(), check_failed(), Input::CheckPassed];
    story(&mut machine, 1, row());
    assert_eq!(story(&mut machine, 4, row()), [""; 0]);
}

#[test]
fn a_check_that_must_be_confirmed_needs_one_more() {
    let mut machine = machine(Passive::Off);
    let confirm =
        || Input::CheckFailed { reason: "status 500".into(), answered: true, confirm: true };
    assert_eq!(story(&mut machine, 1, [check_failed(), check_failed(), confirm()]), [""; 0]);
    let more = story(&mut machine, 4, [check_failed()]);
    assert_eq!(more, ["a down: 4 checks in a row failed: status 500"]);
}

#[test]
fn a_request_that_succeeds_outweighs_checks_without_an_answer_and_no_others() {
    let mut machine = machine(Passive::default());
    let inputs = [no_answer(), no_answer(), succeeded(false), no_answer(), no_answer()];
    assert_eq!(story(&mut machine, 1, inputs), [""; 0]);
    let inputs = [check_failed()];
    assert_eq!(story(&mut machine, 6, inputs), ["a down: 3 checks in a row failed: status 500"]);
    let mut machine = super::tests::machine(Passive::default());
    let inputs = [check_failed(), no_answer(), succeeded(false), no_answer()];
    let down = story(&mut machine, 1, inputs);
    assert_eq!(down, ["a down: 3 checks in a row failed: timeout after 1 s"]);
}

#[test]
fn it_wants_to_hear_of_a_success_only_where_one_would_change_something() {
    let mut machine = machine(Passive::default());
    let quiet = Alarms { failures: Some(3), success: false, errors: None };
    assert_eq!(machine.alarms(), quiet);
    machine.on(no_answer(), at(1));
    assert_eq!(machine.alarms(), Alarms { success: true, ..quiet });
    machine.on(succeeded(false), at(2));
    assert_eq!(machine.alarms(), quiet);
    machine.on(check_failed(), at(3));
    assert_eq!(machine.alarms(), quiet);
    assert_eq!(ejected().alarms(), Alarms { failures: None, success: false, errors: None });
    let all = Alarms { failures: Some(1), success: true, errors: Some(1) };
    assert_eq!(half_open().alarms(), all);
}

#[test]
fn an_ejection_ends_in_one_request_at_a_time() {
    let mut machine = ejected();
    assert_eq!(machine.next_deadline(), Some(at(10)));
    assert_eq!(story(&mut machine, 9, [Input::TimePassed]), [""; 0]);
    let mut machine = half_open();
    assert_eq!(story(&mut machine, 11, [succeeded(true)]), ["a up: a request succeeded"]);
    assert_eq!(machine.next_deadline(), None);
}

#[test]
fn the_right_to_try_it_lapses_after_the_time_of_an_ejection() {
    let mut machine = half_open();
    let first = machine.period();
    assert_eq!(machine.next_deadline(), Some(at(20)));
    assert_eq!(story(&mut machine, 19, [Input::TimePassed]), [""; 0]);
    assert_eq!(machine.period(), first);
    assert_eq!(story(&mut machine, 20, [Input::TimePassed]), [""; 0]);
    assert_ne!(machine.period(), first);
    assert_eq!(machine.next_deadline(), Some(at(30)));
    let late = Request { started: at(11), trial: false };
    let said = machine.on(Input::RequestSucceeded(late), at(21)).unwrap();
    assert_eq!(said.to_string(), "a up: a request succeeded", "it still tells what it found");
}

#[test]
fn where_ejections_take_no_time_a_trial_still_does() {
    let passive = Passive::Consecutive { failures: 1, eject: Duration::ZERO };
    let mut machine = machine(passive);
    story(&mut machine, 0, [failed(1)]);
    story(&mut machine, 0, [Input::TimePassed]);
    assert_eq!((machine.health(), machine.next_deadline()), (Health::HalfOpen, Some(at(1))));
}

#[test]
fn each_trial_that_fails_doubles_the_ejection_up_to_eight_times() {
    let mut machine = half_open();
    let mut now = 10;
    for length in [20, 40, 80, 80, 80] {
        let said = story(&mut machine, now, [trial_failed()]);
        assert_eq!(said, ["a ejected: the one request that tried it failed: timeout"]);
        now += length;
        assert_eq!(machine.next_deadline(), Some(at(now)));
        assert_eq!(story(&mut machine, now, [Input::TimePassed]).len(), 1);
    }
    machine.on(succeeded(true), at(now));
    machine.on(failed(3), at(now));
    assert_eq!(machine.next_deadline(), Some(at(now + 10)), "it was up: it starts anew");
}

#[test]
fn a_request_that_began_before_the_trials_says_nothing_about_them() {
    let mut machine = half_open();
    assert_eq!(story(&mut machine, 11, [failed(1), succeeded(false)]), [""; 0]);
    let request = Request { started: at(10), trial: false };
    assert!(machine.on(Input::RequestSucceeded(request), at(11)).is_some());
}

#[test]
fn down_wins_over_ejected_and_ends_it() {
    let mut machine = ejected();
    let inputs = [check_failed(), check_failed(), check_failed()];
    assert_eq!(story(&mut machine, 1, inputs), ["a down: 3 checks in a row failed: status 500"]);
    assert_eq!(machine.next_deadline(), None);
    assert_eq!(story(&mut machine, 20, [Input::TimePassed, failed(9), succeeded(true)]), [""; 0]);
    let passed = [Input::CheckPassed, Input::CheckPassed];
    assert_eq!(story(&mut machine, 30, passed), ["a up: 2 checks in a row passed"]);
}

#[test]
fn rise_checks_end_an_ejection_early_but_only_in_a_trial() {
    let mut machine = machine(Passive::default());
    story(&mut machine, 0, [Input::CheckPassed, Input::CheckPassed, failed(3)]);
    assert_eq!(story(&mut machine, 3, [Input::CheckPassed]), [""; 0]);
    let passed = story(&mut machine, 4, [Input::CheckPassed]);
    assert_eq!(passed, ["a half-open: 2 checks in a row passed"]);
    assert_eq!(story(&mut machine, 5, [Input::CheckPassed, Input::CheckPassed]), [""; 0]);
    assert_eq!(story(&mut machine, 7, [succeeded(true)]), ["a up: a request succeeded"]);
}

#[test]
fn once_a_trial_has_failed_checks_shorten_nothing() {
    let mut machine = half_open();
    story(&mut machine, 10, [trial_failed()]);
    assert_eq!(story(&mut machine, 11, vec![Input::CheckPassed; 10]), [""; 0]);
    assert_eq!(machine.next_deadline(), Some(at(30)));
}

#[test]
fn only_a_request_that_succeeds_lets_ejections_begin_anew() {
    let mut machine = half_open();
    story(&mut machine, 10, [trial_failed()]);
    story(&mut machine, 11, [check_failed(), check_failed(), check_failed()]);
    let passed = || [Input::CheckPassed, Input::CheckPassed];
    assert_eq!(story(&mut machine, 14, passed()), ["a up: 2 checks in a row passed"]);
    assert!(machine.alarms().success, "it wants to hear of one");
    story(&mut machine, 16, [succeeded(false), failed(3)]);
    assert_eq!(machine.next_deadline(), Some(at(37)), "that one was from before: twenty seconds");
    story(&mut machine, 18, [check_failed(), check_failed(), check_failed()]);
    story(&mut machine, 21, passed());
    let request = Request { started: at(23), trial: false };
    machine.on(Input::RequestSucceeded(request), at(23));
    assert!(!machine.alarms().success);
    story(&mut machine, 24, [failed(3)]);
    assert_eq!(machine.next_deadline(), Some(at(34)));
}

#[test]
fn failures_from_before_an_ejection_are_forgotten() {
    let passive = Passive::Windowed { max_fails: 2, fail_timeout: 10 * SECOND };
    let mut machine = machine(passive);
    story(&mut machine, 0, [failed(1), failed(2), Input::CheckPassed, Input::CheckPassed]);
    assert_eq!(story(&mut machine, 4, [succeeded(true)]), ["a up: a request succeeded"]);
    assert_eq!(story(&mut machine, 5, [failed(1)]), [""; 0]);
}

#[test]
fn time_does_not_run_backwards() {
    let mut machine = ejected();
    machine.on(Input::TimePassed, at(9));
    let said = machine.on(Input::Verdict(Health::Down), at(3)).unwrap();
    assert_eq!((said.at, machine.condition().since), (at(9), at(9)));
}

#[test]
fn failures_within_the_window_eject_for_as_long() {
    let passive = Passive::Windowed { max_fails: 5, fail_timeout: 10 * SECOND };
    let mut machine = machine(passive);
    assert_eq!(machine.alarms().failures, Some(1));
    let inputs = [failed(1), failed(2), succeeded(false), failed(1), failed(2), failed(3)];
    assert_eq!(story(&mut machine, 1, inputs), ["a ejected: 5 requests failed within 10 s"]);
    assert_eq!(machine.next_deadline(), Some(at(16)));
}

#[test]
fn without_passive_observation_no_request_matters() {
    let mut machine = machine(Passive::Off);
    assert_eq!(machine.alarms().failures, None);
    assert_eq!(story(&mut machine, 1, (1..100).map(failed)), [""; 0]);
}

#[test]
fn a_verdict_from_outside_is_taken_as_it_is() {
    let mut machine = machine(Passive::default());
    let verdicts = [Health::Down, Health::Down, Health::Ejected, Health::HalfOpen, Health::Up];
    let said = story(&mut machine, 1, verdicts.map(Input::Verdict));
    let words = ["a down", "a ejected", "a half-open", "a up"];
    assert_eq!(said, words.map(|words| format!("{words}: somebody said so")));
    machine.on(Input::Verdict(Health::HalfOpen), at(9));
    machine.on(trial_failed(), at(10));
    assert_eq!(machine.next_deadline(), Some(at(30)), "ten seconds, doubled");
}

#[test]
fn other_rules_hold_from_the_next_input_on() {
    let mut machine = machine(Passive::Off);
    let checks = Thresholds { rise: 1, fall: 1, ..Thresholds::default() };
    let passive = Passive::Consecutive { failures: 1, eject: SECOND };
    machine.set_rules(Rules { passive, checks, outlier: None });
    assert_eq!(machine.alarms().failures, Some(1));
    assert_eq!(story(&mut machine, 1, [failed(1)]), ["a ejected: a request failed: connect"]);
    assert_eq!(story(&mut machine, 1, [check_failed()]), ["a down: a check failed: status 500"]);
    assert_eq!(story(&mut machine, 2, [Input::CheckPassed]), ["a up: a check passed"]);
}

const OUTLIER: Reason = Reason::FailurePercentage { errors: 9, requests: 10, limit: 85 };

fn erred(in_a_row: u32, trial: bool) -> Input {
    let request = Request { started: Tick::ZERO, trial };
    Input::RequestErred { how: Failure::Status(500), in_a_row, request }
}

fn judged(outlier: Outlier) -> Machine {
    let rules =
        Rules { passive: Passive::Off, checks: Thresholds::default(), outlier: Some(outlier) };
    Machine::new("a".into(), IncarnationId::from_number(1), rules, Tick::ZERO)
}

/// Has it ejected as an outlier at this second, and says for how long.
fn ejected_for(machine: &mut Machine, second: u64) -> u64 {
    machine.on(Input::Outlier(OUTLIER), at(second)).unwrap();
    machine.next_deadline().unwrap().since(at(second)).as_secs()
}

#[test]
fn five_errors_in_a_row_eject_where_outliers_are_looked_for() {
    let mut machine = judged(Outlier::default());
    assert_eq!(machine.alarms().errors, Some(5));
    assert_eq!(
        story(&mut machine, 1, [erred(4, false), erred(5, false), erred(6, false)]),
        ["a ejected: 5 requests in a row failed, the last: status 500"]
    );
    assert_eq!(machine.next_deadline(), Some(at(32)));
    let mut machine = judged(Outlier { consecutive_5xx: None, ..Outlier::default() });
    assert_eq!(machine.alarms().errors, None);
    assert_eq!(story(&mut machine, 1, [erred(9, false)]), [""; 0]);
    let mut machine = super::tests::machine(Passive::default());
    assert_eq!(story(&mut machine, 1, [erred(9, false)]), [""; 0]);
}

#[test]
fn an_outlier_that_errs_in_its_trial_is_ejected_for_longer_and_longer() {
    let mut machine = judged(Outlier::default());
    let mut now = 0;
    assert_eq!(ejected_for(&mut machine, now), 30);
    now += 30;
    for length in [60, 90, 120, 150, 180, 210, 240, 270, 300, 300] {
        assert_eq!(story(&mut machine, now, [Input::TimePassed]).len(), 1);
        let said = story(&mut machine, now, [erred(1, true)]);
        assert_eq!(said, ["a ejected: the one request that tried it failed: status 500"]);
        now += length;
        assert_eq!(machine.next_deadline(), Some(at(now)));
    }
}

#[test]
fn each_interval_in_use_takes_one_ejection_off() {
    let mut machine = judged(Outlier::default());
    let back = |machine: &mut Machine, second| {
        machine.on(Input::TimePassed, at(second));
        machine.on(succeeded(true), at(second)).unwrap();
    };
    let interval = || Input::IntervalOver(10 * SECOND);
    assert_eq!(ejected_for(&mut machine, 0), 30);
    story(&mut machine, 10, [interval()]);
    back(&mut machine, 30);
    assert_eq!(ejected_for(&mut machine, 31), 60, "an answer makes nothing undone");
    back(&mut machine, 91);
    story(&mut machine, 100, [interval()]);
    assert_eq!(ejected_for(&mut machine, 101), 90, "that interval was not whole");
    back(&mut machine, 191);
    story(&mut machine, 201, [interval()]);
    story(&mut machine, 211, [interval()]);
    assert_eq!(ejected_for(&mut machine, 212), 60);
    back(&mut machine, 272);
    (0..9).for_each(|n| drop(story(&mut machine, 282 + 10 * n, [interval()])));
    assert_eq!(ejected_for(&mut machine, 400), 30);
}

#[test]
fn checks_that_pass_are_no_news_of_an_outlier() {
    let mut machine = judged(Outlier::default());
    ejected_for(&mut machine, 0);
    assert_eq!(story(&mut machine, 1, vec![Input::CheckPassed; 10]), [""; 0]);
    assert_eq!(machine.next_deadline(), Some(at(30)));
}

#[test]
fn what_ejected_it_last_decides_how_long_the_next_ejection_is() {
    let mut machine = judged(Outlier::default());
    machine.set_rules(Rules { passive: Passive::default(), ..machine.rules });
    machine.on(failed(3), at(0));
    assert_eq!(machine.next_deadline(), Some(at(10)));
    assert_eq!(story(&mut machine, 1, [Input::Outlier(OUTLIER), erred(9, false)]), [""; 0]);
    machine.on(Input::TimePassed, at(10));
    machine.on(erred(1, true), at(10));
    assert_eq!(machine.next_deadline(), Some(at(30)), "a trial after failures in a row: doubled");
    machine.on(Input::TimePassed, at(30));
    machine.on(succeeded(true), at(30));
    assert_eq!(ejected_for(&mut machine, 31), 30);
}

fn input() -> impl Strategy<Value = Input> {
    let request = (any::<bool>(), 0..100_u64)
        .prop_map(|(trial, second)| Request { started: at(second), trial });
    let how = prop::sample::select(vec![Failure::Connect, Failure::Timeout, Failure::Reset]);
    prop_oneof![
        3 => Just(Input::CheckPassed),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(answered, confirm)| Input::CheckFailed {
            reason: "refused".into(),
            answered,
            confirm,
        }),
        3 => request.clone().prop_map(Input::RequestSucceeded),
        4 => (how, 1..6_u32, request)
            .prop_map(|(how, in_a_row, request)| Input::RequestFailed { how, in_a_row, request }),
        2 => (1..8_u32, any::<bool>(), 0..100_u64).prop_map(|(in_a_row, trial, second)| {
            let request = Request { started: at(second), trial };
            Input::RequestErred { how: Failure::Status(503), in_a_row, request }
        }),
        1 => Just(Input::Outlier(OUTLIER)),
        2 => Just(Input::IntervalOver(10 * SECOND)),
        4 => Just(Input::TimePassed),
    ]
}

fn passive() -> impl Strategy<Value = Passive> {
    prop_oneof![
        Just(Passive::Off),
        (0..4_u32, 1..30_u64).prop_map(|(failures, seconds)| Passive::Consecutive {
            failures,
            eject: Duration::from_secs(seconds),
        }),
        (0..4_u32, 1..30_u64).prop_map(|(max_fails, seconds)| Passive::Windowed {
            max_fails,
            fail_timeout: Duration::from_secs(seconds),
        }),
    ]
}

fn outlier() -> impl Strategy<Value = Option<Outlier>> {
    prop::option::of(
        (1..30_u64).prop_map(|seconds| Outlier {
            eject: Duration::from_secs(seconds),
            ..Outlier::default()
        }),
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        rng_seed: RngSeed::Fixed(0x4ea1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_it_is_told_it_has_its_reasons_and_nobody_is_ejected_for_good(
        passive in passive(),
        outlier in outlier(),
        rise in 1..4_u32,
        fall in 1..4_u32,
        inputs in prop::collection::vec((input(), 0..20_u64), 1..120),
    ) {
        let checks = Thresholds { rise, fall, ..Thresholds::default() };
        let rules = Rules { passive, checks, outlier };
        let new = || Machine::new("a".into(), IncarnationId::from_number(1), rules, Tick::ZERO);
        let (mut machine, mut twin) = (new(), new());
        let mut now = 0;
        for (input, later) in inputs {
            now += later;
            let before = machine.condition();
            let said = machine.on(input.clone(), at(now));
            prop_assert_eq!(&said, &twin.on(input, at(now)), "the same inputs, the same verdicts");
            let after = machine.condition();
            match said {
                Some(said) => {
                    prop_assert!(said.from != said.to && said.from == before.health);
                    prop_assert_eq!((said.to, said.at), (after.health, after.since));
                    prop_assert_eq!(&said.reason, &after.reason);
                    prop_assert!(said.reason != Reason::New);
                }
                None => prop_assert_eq!(&before, &after, "no change without a transition"),
            }
            let deadline = machine.next_deadline();
            let waits = matches!(machine.health(), Health::Ejected | Health::HalfOpen);
            prop_assert_eq!(deadline.is_some(), waits);
            if let Some(deadline) = deadline {
                let failures = passive.ejection().unwrap_or_default() * Machine::LONGEST;
                let longest = failures.max(outlier.unwrap_or_default().max_eject);
                prop_assert!(deadline <= at(now) + longest.max(SECOND), "{:?}", deadline);
                prop_assert!(deadline > after.since);
            }
        }
        if let Some(deadline) = machine.next_deadline() {
            machine.on(Input::TimePassed, deadline.max(at(now)));
            prop_assert_eq!(machine.health(), Health::HalfOpen);
        }
    }
}
