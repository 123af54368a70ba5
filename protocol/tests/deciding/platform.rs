//! What becomes of calls while the local platform is not healthy, whatever the strategy.

use std::sync::Arc;

use dfaas_protocol::delivery::{Admission, Decision, Delivery, Rejection, admit};
use dfaas_protocol::gate::Gate;
use dfaas_protocol::policy::Terms;
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::{Seen, StrategyName};
use dfaas_protocol::{Health, Time};

use crate::site::{Site, at_ms, eject, node, rng, slots};

/// A function on a platform, and at one neighbour if `neighbour`.
fn beside(strategy: StrategyName, neighbour: bool) -> (Route, Arc<Gate>, Arc<Health>) {
    let mut site = Site::new();
    let platform = Arc::new(Health::default());
    site.has("f", slots(1000), 0);
    let gate = Arc::new(Gate::new(slots(1000), 0).on(Arc::clone(&platform)));
    site.functions = vec![Seen {
        gate: Arc::clone(&gate),
        ..site.functions.remove(0)
    }];
    if neighbour {
        site.hears(1, &[("f", "2000/2000")]);
        site.is_granted(1, "f", 1000.0);
        site.is_away(1, 1);
    }
    (site.route(strategy, "f"), gate, platform)
}

fn next(route: &Route) -> Decision {
    Delivery::new().next(route, Time::ZERO, &mut rng())
}

#[test]
fn a_platform_that_is_down_turns_the_node_into_a_forwarder() {
    for strategy in StrategyName::ALL {
        let (route, gate, platform) = beside(strategy, true);
        eject(&platform);
        for _ in 0..100 {
            match next(&route) {
                Decision::Forward(0, _) if strategy != StrategyName::AllLocal => {}
                Decision::Reject(Rejection::PlatformDown) if strategy == StrategyName::AllLocal => {
                }
                other => panic!("{strategy}: {other:?}"),
            }
        }
        assert_eq!((gate.running(), gate.headroom(Time::ZERO).free), (0, 0));
        let admission = admit(&route, node(1), &Terms::default(), Time::ZERO);
        let down = Admission::Refuse(Rejection::PlatformDown);
        assert_eq!(admission, down, "{strategy}");
    }
}

#[test]
fn alone_with_a_platform_that_is_down_a_call_is_refused_with_the_reason() {
    for strategy in StrategyName::ALL {
        let (route, _, platform) = beside(strategy, false);
        eject(&platform);
        let down = Decision::Reject(Rejection::PlatformDown);
        assert_eq!(next(&route), down, "{strategy}");
    }
}

#[test]
fn a_platform_on_probation_gets_more_calls_with_each_step() {
    let (route, _, platform) = beside(StrategyName::Headroom, true);
    eject(&platform);
    let run_here = || {
        let calls = (0..100).map(|_| next(&route));
        calls.filter(|d| matches!(d, Decision::Run(_))).count()
    };
    let ran: Vec<usize> = (1..=5)
        .map(|second| {
            let _ = platform.check_passed(at_ms(second * 1000));
            run_here()
        })
        .collect();
    assert_eq!(ran, [1, 10, 25, 50, 100]);
}

#[test]
fn a_platform_on_probation_runs_what_nobody_else_takes() {
    for strategy in StrategyName::ALL {
        let (route, _, platform) = beside(strategy, false);
        eject(&platform);
        let _ = platform.check_passed(at_ms(1000));
        for _ in 0..20 {
            let decision = next(&route);
            assert!(
                matches!(decision, Decision::Run(_)),
                "{strategy}: {decision:?}"
            );
        }
    }
}

#[test]
fn a_platform_that_could_not_be_reached_is_named_as_the_reason() {
    let (route, gate, _) = beside(StrategyName::Headroom, false);
    let mut delivery = Delivery::new();
    let mut rng = rng();
    let first = delivery.next(&route, Time::ZERO, &mut rng);
    assert!(matches!(first, Decision::Run(_)), "{first:?}");
    let _ = gate.end();
    delivery.unreached_here();
    let down = Decision::Reject(Rejection::PlatformDown);
    assert_eq!(delivery.next(&route, Time::ZERO, &mut rng), down);
}
