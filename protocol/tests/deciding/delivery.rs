//! What holds for every delivery and admission, whatever the strategy, the route and the answers.

use dfaas_protocol::delivery::{Admission, Decision, Delivery, MAX_ATTEMPTS, Rejection, admit};
use dfaas_protocol::policy::Terms;
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::StrategyName;
use dfaas_protocol::{Headroom, Time};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::any_route::{any_free, any_nanos, any_parts, any_size};
use crate::site::{Site, at_ms, node, rng, slots};

/// What a neighbour, or the local platform, makes of a call.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Served,
    Refused(Headroom),
    Unreachable,
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let refused = (any_free(), any_size());
    prop_oneof![
        1 => Just(Answer::Served),
        3 => refused.prop_map(|(free, size)| Answer::Refused(Headroom { free, size })),
        1 => Just(Answer::Unreachable),
    ]
}

/// What a call came to.
struct Delivered {
    sent: usize,
    steps: usize,
    runs: bool,
}

/// Delivers one call and checks each step.
fn deliver(
    route: &Route,
    now: Time,
    mut answers: impl Iterator<Item = Answer>,
    rng: &mut ChaCha8Rng,
) -> Result<Delivered, TestCaseError> {
    let mut delivery = Delivery::new();
    let mut sent = Vec::new();
    let mut refused_here = false;
    for steps in 1.. {
        prop_assert!(steps <= MAX_ATTEMPTS + 2, "{} steps", steps);
        let reachable: Vec<bool> = route
            .there
            .iter()
            .map(|candidate| candidate.remote.last_resort().is_some())
            .collect();
        let decision = delivery.next(route, now, rng);
        let answer = answers.next().unwrap_or(Answer::Unreachable);
        match decision {
            Decision::Forward(index, _) => {
                prop_assert!(index < route.there.len());
                prop_assert!(reachable[index], "sent to one that cannot be reached");
                let candidate = &route.there[index];
                prop_assert!(!sent.contains(&candidate.node), "sent there twice");
                sent.push(candidate.node);
                prop_assert_eq!(delivery.tried().attempts(), sent.len());
                match answer {
                    Answer::Served => {
                        return Ok(Delivered {
                            sent: sent.len(),
                            steps,
                            runs: false,
                        });
                    }
                    Answer::Refused(headroom) => candidate.remote.report(headroom),
                    Answer::Unreachable => {
                        let _ = candidate.remote.health().call_failed(now, now);
                    }
                }
            }
            Decision::Run(_) => {
                prop_assert!(!refused_here, "asked the platform again");
                if let Answer::Served = answer {
                    return Ok(Delivered {
                        sent: sent.len(),
                        steps,
                        runs: true,
                    });
                }
                let _ = route.here.as_ref().unwrap().end();
                delivery.refused_here();
                refused_here = true;
            }
            Decision::Wait(..) => {
                prop_assert!(!refused_here, "waits where it was refused");
                return Ok(Delivered {
                    sent: sent.len(),
                    steps,
                    runs: false,
                });
            }
            Decision::Reject(why) => {
                let unknown = route.here.is_none() && route.there.is_empty();
                prop_assert_eq!(why == Rejection::Unknown, unknown);
                return Ok(Delivered {
                    sent: sent.len(),
                    steps,
                    runs: false,
                });
            }
        }
    }
    unreachable!("the loop ends by return")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn each_delivery_keeps_the_rules(
        parts in any_parts(),
        calls in proptest::collection::vec(
            (any_nanos(), proptest::collection::vec(any_answer(), 0..6)),
            1..30,
        ),
        seed in any::<u64>(),
    ) {
        let route = parts.route();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for (nanos, answers) in calls {
            let now = Time::from_nanos(nanos);
            let delivered = deliver(&route, now, answers.into_iter(), &mut rng)?;
            prop_assert!(delivered.sent <= MAX_ATTEMPTS);
            prop_assert!(delivered.sent == 0 || parts.strategy != StrategyName::AllLocal);
            if delivered.runs && delivered.steps % 2 == 0 {
                let _ = route.here.as_ref().unwrap().end();
            }
        }
    }

    #[test]
    fn a_forwarded_call_runs_waits_or_is_refused(
        parts in any_parts(),
        calls in proptest::collection::vec((0..12u8, any_nanos()), 1..30),
    ) {
        let route = parts.route();
        for (from, nanos) in calls {
            let before: Vec<_> = route.there.iter().map(|c| c.remote.headroom()).collect();
            let admission = admit(&route, node(from), &Terms::default(), Time::from_nanos(nanos));
            let after: Vec<_> = route.there.iter().map(|c| c.remote.headroom()).collect();
            prop_assert_eq!(before, after, "a forwarded call counted a neighbour down");
            match admission {
                Admission::Refuse(why) => {
                    prop_assert_eq!(why == Rejection::NotHere, route.here.is_none());
                    let over = why == Rejection::OverGrant;
                    prop_assert!(!over || parts.strategy == StrategyName::Recalc);
                }
                Admission::Run | Admission::Wait => prop_assert!(route.here.is_some()),
            }
        }
    }
}

#[test]
fn with_every_answer_a_refusal_two_neighbours_are_tried_whatever_the_strategy() {
    let forwarding = StrategyName::ALL.into_iter();
    for strategy in forwarding.filter(|name| *name != StrategyName::AllLocal) {
        let mut site = Site::new();
        for n in 1..=5 {
            site.hears(n, &[("f", "4/4")]);
            site.is_granted(n, "f", 10.0);
            site.is_away(n, 1);
        }
        let route = site.route(strategy, "f");
        let refused = Answer::Refused(Headroom { free: 4, size: 4 });
        let delivered = deliver(&route, Time::ZERO, std::iter::repeat(refused), &mut rng());
        let delivered = delivered.unwrap();
        assert_eq!((delivered.sent, delivered.steps), (2, 3), "{strategy}");
    }
}

#[test]
fn a_function_that_nobody_has_is_unknown() {
    for strategy in StrategyName::ALL {
        let mut site = Site::new();
        site.has("f", slots(1), 0);
        let mut route = site.route(strategy, "f");
        route.here = None;
        let decision = Delivery::new().next(&route, Time::ZERO, &mut rng());
        assert_eq!(decision, Decision::Reject(Rejection::Unknown), "{strategy}");
    }
}

#[test]
fn a_forwarded_call_for_a_function_that_is_not_here_is_refused() {
    for strategy in StrategyName::ALL {
        let mut site = Site::new();
        site.hears(1, &[("f", "4/4")]);
        site.is_granted(1, "f", 10.0);
        let route = site.route(strategy, "f");
        let admission = admit(&route, node(1), &Terms::default(), Time::ZERO);
        assert_eq!(
            admission,
            Admission::Refuse(Rejection::NotHere),
            "{strategy}"
        );
    }
}

#[test]
fn a_forwarded_call_that_comes_too_late_is_refused() {
    let mut site = Site::new();
    let gate = site.has("f", slots(1), 0);
    let route = site.route(StrategyName::Headroom, "f");
    let terms = Terms {
        deadline: Some(at_ms(10)),
        ..Terms::default()
    };
    let late = Admission::Refuse(Rejection::Late);
    assert_eq!(admit(&route, node(1), &terms, at_ms(10)), late);
    assert_eq!(gate.running(), 0);
    assert_eq!(admit(&route, node(1), &terms, at_ms(9)), Admission::Run);
}
