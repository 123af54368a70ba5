//! `round-robin`, `least-connections`, `time-weighted` and `random` against figures worked out by hand.

use std::time::Duration;

use dfaas_protocol::Time;
use dfaas_protocol::delivery::{Decision, Delivery, Why};
use dfaas_protocol::route::Route;
use dfaas_protocol::strategy::StrategyName;

use crate::site::{Site, assert_share, at_ms, eject, rng, route_of, slots, split};

fn next(route: &Route) -> Decision {
    Delivery::new().next(route, Time::ZERO, &mut rng())
}

/// Where a call goes: 0 is here, n the n-th candidate.
fn target(decision: Decision) -> usize {
    match decision {
        Decision::Run(_) | Decision::Wait(..) => 0,
        Decision::Forward(index, _) => index + 1,
        Decision::Reject(why) => panic!("{why:?}"),
    }
}

#[test]
fn in_turn_each_target_has_every_third_call() {
    let mut site = Site::new();
    site.has("f", slots(100), 0);
    for n in 1..=2 {
        site.hears(n, &[("f", "4/4")]);
    }
    site.hears(3, &[("g", "4/4")]);
    let route = site.route(StrategyName::RoundRobin, "f");
    let targets: Vec<usize> = (0..9).map(|_| target(next(&route))).collect();
    let begin = targets[0];
    let expected: Vec<usize> = (0..9).map(|k| (begin + k) % 3).collect();
    assert_eq!(targets, expected);
}

#[test]
fn in_turn_one_that_cannot_be_sent_to_is_passed_over() {
    let mut site = Site::new();
    // One slot, and nobody may wait.
    site.has("f", slots(1), 0);
    for n in 1..=2 {
        site.hears(n, &[("f", "4/4")]);
    }
    let route = site.route(StrategyName::RoundRobin, "f");
    assert!(route.here.as_ref().unwrap().start(Time::ZERO));
    eject(route.there[0].remote.health());
    for _ in 0..6 {
        assert_eq!(next(&route), Decision::Forward(1, Why::InTurn));
    }
}

#[test]
fn a_call_goes_where_the_fewest_are() {
    let mut site = Site::new();
    let gate = site.has("f", slots(4), 2);
    // Three of 4, and two of 16.
    site.hears(1, &[("f", "1/4")]);
    site.hears(2, &[("f", "14/16")]);
    let route = site.route(StrategyName::LeastConnections, "f");
    let here = Decision::Run(Why::LeastBusy);
    // 0, 3, 2: two run here; then it is 2 and 2, and one of the two is drawn; after three more all have 3.
    assert_eq!((next(&route), next(&route)), (here, here));
    let mut rng = rng();
    let mut counts = [2u32, 3, 2];
    for _ in 0..60 {
        let fewest = *counts.iter().min().unwrap();
        let full_here = counts[0] == 6;
        let target = target(Delivery::new().next(&route, Time::ZERO, &mut rng));
        if full_here && fewest == 6 {
            assert!(target > 0 || counts[0] < 6, "{counts:?}");
        } else {
            assert_eq!(counts[target], fewest, "{counts:?}");
        }
        counts[target] += 1;
    }
    // Four run and two wait here; the others share the rest.
    assert_eq!(counts[0], 6);
    assert_eq!(gate.headroom(Time::ZERO).free, -2);
    assert!(counts[1].abs_diff(counts[2]) <= 1, "{counts:?}");
}

#[test]
fn where_the_fewest_are_here_a_call_may_wait() {
    let mut site = Site::new();
    site.has("f", slots(1), 4);
    site.hears(1, &[("f", "-5/4")]);
    let route = site.route(StrategyName::LeastConnections, "f");
    assert_eq!(next(&route), Decision::Run(Why::LeastBusy));
    assert_eq!(next(&route), Decision::Wait(Why::LeastBusy));
}

#[test]
fn shares_are_inverse_to_the_time_of_an_answer() {
    let mut site = Site::new();
    site.has("f", slots(20_000), 0);
    site.functions[0].service = Some(Duration::from_millis(10));
    // 20 ms and 20 ms of round trip; 40 ms and none measured.
    site.hears_of_service(1, "f", "4/4", 20);
    site.is_away(1, 20);
    site.hears_of_service(2, "f", "4/4", 40);
    // 1/10, 1/40 and 1/40: two thirds, a sixth, a sixth, in whole parts of a hundred.
    let (here, there) = split(&site.route(StrategyName::TimeWeighted, "f"));
    assert_share(here, 66.0);
    assert_share(there[0], 17.0);
    assert_share(there[1], 17.0);
}

#[test]
fn what_was_not_measured_has_a_mean_share() {
    let mut site = Site::new();
    site.has("f", slots(20_000), 0);
    site.functions[0].service = Some(Duration::from_millis(10));
    site.hears_of_service(1, "f", "4/4", 30);
    site.hears(2, &[("f", "4/4")]);
    // 1/10, 1/30 and, at the mean of 20 ms, 1/20: 6, 2 and 3 of 11.
    let (here, there) = split(&site.route(StrategyName::TimeWeighted, "f"));
    assert_share(here, 55.0);
    assert_share(there[0], 18.0);
    assert_share(there[1], 27.0);
}

#[test]
fn shares_at_random_sum_to_all_and_change_with_each_plan() {
    let mut site = Site::new();
    site.has("f", slots(1_000_000), 0);
    for n in 1..=3 {
        site.hears(n, &[("f", "4/4")]);
    }
    site.hears(4, &[("g", "4/4")]);
    let mut strategy = StrategyName::Random.build(&site.settings);
    let mut rng = rng();
    let mut seen = Vec::new();
    for _ in 0..20 {
        let route = route_of(site.plan_with(&mut *strategy, &mut rng), "f");
        assert_eq!(route.there.len(), 3);
        seen.push(split(&route));
    }
    // The mean of twenty draws of a quarter each: a standard deviation of about 3 %.
    let mean = seen.iter().map(|(here, _)| *here).sum::<usize>() as f64 / 20.0 / 10_000.0;
    assert!((0.12..0.40).contains(&mean), "{mean}");
    let (least, most) = (
        seen.iter().map(|(here, _)| *here).min().unwrap(),
        seen.iter().map(|(here, _)| *here).max().unwrap(),
    );
    assert!(most > least + 1000, "{least} {most}");
    assert_eq!(site.functions[0].gate.headroom(at_ms(0)).size, 1_000_000);
}
