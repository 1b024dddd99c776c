//! Every interleaving of look, finish and reuse. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p lb-core --release --lib races`.

use loom::thread;

use super::*;
use crate::{backend::seat::Seats, sync::Arc};

fn tracked() -> (Seats, Arc<Load>) {
    let mut seats = Seats::default();
    seats.track(true);
    let load = Arc::new(Load::new(seats.take()));
    (seats, load)
}

/// Three threads interleave in too many ways to go through all of them: those with up to
/// three switches from one that could have gone on.
fn model_of_three(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// What the idle-first picker and a lease do.
fn look_and_serve(load: &Load) {
    if load.seat().is_idle() && load.confirm_idle() {
        load.reserve(Admission::New, None).unwrap();
        load.finish(BUSY);
        load.finish(HELD);
    }
}

#[test]
fn an_idle_backend_never_stays_marked_busy() {
    loom::model(|| {
        let (_seats, load) = tracked();
        let other = {
            let load = Arc::clone(&load);
            thread::spawn(move || look_and_serve(&load))
        };
        // A pick that did not go through the bitmap.
        load.reserve(Admission::New, None).unwrap();
        load.finish(BUSY | HELD);
        other.join().unwrap();
        assert_eq!((load.busy(), load.held()), (0, 0));
        assert!(load.seat().is_idle(), "nothing in flight, yet not idle");
    });
}

#[test]
fn two_looks_at_one_bit_and_a_refusal_leave_it_set() {
    loom::model(|| {
        let (_seats, load) = tracked();
        let limit = NonZeroU32::new(1);
        let other = {
            let load = Arc::clone(&load);
            thread::spawn(move || look_and_serve(&load))
        };
        if load.confirm_idle() && load.reserve(Admission::New, limit).is_ok() {
            load.finish(BUSY | HELD);
        }
        other.join().unwrap();
        assert_eq!(load.busy(), 0);
        assert!(load.seat().is_idle());
    });
}

#[test]
fn who_is_refused_by_a_ceiling_leaves_the_bit_to_who_holds_the_place() {
    loom::model(|| {
        let (_seats, load) = tracked();
        let limit = NonZeroU32::new(1);
        let other = {
            let load = Arc::clone(&load);
            thread::spawn(move || {
                if load.reserve(Admission::New, limit).is_ok() {
                    load.finish(BUSY | HELD);
                }
            })
        };
        if load.confirm_idle() && load.reserve(Admission::New, limit).is_ok() {
            load.finish(BUSY | HELD);
        }
        other.join().unwrap();
        assert_eq!(load.busy(), 0);
        assert!(load.seat().is_idle(), "nothing in flight, yet not idle");
    });
}

#[test]
fn a_sweep_among_requests_leaves_an_idle_backend_idle() {
    loom::model(|| {
        let (_seats, load) = tracked();
        let other = {
            let load = Arc::clone(&load);
            thread::spawn(move || look_and_serve(&load))
        };
        load.sweep(Tick::ZERO);
        other.join().unwrap();
        assert!(load.seat().is_idle(), "nothing in flight, yet not idle");
    });
}

#[test]
fn two_who_clear_the_bit_while_the_last_request_ends_leave_it_set() {
    model_of_three(|| {
        let (_seats, load) = tracked();
        load.reserve(Admission::New, None).unwrap();
        let others = [(); 2].map(|()| {
            let load = Arc::clone(&load);
            thread::spawn(move || load.confirm_idle())
        });
        load.finish(BUSY | HELD);
        for other in others {
            other.join().unwrap();
        }
        assert!(load.seat().is_idle(), "nothing in flight, yet not idle");
    });
}

#[test]
fn a_request_that_comes_and_goes_while_another_is_looked_for_leaves_the_bit_set() {
    model_of_three(|| {
        let (_seats, load) = tracked();
        load.reserve(Admission::New, None).unwrap();
        let looks = {
            let load = Arc::clone(&load);
            thread::spawn(move || load.confirm_idle())
        };
        let comes = {
            let load = Arc::clone(&load);
            thread::spawn(move || {
                load.reserve(Admission::New, None).unwrap();
                load.finish(BUSY | HELD);
            })
        };
        load.finish(BUSY | HELD);
        looks.join().unwrap();
        comes.join().unwrap();
        assert!(load.seat().is_idle(), "nothing in flight, yet not idle");
    });
}

#[test]
fn a_look_and_a_sweep_while_a_failed_request_ends_leave_the_bit_set() {
    model_of_three(|| {
        let (_seats, load) = tracked();
        load.reserve(Admission::New, None).unwrap();
        load.hold_against(Tick::ZERO);
        let looks = {
            let load = Arc::clone(&load);
            thread::spawn(move || load.confirm_idle())
        };
        let ends = {
            let load = Arc::clone(&load);
            thread::spawn(move || load.finish(BUSY | HELD))
        };
        load.sweep(Tick::from_millis(60_000));
        looks.join().unwrap();
        ends.join().unwrap();
        assert!(load.seat().is_idle(), "nothing in flight, yet not idle");
    });
}

#[test]
fn a_ceiling_holds_across_workers() {
    loom::model(|| {
        let (_seats, load) = tracked();
        let limit = NonZeroU32::new(1);
        let other = {
            let load = Arc::clone(&load);
            thread::spawn(move || load.reserve(Admission::New, limit).is_ok())
        };
        let mine = load.reserve(Admission::New, limit).is_ok();
        let theirs = other.join().unwrap();
        assert!(!(mine && theirs), "two requests on a backend that takes one");
        assert_eq!(load.busy(), u32::from(mine) + u32::from(theirs));
    });
}

#[test]
fn after_it_was_disabled_nobody_new_gets_in() {
    loom::model(|| {
        let (_seats, load) = tracked();
        let other = {
            let load = Arc::clone(&load);
            thread::spawn(move || load.reserve(Admission::New, None).is_ok())
        };
        load.admit(AdminState::Disabled, Tick::ZERO);
        assert!(load.reserve(Admission::New, None).is_err());
        let in_time = other.join().unwrap();
        assert_eq!(load.busy(), u32::from(in_time));
    });
}

#[test]
fn a_new_life_on_an_old_seat_is_idle() {
    loom::model(|| {
        let (mut seats, load) = tracked();
        let last = thread::spawn(move || drop(load));
        let next = Load::new(seats.take());
        last.join().unwrap();
        assert!(next.seat().is_idle(), "who left the seat took the idle bit along");
    });
}

#[test]
fn a_sweep_repairs_what_was_missed_before_the_bits_were_kept() {
    loom::model(|| {
        let mut seats = Seats::default();
        let load = Arc::new(Load::new(seats.take()));
        load.seat().clear_idle();
        load.reserve(Admission::New, None).unwrap();
        let other = {
            let load = Arc::clone(&load);
            thread::spawn(move || load.finish(BUSY | HELD))
        };
        seats.track(true);
        load.sweep(Tick::ZERO);
        other.join().unwrap();
        load.sweep(Tick::ZERO);
        assert!(load.seat().is_idle());
    });
}

#[test]
fn a_seat_is_reused_only_when_its_last_request_is_counted_out() {
    loom::model(|| {
        let (mut seats, load) = tracked();
        load.reserve(Admission::New, None).unwrap();
        let lease = Arc::clone(&load);
        let worker = thread::spawn(move || {
            lease.finish(BUSY);
            lease.finish(HELD);
            drop(lease);
        });
        drop(load); // the last snapshot that named it
        let next = Load::new(seats.take());
        if next.seat().number() == 0 {
            // The old life can't touch this bit any more.
            next.reserve(Admission::New, None).unwrap();
            assert!(!next.confirm_idle() && !next.seat().is_idle());
            worker.join().unwrap();
            assert!(!next.seat().is_idle(), "an ended request marked its successor idle");
            next.finish(BUSY | HELD);
            assert!(next.seat().is_idle(), "an ended life keeps its successor busy");
        } else {
            worker.join().unwrap();
        }
    });
}

#[test]
fn two_workers_never_try_a_half_open_backend_at_once() {
    loom::model(|| {
        let (_seats, load) = tracked();
        load.gate().shut();
        let other = {
            let load = Arc::clone(&load);
            thread::spawn(move || load.reserve(Admission::New, None).is_ok())
        };
        let mine = load.reserve(Admission::New, None).is_ok();
        let theirs = other.join().unwrap();
        assert!(mine ^ theirs, "one of two must get through");
    });
}

#[test]
fn a_token_is_neither_lost_nor_doubled_when_the_gate_is_opened_and_shut_under_a_trial() {
    loom::model(|| {
        let (_seats, load) = tracked();
        load.gate().shut();
        let other = {
            let load = Arc::clone(&load);
            thread::spawn(move || {
                if let Ok(Some(trial)) = load.reserve(Admission::New, None) {
                    load.gate().give_back(trial);
                }
            })
        };
        load.gate().open();
        load.gate().shut();
        let mine = load.reserve(Admission::New, None);
        other.join().unwrap();
        if let Ok(trial) = mine {
            assert!(load.reserve(Admission::New, None).is_err(), "two tokens");
            load.gate().give_back(trial.expect("the gate is shut"));
        }
        assert!(load.reserve(Admission::New, None).is_ok(), "no token");
    });
}

#[test]
fn a_sweep_hands_the_idle_bit_back_that_a_failure_kept() {
    loom::model(|| {
        let (_seats, load) = tracked();
        load.reserve(Admission::New, None).unwrap();
        load.hold_against(Tick::ZERO);
        let other = {
            let load = Arc::clone(&load);
            thread::spawn(move || load.finish(BUSY | HELD))
        };
        load.sweep(Tick::from_millis(60_000));
        other.join().unwrap();
        assert!(load.seat().is_idle(), "nothing in flight, yet not idle");
    });
}
