//! Health, as calls and checks change it.

use super::*;
use HealthState::{Ejected, Healthy, Probation, Suspected};
use std::time::Duration;

fn at(ms: u64) -> Time {
    Time::ZERO + Duration::from_millis(ms)
}

fn admitted(health: &Health, asked: u32) -> u32 {
    (0..asked).map(|_| u32::from(health.admits())).sum()
}

fn ejected(now: Time) -> Health {
    let health = Health::default();
    assert_eq!(health.call_failed(now, now), None);
    assert_eq!(health.call_failed(now, now), None);
    assert_eq!(health.call_failed(now, now), Some(Ejected));
    health
}

#[test]
fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
    let health = Health::default();
    for ms in 0..20 {
        assert_eq!(health.call_failed(at(ms), at(ms)), None);
        if ms % 2 == 1 {
            assert_eq!(health.call_succeeded(|| at(ms)), None);
        }
    }
    assert_eq!(admitted(&health, 10), 10);
    let health = ejected(at(5));
    assert_eq!(health.state(), Ejected);
    assert_eq!(admitted(&health, 1000), 0);
}

#[test]
fn failures_that_are_far_apart_do_not_eject() {
    let health = Health::default();
    for i in 0..10 {
        let now = at(i * 10_001);
        assert_eq!(health.call_failed(now, now), None);
    }
    assert_eq!(health.state(), Healthy);
}

#[test]
fn checks_that_fail_in_a_row_eject() {
    let health = Health::default();
    for _ in 0..5 {
        assert_eq!(health.check_failed(at(0)), None);
        assert_eq!(health.check_failed(at(0)), None);
        assert_eq!(health.check_passed(at(0)), None);
    }
    health.check_failed(at(0));
    health.check_failed(at(0));
    assert_eq!(health.check_failed(at(0)), Some(Ejected));
}

#[test]
fn a_check_that_passes_does_not_hide_calls_that_fail() {
    let health = Health::default();
    health.call_failed(at(1), at(1));
    health.call_failed(at(2), at(2));
    health.check_passed(at(3));
    assert_eq!(health.call_failed(at(4), at(4)), Some(Ejected));
}

#[test]
fn a_slow_function_alone_ejects_nobody() {
    let health = Health::default();
    for s in 1..10 {
        let sent = at(s * 1000);
        (0..20).for_each(|_| health.call_stalled(sent));
        assert!(health.is_doubted());
        assert_eq!((health.state(), admitted(&health, 10)), (Healthy, 10));
        assert_eq!(health.check_passed(at(s * 1000 + 30)), None);
        health.call_stalled(sent);
        assert!(!health.is_doubted(), "it was sent before the check passed");
    }
    (0..20).for_each(|_| health.call_stalled(at(20_000)));
    assert_eq!(health.call_succeeded(|| at(20_030)), None);
    assert!(!health.is_doubted(), "another call was answered");
    assert_eq!(health.check_failed(at(20_040)), None);
}

#[test]
fn calls_that_stall_and_one_check_that_fails_eject() {
    let health = Health::default();
    health.call_stalled(at(0));
    health.call_stalled(at(0));
    assert_eq!(health.check_failed(at(3)), None, "too few");
    health.call_stalled(at(0));
    assert_eq!(health.check_failed(at(5)), Some(Ejected));
}

#[test]
fn a_slow_function_ejects_nobody_on_probation() {
    let health = ejected(at(0));
    assert_eq!(health.check_passed(at(1000)), Some(Probation));
    (0..5).for_each(|_| health.call_stalled(at(1001)));
    assert_eq!(health.state(), Probation);
    assert_eq!(health.check_failed(at(1010)), Some(Ejected));
}

#[test]
fn only_a_check_after_its_time_lets_it_in_again() {
    let health = ejected(at(0));
    assert_eq!(health.call_succeeded(|| at(5000)), None, "a straggler");
    assert_eq!(health.check_passed(at(999)), None);
    assert_eq!(admitted(&health, 10), 0);
    assert_eq!(health.check_passed(at(1000)), Some(Probation));
}

#[test]
fn it_is_let_in_step_by_step() {
    let health = ejected(at(0));
    health.check_passed(at(1000));
    assert_eq!(admitted(&health, 1000), 1, "one trial call");
    assert_eq!(health.call_succeeded(|| at(1001)), None);
    for (step, share) in [10, 25, 50].into_iter().enumerate() {
        assert_eq!(admitted(&health, 1000), share * 10);
        health.call_succeeded(|| at(1002));
        health.call_succeeded(|| at(1002));
        assert_eq!(admitted(&health, 1000), share * 10, "not yet");
        let last = (step == 2).then_some(Healthy);
        assert_eq!(health.call_succeeded(|| at(1003)), last);
    }
    assert_eq!(admitted(&health, 1000), 1000);
}

#[test]
fn without_calls_checks_let_it_in() {
    let health = ejected(at(0));
    let states: Vec<_> = (1..=5).map(|s| health.check_passed(at(s * 1000))).collect();
    assert_eq!(states, [Some(Probation), None, None, None, Some(Healthy)]);
}

#[test]
fn a_trial_that_was_taken_stays_taken_until_there_is_news() {
    let health = ejected(at(0));
    health.check_passed(at(1000));
    assert_eq!(admitted(&health, 5), 1);
    health.check_passed(at(2000));
    assert_eq!(admitted(&health, 100), 10);
}

#[test]
fn a_failure_on_probation_ejects_for_twice_the_time_up_to_the_bound() {
    let health = ejected(at(0));
    let mut now = 0;
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        assert_eq!(health.check_passed(at(now + seconds * 1000 - 1)), None);
        now += seconds * 1000;
        assert_eq!(health.check_passed(at(now)), Some(Probation));
        assert_eq!(health.call_failed(at(now), at(now)), Some(Ejected));
    }
}

#[test]
fn ejections_are_forgotten_when_it_was_healthy_for_long() {
    let health = ejected(at(0));
    (1..=5).for_each(|s| assert!(health.check_passed(at(s * 1000)) != Some(Ejected)));
    assert_eq!(health.state(), Healthy);
    let soon = at(10_000);
    for _ in 0..3 {
        let _ = health.call_failed(soon, soon);
    }
    assert_eq!(health.check_passed(at(11_000)), None, "twice as long");
    for s in 12..=16 {
        let _ = health.check_passed(at(s * 1000));
    }
    assert_eq!(health.state(), Healthy);
    let late = at(100_000);
    for _ in 0..3 {
        let _ = health.call_failed(late, late);
    }
    assert_eq!(health.check_passed(at(101_000)), Some(Probation));
}

#[test]
fn calls_from_before_say_nothing_of_what_is_now() {
    let health = ejected(at(10));
    health.check_passed(at(2000));
    assert_eq!(health.call_failed(at(9), at(2001)), None);
    assert_eq!(health.call_failed(at(1999), at(2001)), None);
    assert_eq!(health.state(), Probation);
}

#[test]
fn a_suspect_gets_no_call_until_a_sign_of_life_and_then_some() {
    let alive: [fn(&Health) -> Option<HealthState>; 3] = [
        |health| health.is_heard(at(3000)),
        |health| health.check_passed(at(3000)),
        |health| health.call_succeeded(|| at(3000)),
    ];
    for sign in alive {
        let health = Health::default();
        assert_eq!(health.is_heard(at(0)), None);
        assert_eq!(health.suspect(at(2000)), Some(Suspected));
        assert_eq!(health.suspect(at(2100)), None);
        assert_eq!(admitted(&health, 100), 0);
        assert_eq!(sign(&health), Some(Probation));
        assert_eq!(admitted(&health, 100), 10);
    }
}

#[test]
fn a_suspect_that_fails_is_ejected_as_ever_and_one_on_probation_at_once() {
    let health = Health::default();
    let _ = health.suspect(at(0));
    assert_eq!(health.call_failed(at(0), at(1)), None);
    assert_eq!(health.eject(at(1)), Some(Ejected));
    assert_eq!(health.suspect(at(2)), None);
    assert_eq!(health.is_heard(at(3)), None, "only a check lets it in");
    assert_eq!(health.check_passed(at(1001)), Some(Probation));
    assert_eq!(health.suspect(at(1002)), Some(Ejected));
}

#[test]
fn one_that_was_away_is_let_in_step_by_step() {
    let health = Health::default();
    assert_eq!(health.is_back(at(0)), Some(Probation));
    assert_eq!(admitted(&health, 100), 10);
    let health = ejected(at(0));
    assert_eq!(health.is_back(at(10)), None, "that it was ejected stays");
}

#[test]
fn an_answer_is_told_of_once() {
    let health = Health::default();
    assert!(!health.take_answered());
    let _ = health.call_succeeded(|| at(0));
    assert!(health.take_answered() && !health.take_answered());
}

#[test]
fn each_time_away_is_counted_once() {
    let health = Health::default();
    let counts = |health: &Health| health.absences();
    assert_eq!(counts(&health), 0);
    let _ = health.suspect(at(0));
    let _ = health.eject(at(1));
    assert_eq!(counts(&health), 1, "suspected, then given up");
    let _ = health.check_passed(at(10_000));
    assert_eq!((health.state(), counts(&health)), (Probation, 1));
    let _ = health.suspect(at(10_001));
    assert_eq!((health.state(), counts(&health)), (Ejected, 2));
    let back = Health::default();
    let _ = back.is_back(at(0));
    assert_eq!((back.state(), counts(&back)), (Probation, 1));
}
