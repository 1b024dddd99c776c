//! The counts in one thread.

use super::*;
use crate::backend::seat::Seats;

fn load() -> Load {
    let mut seats = Seats::default();
    seats.track(true);
    Load::new(seats.take())
}

#[test]
fn busy_and_held_end_apart() {
    let load = load();
    load.reserve(Admission::New, None).unwrap();
    assert_eq!((load.busy(), load.held()), (1, 1));
    load.finish(BUSY);
    assert_eq!((load.busy(), load.held()), (0, 1));
    load.finish(HELD);
    assert_eq!((load.busy(), load.held()), (0, 0));
}

#[test]
fn a_full_backend_refuses_and_forgets_the_attempt() {
    let load = load();
    let limit = NonZeroU32::new(2);
    load.reserve(Admission::New, limit).unwrap();
    load.reserve(Admission::New, limit).unwrap();
    assert_eq!(load.reserve(Admission::New, limit), Err(Refused::Full));
    assert_eq!(load.busy(), 2);
}

#[test]
fn a_draining_backend_admits_bound_clients_only() {
    let load = load();
    load.admit(AdminState::Draining { until: None }, Tick::ZERO);
    assert_eq!(load.reserve(Admission::New, None), Err(Refused::Closed));
    assert_eq!(load.reserve(Admission::Bound, None), Ok(None));
    load.admit(AdminState::Disabled, Tick::ZERO);
    assert_eq!(load.reserve(Admission::Bound, None), Err(Refused::Closed));
    load.admit(AdminState::Enabled, Tick::ZERO);
    assert_eq!(load.reserve(Admission::New, None), Ok(None));
    assert_eq!(load.busy(), 2);
}

#[test]
fn requests_leave_a_set_idle_bit_as_it_is() {
    let load = load();
    assert!(load.seat.is_idle() && load.is_idle());
    load.reserve(Admission::New, None).unwrap();
    assert!(load.seat.is_idle() && !load.is_idle());
    load.finish(BUSY);
    assert!(load.seat.is_idle() && load.is_idle(), "who is held only is idle");
}

#[test]
fn who_finds_a_wrong_idle_bit_clears_it_and_the_last_request_sets_it_again() {
    let load = load();
    load.reserve(Admission::New, None).unwrap();
    load.reserve(Admission::New, None).unwrap();
    assert!(!load.confirm_idle() && !load.seat.is_idle());
    load.finish(BUSY | HELD);
    assert!(!load.seat.is_idle());
    load.finish(BUSY);
    assert!(load.seat.is_idle() && load.confirm_idle());
    load.finish(HELD);
    assert!(load.seat.is_idle());
}

#[test]
fn a_sweep_puts_the_idle_bit_right_either_way() {
    let load = load();
    load.seat.clear_idle();
    load.sweep(Tick::ZERO);
    assert!(load.seat.is_idle());
    load.reserve(Admission::New, None).unwrap();
    load.seat.set_idle();
    load.sweep(Tick::ZERO);
    assert!(!load.seat.is_idle());
}

#[test]
fn a_failure_keeps_the_idle_bit_until_a_sweep_finds_it_decayed() {
    let load = load();
    load.reserve(Admission::New, None).unwrap();
    load.hold_against(Tick::ZERO);
    load.finish(BUSY | HELD);
    assert!(!load.confirm_idle() && !load.seat.is_idle());
    load.reserve(Admission::New, None).unwrap();
    load.finish(BUSY | HELD);
    assert!(!load.seat.is_idle(), "nor does a request that worked hand it back");
    load.sweep(Tick::from_millis(1_000));
    assert!(!load.seat.is_idle());
    load.sweep(Tick::from_millis(2_000));
    assert!(load.seat.is_idle());
}

#[test]
fn who_is_sent_on_by_the_gate_gives_the_idle_bit_back() {
    let load = load();
    load.gate().shut();
    let trial = load.reserve(Admission::New, None).unwrap();
    load.finish(BUSY | HELD);
    load.seat.clear_idle();
    assert_eq!(load.reserve(Admission::New, None), Err(Refused::Occupied));
    assert!(load.seat.is_idle());
    assert_eq!(load.look(Admission::New, None), Err(Refused::Occupied));
    assert!(load.pressure(Tick::ZERO) >= OCCUPIED);
    load.gate().give_back(trial.unwrap());
    assert_eq!(load.look(Admission::New, None), Ok(()));
    assert_eq!(load.pressure(Tick::ZERO), 0);
}

#[test]
fn only_what_was_asked_for_is_reported() {
    let load = load();
    let report = |failures, success| load.set_alarms(Alarms { failures, success, errors: None });
    assert_eq!(load.observe_failure(Tick::ZERO), None);
    report(Some(3), false);
    assert_eq!(load.observe_failure(Tick::ZERO), None);
    assert_eq!(load.observe_failure(Tick::ZERO), Some(3));
    assert!(!load.forget_failures());
    report(Some(1), true);
    assert_eq!(load.failures(), None, "the wish is not a failure");
    assert_eq!(load.observe_failure(Tick::ZERO), Some(1));
    assert!(load.forget_failures());
    assert!(!load.forget_failures(), "once");
    report(None, true);
    report(None, false);
    assert_eq!(load.observe_failure(Tick::ZERO), None);
    assert!(!load.forget_failures());
}

#[test]
fn the_live_numbers_of_a_backend_fit_a_cache_line() {
    assert_eq!(size_of::<Load>(), 64 + size_of::<Meters>() + size_of::<LastReport>());
}

#[test]
fn failures_are_a_run() {
    let load = load();
    load.observe_failure(Tick::from_nanos(1));
    load.observe_failure(Tick::from_nanos(2));
    assert_eq!(load.failures(), Some((2, Tick::from_nanos(2))));
    load.forget_failures();
    assert_eq!(load.failures(), None);
}

#[test]
fn a_row_of_failures_without_end_asks_nobody_to_tell_of_a_success() {
    let load = load();
    load.failures.store(!TELL - 1, Ordering::Relaxed);
    for _ in 0..3 {
        load.observe_failure(Tick::ZERO);
        assert_eq!(load.failures(), Some((!TELL, Tick::ZERO)));
    }
    assert!(!load.forget_failures());
}
