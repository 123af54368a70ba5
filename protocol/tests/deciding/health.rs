//! What holds for health, whatever happens in whatever order.

use std::time::Duration;

use dfaas_protocol::{Health, HealthLimits, HealthState, Time};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Event {
    Succeeded,
    Failed { sent_ms_ago: u64 },
    Stalled { sent_ms_ago: u64 },
    Passed,
    CheckFailed,
    Suspected,
    Heard,
    Asked(u32),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Succeeded),
        3 => (0..500u64).prop_map(|sent_ms_ago| Event::Failed { sent_ms_ago }),
        2 => (0..500u64).prop_map(|sent_ms_ago| Event::Stalled { sent_ms_ago }),
        2 => Just(Event::Passed),
        1 => Just(Event::CheckFailed),
        1 => Just(Event::Suspected),
        1 => Just(Event::Heard),
        2 => (1..200u32).prop_map(Event::Asked),
    ]
}

fn apply(health: &Health, event: Event, now: Time) -> Option<HealthState> {
    let before = |ms| {
        let ago = Duration::from_millis(ms).as_nanos() as u64;
        Time::from_nanos(now.as_nanos().saturating_sub(ago))
    };
    match event {
        Event::Succeeded => health.call_succeeded(|| now),
        Event::Failed { sent_ms_ago } => health.call_failed(before(sent_ms_ago), now),
        Event::Stalled { sent_ms_ago } => {
            health.call_stalled(before(sent_ms_ago));
            None
        }
        Event::Passed => health.check_passed(now),
        Event::CheckFailed => health.check_failed(now),
        Event::Suspected => health.suspect(now),
        Event::Heard => health.is_heard(now),
        Event::Asked(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_state_says_what_is_admitted(
        steps in proptest::collection::vec((0..3000u64, any_event()), 1..80),
    ) {
        let health = Health::default();
        let limits = HealthLimits::default();
        let mut now = Time::ZERO;
        let mut ejected_at = None;
        for (ms, event) in steps {
            now = now + Duration::from_millis(ms);
            let before = health.state();
            let change = apply(&health, event, now);
            let after = health.state();
            prop_assert_eq!(change, (after != before).then_some(after));
            match (before, after) {
                (HealthState::Ejected, HealthState::Probation) => {
                    prop_assert!(matches!(event, Event::Passed));
                    let since: Time = ejected_at.unwrap();
                    prop_assert!(now.since(since) >= limits.ejection);
                }
                (_, HealthState::Ejected) if before != after => {
                    let failure = matches!(event, Event::Failed { .. } | Event::CheckFailed)
                        || before == HealthState::Probation && matches!(event, Event::Suspected);
                    prop_assert!(failure);
                    ejected_at = Some(now);
                }
                (HealthState::Probation, HealthState::Healthy) => {
                    prop_assert!(matches!(event, Event::Succeeded | Event::Passed));
                }
                (HealthState::Healthy, HealthState::Suspected) => {
                    prop_assert!(matches!(event, Event::Suspected));
                }
                (HealthState::Suspected, HealthState::Probation) => {
                    let sign = matches!(event, Event::Succeeded | Event::Passed | Event::Heard);
                    prop_assert!(sign);
                }
                (a, b) => prop_assert_eq!(a, b),
            }
            if let Event::Asked(count) = event {
                let admitted = (0..count).filter(|_| health.admits()).count() as u32;
                match after {
                    HealthState::Healthy => prop_assert_eq!(admitted, count),
                    HealthState::Ejected | HealthState::Suspected => prop_assert_eq!(admitted, 0),
                    // At most a half, and one more as the shares do not divide evenly.
                    HealthState::Probation => prop_assert!(admitted <= count / 2 + 1),
                }
            }
        }
        // Whatever happened, checks that pass bring it back, in a bounded time.
        for _ in 0..(limits.longest_ejection.as_secs() + 5) {
            now = now + Duration::from_secs(1);
            let _ = health.check_passed(now);
        }
        prop_assert_eq!(health.state(), HealthState::Healthy);
    }
}

#[test]
fn many_threads_agree() {
    let health = Health::default();
    let now = Time::ZERO;
    let ejections = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    (0..100)
                        .filter_map(|_| health.call_failed(now, now))
                        .count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap())
            .sum::<usize>()
    });
    assert_eq!(ejections, 1);
    let later = now + Duration::from_secs(1);
    assert_eq!(health.check_passed(later), Some(HealthState::Probation));
    let trials = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..100).filter(|_| health.admits()).count()))
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap())
            .sum::<usize>()
    });
    assert_eq!(trials, 1, "one trial call, whoever asks");
}
