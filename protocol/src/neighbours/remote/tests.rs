//! What is known of a function at a neighbour, as calls and answers change it.

use super::*;
use crate::{CallRate, Slots, Time};

fn offer(free: i32, service_ms: Option<u64>) -> FunctionOffer {
    let slots = Capacity::Slots(Slots::new(4).unwrap());
    FunctionOffer {
        service: service_ms.map(|ms| ServiceTime::from_duration(Duration::from_millis(ms))),
        ..FunctionOffer::example("f", slots, Headroom { free, size: 4 })
    }
}

#[test]
fn decisions_and_plans_read_one_line_of_the_cache() {
    assert_eq!(std::mem::offset_of!(Remote, trust), 64);
    assert_eq!((size_of::<Remote>(), align_of::<Remote>()), (128, 64));
}

#[test]
fn times_are_unknown_until_they_are_told() {
    let remote = Remote::new(&offer(1, None), None, Arc::default(), None);
    assert_eq!(
        (remote.round_trip(), remote.service(), remote.unit()),
        (None, None, None)
    );
    remote.measured(Some(Duration::from_millis(7)));
    remote.offered(&offer(2, Some(100)));
    assert_eq!(remote.round_trip(), Some(Duration::from_millis(7)));
    assert_eq!(remote.service(), Some(Duration::from_millis(100)));
    assert_eq!(remote.unit(), Some(Duration::from_millis(25)));
    assert_eq!((remote.queue(), remote.headroom().unwrap().free), (8, 2));
}

#[test]
fn a_rate_brings_a_token_back_however_long_a_call_takes() {
    let rate = Capacity::Rate(CallRate::new(50.0).unwrap());
    assert_eq!(unit_time(rate, None), Some(Duration::from_millis(20)));
    let long = Some(Duration::from_secs(9));
    assert_eq!(unit_time(rate, long), Some(Duration::from_millis(20)));
}

#[test]
fn who_refuses_is_left_alone_for_longer_each_time_and_tried_with_one_call() {
    let at = |ms| Time::ZERO + Duration::from_millis(ms);
    // 100 ms on four slots: a place comes free every 25 ms.
    let remote = Remote::new(&offer(1, Some(100)), None, Arc::default(), None);
    assert!(!remote.rests(at(0)));
    remote.try_one(at(0));
    assert!(!remote.rests(at(0)), "it never refused");
    remote.refused(at(0));
    assert!(remote.rests(at(24)) && !remote.rests(at(25)));
    remote.try_one(at(25));
    assert!(
        remote.rests(at(74)) && !remote.rests(at(75)),
        "one call tries it"
    );
    remote.refused(at(30));
    assert!(remote.rests(at(79)) && !remote.rests(at(80)));
    for _ in 0..40 {
        remote.refused(at(100));
    }
    assert!(remote.rests(at(149)) && !remote.rests(at(150)));
    remote.took();
    assert!(!remote.rests(at(100)));
    remote.refused(at(200));
    assert!(!remote.rests(at(225)), "it begins anew");
    assert_eq!(remote.calls_refused(), 43);
    remote.unreached();
    assert_eq!(remote.calls_refused(), 44);
}

#[test]
fn counts_down_until_the_neighbour_reports() {
    let remote = Remote::new(&offer(1, None), None, Arc::default(), None);
    remote.take_one();
    remote.take_one();
    assert_eq!(remote.headroom(), Some(Headroom { free: -1, size: 4 }));
    remote.report(Headroom { free: 4, size: 4 });
    assert_eq!(remote.headroom().unwrap().share(), 1.0);
}

#[test]
fn a_report_does_not_let_in_a_neighbour_that_is_ejected() {
    let health = Arc::new(Health::default());
    let idle = Headroom { free: 4, size: 4 };
    let (a, b) = (
        Remote::new(&offer(4, None), None, Arc::clone(&health), None),
        Remote::new(&offer(4, None), None, Arc::clone(&health), None),
    );
    (0..3).for_each(|_| {
        assert_ne!(
            health.call_failed(Time::ZERO, Time::ZERO),
            Some(HealthState::Healthy)
        )
    });
    a.report(idle);
    assert_eq!((a.headroom(), b.headroom()), (None, None));
    assert_eq!(a.last_resort(), None);
    let _ = health.check_passed(Time::ZERO + Duration::from_secs(1));
    assert_eq!(a.headroom(), Some(idle), "the trial call");
    assert_eq!(b.headroom(), None);
    assert_eq!(b.last_resort(), Some(idle));
}

#[test]
fn what_is_said_of_free_places_is_bounded() {
    let remote = Remote::new(&offer(1, None), None, Arc::default(), None);
    let headroom = |free, size| Headroom { free, size };
    remote.report(headroom(i32::MAX, 8));
    assert_eq!(remote.reported(), headroom(8, 8));
    remote.report(headroom(i32::MAX, u32::MAX));
    assert_eq!(remote.reported(), headroom(1_000_000, 1_000_000));
    remote.report(headroom(-9, 8));
    assert_eq!(remote.reported(), headroom(-9, 8));
}

#[test]
fn a_refusal_breaks_a_promise_only_where_there_was_one() {
    let now = || Time::ZERO;
    let remote = Remote::new(&offer(1, None), None, Arc::default(), None);
    let full = Headroom { free: -8, size: 4 };
    remote.report(full);
    (0..100).for_each(|_| remote.judge(Promise::Refused(Some(full)), now));
    assert!(remote.trust().is_clean(), "it never said that it had room");
    remote.report(Headroom { free: 4, size: 4 });
    (0..100).for_each(|_| remote.judge(Promise::Refused(Some(full)), now));
    assert!(remote.trust().standing() < 0.05);
}

#[test]
fn who_refuses_and_says_in_the_same_breath_that_it_is_free_lies() {
    let now = || Time::ZERO;
    let remote = Remote::new(&offer(-8, None), None, Arc::default(), None);
    let free = Headroom { free: 1, size: 4 };
    (0..12).for_each(|_| remote.judge(Promise::Refused(Some(free)), now));
    assert!(remote.trust().standing() < 0.1);
    assert_eq!((0..100).filter_map(|_| remote.headroom()).count() / 10, 0);
    assert!(remote.last_resort().is_some(), "it may be the only one");
}

#[test]
fn an_answer_is_late_by_what_the_neighbour_itself_says() {
    let (now, ms) = (|| Time::ZERO, Duration::from_millis);
    // 100 ms, and a queue of 8 behind four slots: 300 ms at worst.
    let remote = Remote::new(&offer(1, Some(100)), None, Arc::default(), None);
    for took in [10, 300, 1300] {
        (0..100).for_each(|_| remote.judge(Promise::Answered(ms(took)), now));
        assert!(remote.trust().is_clean(), "{took}");
    }
    remote.judge(Promise::Stalled(ms(1300)), now);
    assert!(remote.trust().is_clean());
    (0..100).for_each(|_| remote.judge(Promise::Answered(ms(1301)), now));
    assert!(remote.trust().standing() < 0.05);
    // One that says nothing of how long it takes is never late.
    let silent = Remote::new(&offer(1, None), None, Arc::default(), None);
    silent.judge(Promise::Answered(Duration::from_secs(100)), now);
    assert!(silent.trust().is_clean());
}

#[test]
fn calls_that_are_stuck_are_held_against_it_before_they_end() {
    let at = |ms| Time::ZERO + Duration::from_millis(ms);
    let remote = Remote::new(&offer(1, Some(100)), None, Arc::default(), None);
    (1..20).for_each(|second| remote.look_for_stuck(at(second * 1000)));
    (0..8).for_each(|_| remote.begins());
    // One ends a second: that is slow, and goes on.
    for second in 20..26 {
        remote.look_for_stuck(at(second * 1000));
        remote.judge(Promise::Void, || at(second * 1000));
        remote.begins();
    }
    assert!(remote.trust().is_clean());
    (26..32).for_each(|second| remote.look_for_stuck(at(second * 1000)));
    assert!(remote.trust().standing() < 0.6, "{:?}", remote.trust());
}
